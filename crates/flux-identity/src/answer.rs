//! What a Mixer answers, and what a Rack says from then on.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use flux_scenario::{edition::ContentHash, passport::PublicKey};

/// The answer to a request to enrol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Answer {
    /// It belongs to the fleet.
    Enrolled(Box<Enrolled>),
    /// Somebody has to approve it; it asks again.
    Pending {
        /// The fingerprint of its passport, for whoever approves to compare.
        fingerprint: String,
        /// When it may ask again, in milliseconds.
        again_ms: u64,
    },
}

/// What makes a Rack one of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Enrolled {
    /// Its certificate, as PEM.
    pub certificate: String,
    /// Until when, in milliseconds since 1970.
    pub expires_unix_ms: u64,
    /// The certificate of the CA, as PEM: the one that was pinned.
    pub ca: String,
    /// The key that signs passports.
    #[schemars(with = "ContentHash")]
    pub cluster_key: PublicKey,
    /// The signed passport, as text.
    pub passport: String,
    /// Who it is on the bus; none where there is no server.
    pub bus: Option<BusIdentity>,
    /// How often it is to say that it lives, in milliseconds.
    pub heartbeat_ms: u64,
}

/// Who a Rack is on the bus. It is of no use without the key that the Rack kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BusIdentity {
    /// Addresses of servers.
    pub urls: Vec<String>,
    /// Who vouches for them, PEM; none where it is the CA of the fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// What the server is shown.
    pub jwt: String,
}

/// What a Rack says of itself, on `fluxrig.agent.<rack>.heartbeat`: that it may is what makes it believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Version of its program.
    pub program: String,
    /// The number of the passport that it has.
    pub passport_number: u64,
    /// How long it has been up, in milliseconds.
    pub uptime_ms: u64,
    /// Gears that run.
    pub gears: u64,
    /// Alarms that are raised.
    pub alarms: u64,
    /// The digest of the orders that it obeys ([`Orders::digest`](crate::Orders::digest)); none where it runs something of its
    /// own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<ContentHash>,
}

impl fmt::Debug for BusIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusIdentity").field("urls", &self.urls).finish_non_exhaustive()
    }
}
