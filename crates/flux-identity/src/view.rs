//! What the API of a Mixer shows, as both of its sides know it.

use std::collections::BTreeMap;

use crate::orders::{Duty, LogLevel};
use flux_bus::Name;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How a Rack stands with the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RackState {
    /// It asked, and waits for somebody to approve it.
    Pending,
    /// It belongs.
    Active,
    /// It belongs, and has no word on the bus until it is activated.
    Suspended,
    /// What it was given is void for good; a new token and a new passport bring it back.
    Revoked,
}

/// Whether a Rack is heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// Its heartbeats come.
    Online,
    /// One or more are missing.
    Late,
    /// None came for long, or ever.
    Offline,
}

/// What whoever has an API token may do; each may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look.
    Viewer,
    /// Enrol, approve, suspend, activate and revoke Racks.
    Operator,
    /// Change what Racks run.
    Deployer,
    /// Everything: remove Racks, make tokens, read the audit log.
    Admin,
}

/// A Rack as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RackView {
    /// Its name.
    #[schemars(schema_with = "name_schema")]
    pub name: Name,
    /// How it stands.
    pub state: RackState,
    /// Whether it is heard of.
    pub liveness: Liveness,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Fingerprint of its passport.
    pub fingerprint: String,
    /// The address from which it asked last for what makes it one of the fleet.
    pub address: Option<String>,
    /// Version of its program, as it said.
    pub program: String,
    /// Kinds of gears it offers, as it said.
    pub kinds: Vec<String>,
    /// When it first asked, in milliseconds since 1970.
    pub first_seen_unix_ms: u64,
    /// When it was heard of last since the Mixer began.
    pub last_seen_unix_ms: Option<u64>,
    /// Until when its certificate is good.
    pub certificate_expires_unix_ms: Option<u64>,
    /// The number of the passport signed for it last.
    pub passport_number: u64,
    /// The number of the one that it says it has.
    pub passport_number_actual: Option<u64>,
    /// Whether it is to run what it has.
    pub duty: Duty,
    /// The least severe level that it is to log; none is its own.
    pub log_level: Option<LogLevel>,
    /// How long its process has been up, as it said, in milliseconds.
    pub uptime_ms: Option<u64>,
    /// Gears that run there, as it said.
    pub gears: Option<u64>,
    /// Alarms that are raised there, as it said.
    pub alarms: Option<u64>,
}

/// A page of Racks, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Racks {
    /// The Racks.
    pub racks: Vec<RackView>,
    /// How many match in all.
    pub total: usize,
    /// What to ask for the next page: `after=`. None on the last.
    #[schemars(schema_with = "optional_name_schema")]
    pub next: Option<Name>,
}

/// Why something was refused (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The page about it.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is, in few words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What it is this time, and what to do.
    pub detail: String,
    /// Its number, `FR09xx`.
    pub code: String,
    /// What the Mixer's clock shows, where that matters: milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now_unix_ms: Option<u64>,
    /// Everything that is wrong with a text that was sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Flaw>,
    /// How what it is about stands, where that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<serde_json::Value>,
}

/// What is wrong at one place of a text, or probably not meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flaw {
    /// Its number, `FRxxxx`.
    pub code: String,
    /// `error`, `warning` or `info`.
    pub severity: String,
    /// Which text.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// What a [`Name`] looks like, as a schema.
pub fn name_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,60}$" })
}

fn optional_name_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "pattern": "^[A-Za-z0-9_-]{1,60}$" })
}

/// Words for the variants of a type, as `Display` and `FromStr` have them.
macro_rules! word {
    ($type:ident, $($variant:ident $word:literal),+) => {
        impl $type {
            /// As a word.
            pub fn word(self) -> &'static str {
                match self { $($type::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $($word => Ok($type::$variant),)+
                    _ => Err(format!("one of {}", [$($word),+].join(", "))),
                }
            }
        }
    };
}

pub(crate) use word;

word!(RackState, Pending "pending", Active "active", Suspended "suspended", Revoked "revoked");
word!(Liveness, Online "online", Late "late", Offline "offline");
word!(Role, Viewer "viewer", Operator "operator", Deployer "deployer", Admin "admin");
