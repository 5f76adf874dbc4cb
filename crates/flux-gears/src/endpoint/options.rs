//! Options that the I/O gears have in common, and the defaults of those.

use std::{num::NonZeroU16, time::Duration as Span};

use flux_gear::{Duration, Fault};
use flux_world::Target;
use schemars::JsonSchema;
use serde::Deserialize;

/// Which side opens the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Others connect to us.
    Server,
    /// We connect to others, and again when the connection is lost.
    Client,
}

/// Whom a client connects to.
pub(crate) fn target(connect: Option<&str>) -> Result<Target, Fault> {
    let text = connect.ok_or_else(|| bad_config("a client needs `connect`".into()))?;
    text.parse().map_err(|why| bad_config(format!("`connect`: {why}")))
}

#[cold]
pub(crate) fn bad_config(problem: String) -> Fault {
    Fault::fatal(problem).reason("config")
}

pub(crate) fn seconds<const N: u64>() -> Duration {
    Duration(Span::from_secs(N))
}

pub(crate) fn max_queued_messages() -> NonZeroU16 {
    NonZeroU16::new(4096).expect("4096 is not 0")
}

pub(crate) fn max_connections() -> u32 {
    4096
}

pub(crate) fn one() -> NonZeroU16 {
    NonZeroU16::MIN
}

pub(crate) fn yes() -> bool {
    true
}
