//! The configuration of a coat check, as written.

use std::time::Duration as Span;

use flux_gear::{ByteSize, Duration, Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::correlation::Normalize;

/// What stays here while a message travels, and how its answer is recognized.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where coats are kept.
    #[schemars(extend("x-flux-keeps" = "local"))]
    pub bucket: Bucket,
    /// The values that a message shares with its answer and with no other message on its way.
    /// A value that a message lacks counts as empty; a message that lacks them all is refused (`no_key`). Each value is
    /// joined with its length, so that `12` and `3` are not taken for `1` and `23`.
    #[schemars(length(min = 1))]
    pub key: Vec<Key>,
    /// The same values where the answer has them elsewhere, in the same order. Without it they are where `key` says.
    #[serde(default)]
    pub restore_key: Vec<Key>,
    /// How the values of both sides are made to look alike.
    #[serde(default)]
    pub key_normalize: Normalize,
    /// The values that stay here, as paths of data or metadata, or `payload`.
    #[serde(default)]
    pub values: Vec<Key>,
    /// Whether they are taken out of the message that goes on. If not, it keeps them too.
    #[serde(default = "yes")]
    pub remove_values: bool,
    /// Whether the return address stays here too: `conn.id`, `peer.ip`, `peer.port` and `flux.source`.
    /// It is put back as a whole, whatever `merge` says, so that an answer never goes to a connection that it came by.
    #[serde(default = "yes")]
    pub return_address: bool,
    /// How long a coat is kept. Then it is gone, and one event leaves at `out_timeout`.
    #[serde(default = "ttl")]
    pub ttl: Duration,
    /// What happens to a message when the coat of another one hangs under its key.
    #[serde(default)]
    pub on_occupied: OnOccupied,
    /// Which value stays when an answer has one where a parked one is put back.
    #[serde(default)]
    pub merge: Merge,
    /// What happens to an answer for which there is no coat: none was left, it was fetched before, or its time was up.
    #[serde(default)]
    pub on_missing: OnMissing,
    /// Whether the event of a coat whose time is up has its values, besides the return address.
    #[serde(default)]
    pub timeout_values: bool,
    /// Coats kept at most; further messages are refused (`store_full`).
    #[serde(default = "coats_max")]
    #[schemars(range(min = 1, max = 16_000_000))]
    pub coats_max: u32,
    /// What coats may take in memory, and about a sixth of what they may take on disk.
    #[serde(default = "bytes_max")]
    pub bytes_max: ByteSize,
}

/// Where coats are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// In memory: they do not outlive the process, and nothing waits for a disk.
    Memory,
    /// On disk, sealed: they survive `kill -9` and the loss of power. A message goes on once its coat is safe.
    Local,
}

/// What happens to a message when the coat of another one hangs under its key. The same message come again, as after a
/// crash, finds its own coat and goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnOccupied {
    /// It is refused (`key_occupied`): the answer belongs to the first.
    #[default]
    Reject,
    /// Its coat takes the place of the other, whose owner gets no answer: for senders that repeat a request as a new one.
    Replace,
    /// It goes on without a coat of its own; the answer belongs to the first.
    Keep,
}

/// Which value stays when an answer has one where a parked one is put back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// The parked one.
    #[default]
    Parked,
    /// The answer's own. The return address is put back all the same.
    Answer,
}

/// What happens to an answer for which there is no coat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMissing {
    /// It is refused (`no_coat`).
    #[default]
    Error,
    /// It ends here, on purpose.
    Drop,
    /// It goes on as it is.
    Forward,
}

fn yes() -> bool {
    true
}

fn ttl() -> Duration {
    Duration(Span::from_secs(60))
}

fn coats_max() -> u32 {
    100_000
}

fn bytes_max() -> ByteSize {
    ByteSize(128 << 20)
}
