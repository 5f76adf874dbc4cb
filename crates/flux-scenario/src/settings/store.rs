//! How a rack keeps messages on disk.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{at_least_one, secs};
use crate::units::{ByteSize, Duration};

/// Storage on disk: each journal under `base.state_dir` is kept by these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Length at which a journal begins a new file. Space is given back by whole files. 64KiB to 2GiB.
    pub segment_bytes: ByteSize,
    /// Most that one journal may take on disk; at least two segments. When it is full, its senders wait.
    pub bytes_max: ByteSize,
    /// Messages of a durable wire that may be out at a time: from the oldest that is not settled to the newest delivered.
    #[schemars(range(max = 65536))]
    pub window_messages: NonZeroU32,
    /// How far back a durable wire with `dedupe` remembers the ids it carried.
    #[schemars(range(max = 1_000_000))]
    pub dedupe_messages: NonZeroU32,
    /// With `ack: os`, how long a message waits to be on disk.
    pub sync_every: Duration,
    /// Directory of the journals.
    #[schemars(extend("x-flux-inert" = true))]
    pub dir: String,
    /// Most that unsent logs may take on disk, in MB.
    #[schemars(extend("x-flux-inert" = true))]
    pub wal_max_size_mb: NonZeroU32,
}

/// Where dead letters are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeadLetterPlace {
    /// On disk when the rack has a state directory, one that is named or that a durable wire needs; else in memory.
    #[default]
    Auto,
    /// In memory: they are gone with the process.
    Memory,
    /// In the journal `dead-letters` of the state directory, for `fluxrig dlq`.
    Disk,
}

impl Default for Store {
    fn default() -> Self {
        Store {
            segment_bytes: ByteSize(64 << 20),
            bytes_max: ByteSize(4 << 30),
            window_messages: at_least_one(8_192),
            dedupe_messages: at_least_one(65_536),
            sync_every: secs(1),
            dir: "./data".into(),
            wal_max_size_mb: at_least_one(500),
        }
    }
}
