//! The compiled plan of one rack, as data: which gears, wired how, fused into which tasks, drained in which order.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::catalog::{Catalog, Terminus};
use crate::report::Report;
use crate::scenario::{Lane, Scenario};

/// Whether gears that can share a task do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fuse {
    /// They do: a fused hop is a call.
    On,
    /// Every gear has a task of its own. Outputs are the same either way.
    Off,
}

/// What one rack runs. Gears are named by their index in `gears`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Circuit {
    /// The gears of this rack, in the order written.
    pub gears: Vec<CircuitGear>,
    /// The wires of this rack, in the order written.
    pub wires: Vec<CircuitWire>,
    /// Gears whose `process` halves share a task, each segment in topological order.
    pub segments: Vec<Vec<usize>>,
    /// The order to drain in, sources first.
    pub drain_order: Vec<usize>,
}

/// A gear of a [`Circuit`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CircuitGear {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its config, with file paths resolved against the scenario file.
    pub config: serde_json::Value,
    /// Names of its inputs; wires refer to them by index.
    pub inputs: Vec<String>,
    /// Names of its outputs; wires refer to them by index.
    pub outputs: Vec<String>,
    /// The index of its segment.
    pub segment: usize,
    /// How many instances run; 1 unless partitioned.
    pub parallel: u16,
    /// The path whose value chooses the instance.
    pub partition_by: Option<String>,
    /// How a path through the graph ends here.
    pub terminus: Terminus,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its documentation.
    pub doc: Option<String>,
}

/// A wire of a [`Circuit`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CircuitWire {
    /// Its id, or `from -> to` when none was given.
    pub id: String,
    /// Gear and output index.
    pub from: (usize, usize),
    /// Gear and input index.
    pub to: (usize, usize),
    /// How it carries signals.
    pub lane: Lane,
    /// What `process` emits here is a call into the same segment; what an emitter emits still goes by queue.
    pub fused: bool,
}

/// Compiles what `rack` runs, or what the only rack runs when none is named.
///
/// # Errors
/// The whole report when [`crate::check`] finds an error, or when the rack is unknown or must be chosen.
pub fn compile(
    scenario: &Scenario,
    rack: Option<&str>,
    catalog: &Catalog,
    fuse: Fuse,
) -> Result<Circuit, Report> {
    todo!()
}

impl Circuit {
    /// For each output of a gear, the I/O gear that answers for it: found downstream through transparent gears when
    /// the way does not fork. Outputs without one are absent.
    pub fn bindings(&self, gear: usize) -> BTreeMap<String, String> {
        todo!()
    }
}
