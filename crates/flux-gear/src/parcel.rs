//! What a gear leaves to the one in its place in another process.

use std::os::fd::OwnedFd;

use flux_signal::{FluxMsg, Value};
use serde_json::Value as Json;

use crate::InPort;

/// State, open sockets, and messages to be processed anew. Made by [`Gear::move_out`](crate::Gear::move_out), in the process
/// that ends, and taken by [`Gear::move_in`](crate::Gear::move_in) in the one that takes over.
#[derive(Debug, Default)]
pub struct Parcel {
    /// The configuration of the gear that left it, as it stands in the scenario. Filled in by the host.
    pub config: Json,
    /// In the gear's own words.
    pub state: Value,
    /// What is open, in the gear's own order.
    pub descriptors: Vec<OwnedFd>,
    /// Messages it had taken and done nothing about, oldest first. They are processed before all others.
    pub undone: Vec<(InPort, FluxMsg)>,
}

impl Parcel {
    /// Whether nothing was left to the gear itself.
    pub fn is_empty(&self) -> bool {
        self.state == Value::Null && self.descriptors.is_empty()
    }
}
