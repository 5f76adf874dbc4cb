//! The edge runtime: hosts gears, patches wires, contains faults, drains.
//!
//! Invariant: no concrete gear is named here. A rack is booted from a [`flux_scenario`] circuit and a registry.
//!
//! How a circuit runs: gears whose `process` halves may share a task form a *segment*; a message that enters a
//! segment runs to completion in it, hop after hop as plain calls ([`segment`]). Wires between segments are bounded
//! queues emptied in batches ([`wire`]). What a gear's own tasks emit goes by queue into the receiving segment,
//! in the task that emits: that is the other half of the gear, and it waits when the wire is full.

mod assembly;
mod cell;
mod contain;
mod custody;
mod dead_letters;
mod draft;
mod durable;
mod outlet;
mod rack;
mod reload;
mod replay;
mod routes;
mod segment;
mod shutdown;
mod stats;
mod storage;
mod store;
mod succession;
mod tuning;
mod wire;
mod workshop;

pub use custody::JournalError;
pub use dead_letters::{DeadLetter, DeadLetters, Filter, Letter, Searched, Stopped, search};
pub use durable::{DurableStats, MeshStats};
pub use rack::{ChangeError, Rack, Surroundings};
pub use reload::{Reloaded, Remains};
pub use replay::Handled;
pub use shutdown::{Discarded, DrainReport, Left};
pub use stats::{GearStats, LatencyStats, RackStats, WaitingStats, WireStats};
pub use storage::DiskStorage;
pub use succession::{Bequeathed, Estate};
