//! The configuration of a conductor, as written.

use std::time::Duration as Span;

use flux_gear::{ByteSize, Duration, Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where requests go, and what is remembered of them until their replies come.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The values that a request shares with its reply and with no other request in flight.
    /// A value that a message lacks counts as empty; a message that lacks them all is refused (`no_key`). A trace
    /// number alone is never unique: add the transmission time, the acquirer and the terminal. For ISO 8583 add
    /// `data.iso8583.exchange`, or a reversal that has the trace number of its original conflicts with it.
    #[schemars(length(min = 1))]
    pub correlation_key: Vec<Key>,
    /// The values that identify what a request asks for, besides its key.
    /// A request that comes again under its key is a duplicate only if they are the same; otherwise it is refused
    /// (`key_conflict`). Only a hash of them under a secret of this process is kept. Without a list they are, for
    /// ISO 8583, account number (field 2, else out of 35), processing code (3) and amount (4); for other messages,
    /// the payload. The exchange of an ISO 8583 message is always among them.
    #[serde(default)]
    pub fingerprint: Vec<Key>,
    /// The routes, in order: the first whose `match` holds is taken.
    /// A request that none takes is refused (`no_route`).
    #[schemars(length(min = 1))]
    pub routes: Vec<Route>,
    /// The name of this conductor.
    /// With it, requests are stamped on their way out (`conductor.origin`).
    #[serde(default)]
    #[schemars(extend("format" = "name"))]
    pub origin: Option<String>,
    /// Other conductors whose messages pass through here.
    /// A reply stamped by one of them leaves at `out_response_<origin>`, and so does the answer to a request that it
    /// stamped. With this list or an `origin`, a reply stamped by a stranger is refused (`invalid_origin`).
    #[serde(default)]
    pub known_origins: Vec<KnownOrigin>,
    /// Values that stay here while the request travels, as paths of data or metadata.
    /// They are removed on the way out and put back into the reply.
    #[serde(default)]
    pub park_fields: Vec<Key>,
    /// Metadata that a reply keeps as its own: names, or prefixes that end with a dot.
    /// It is what describes the content. All other metadata of the request (its connection, for one) is put back on
    /// the reply and wins.
    #[serde(default = "reply_keeps")]
    pub reply_keeps: Vec<String>,
    /// The values that tell whom a request is from, as the terminal's number (`data.iso8583.field.41`).
    /// With them, an answer whose connection is gone goes to the latest connection of this conductor's requests that
    /// brought the same values, if that is up: after the terminal connected again, and after a restart. Whoever sends these
    /// values gets the answer, so name them only where nobody can send another's.
    #[serde(default)]
    pub return_by: Vec<Key>,
    /// How long requests and outcomes are remembered.
    #[serde(default)]
    pub valet: ValetConfig,
    /// Requests that may wait for their replies at a time; further ones are refused (`overloaded`).
    #[serde(default = "in_flight_max")]
    #[schemars(range(min = 1, max = 16_000_000))]
    pub in_flight_max: u32,
}

/// The name of another conductor.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("format" = "name", "x-flux-port" = { "direction": "out", "name": "out_response_{}", "emits": "both" }))]
pub struct KnownOrigin(pub String);

/// One route.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Its name, for logs.
    #[schemars(extend("format" = "name"))]
    pub name: String,
    /// Which requests take it; without it, all that come this far do.
    #[serde(default, rename = "match")]
    pub test: Option<Match>,
    /// Where they go.
    pub destination: Destination,
    /// How long to wait for a reply on this route, instead of `valet.default_ttl`.
    #[serde(default)]
    pub ttl: Option<Duration>,
}

/// A test on one value of a request: the field and exactly one of the others. A request without the value fails it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The value to look at.
    pub field: Key,
    /// It begins with this.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub prefix: Option<String>,
    /// It begins with one of these.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// It is this.
    #[serde(default)]
    pub equals: Option<String>,
    /// It is one of these.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// Its leading digits, as many as the bounds have, lie in this range, bounds included: `400000-499999`.
    #[serde(default)]
    pub range: Option<String>,
    /// Its leading digits lie in one of these ranges.
    #[serde(default)]
    pub ranges: Vec<String>,
}

/// Where a request goes: a destination by name, or a group to choose from. The destination `visa` is the port `out_visa`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Destination {
    /// One destination.
    Leaf(
        #[schemars(extend("format" = "name", "x-flux-port" = { "direction": "out", "name": "out_{}", "emits": "both" }))]
         String,
    ),
    /// Several, and how to choose among those that are available.
    Group(Group),
}

/// How to choose among destinations. A group is available while one of its members is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// The first that is available.
    Failover(#[schemars(length(min = 1))] Vec<Destination>),
    /// Each in turn.
    RoundRobin(#[schemars(length(min = 1))] Vec<Destination>),
    /// The one with the fewest requests in flight; among equals, each in turn. A group within counts as one member,
    /// with the requests of all of its own.
    LeastLoaded(#[schemars(length(min = 1))] Vec<Destination>),
}

/// How long requests and outcomes are remembered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ValetConfig {
    /// Where tickets are kept.
    #[schemars(extend("x-flux-keeps" = "local_durable"))]
    pub store: Store,
    /// How long to wait for a reply. Then the request leaves at `error` (`timeout`).
    pub default_ttl: Duration,
    /// The longest `ttl` that a route may ask for; no bound when absent.
    pub max_ttl: Option<Duration>,
    /// How long an outcome is kept: a request that comes again within this time gets the same reply. `0` keeps none.
    pub retain_after_close: Duration,
    /// Outcomes kept at most; beyond it the oldest are forgotten early.
    #[schemars(range(max = 16_000_000))]
    pub retained_max: u32,
    /// With `local_durable`, what tickets may take in memory besides, and about a sixth of what they may take on disk.
    /// Beyond it requests are refused (`store_full`).
    pub bytes_max: ByteSize,
}

/// Where tickets are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// In memory: they do not outlive the process, and nothing waits for a disk.
    #[default]
    Memory,
    /// On disk, sealed: they survive `kill -9` and the loss of power. A request leaves once its ticket is safe, and an answer
    /// once it is on disk that the ticket was redeemed.
    LocalDurable,
}

impl Default for ValetConfig {
    fn default() -> ValetConfig {
        ValetConfig {
            store: Store::Memory,
            default_ttl: Duration(Span::from_secs(60)),
            max_ttl: None,
            retain_after_close: Duration(Span::from_secs(5)),
            retained_max: 100_000,
            bytes_max: ByteSize(512 << 20),
        }
    }
}

fn in_flight_max() -> u32 {
    100_000
}

fn reply_keeps() -> Vec<String> {
    ["codec.", "iso8583.mti", "iso8583.mti_class", "iso8583.bitmaps", "iso8583.fields"]
        .map(String::from)
        .into()
}
