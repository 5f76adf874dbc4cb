//! The patchbay: where each output port leads, swapped as a whole.

use std::{
    hash::{BuildHasher, BuildHasherDefault},
    sync::Arc,
};

use arc_swap::ArcSwap;
use flux_gear::{FluxMsg, InPort, Key, OutPort};
use rustc_hash::FxHasher;

use crate::wire::Wire;

/// All wires of a rack. Readers load it once per batch; a new one replaces it atomically.
pub(crate) type Patchbay = ArcSwap<Routes>;

/// Where each output port of each gear leads.
#[derive(Default)]
pub(crate) struct Routes {
    /// By gear, then by output port.
    pub(crate) gears: Vec<GearRoutes>,
    /// Number of slots used by all targets.
    pub(crate) slots: usize,
}

/// Where the output ports of one gear lead.
#[derive(Default)]
pub(crate) struct GearRoutes {
    pub(crate) outputs: Vec<Vec<Target>>,
    /// The gear's `error` output, if it has one.
    pub(crate) error: Option<OutPort>,
}

/// One wire as its sender sees it.
pub(crate) struct Target {
    /// The queues into the receiving gear: one, or one for each of its parallel instances.
    pub(crate) wires: Vec<Arc<Wire>>,
    /// The port of the receiving gear.
    pub(crate) to_port: InPort,
    /// Chooses the instance.
    pub(crate) key: Option<Key>,
    /// First of the slots in which a segment keeps, per queue, what waits to cross; the tally of a fused wire.
    pub(crate) slot: usize,
    /// The receiving gear's place in the sender's own segment: then `process` emissions are calls.
    pub(crate) fused: Option<usize>,
}

impl Routes {
    /// Where a port leads. A port that no wire leaves leads nowhere.
    pub(crate) fn targets(&self, gear: usize, port: OutPort) -> &[Target] {
        self.gears
            .get(gear)
            .and_then(|gear| gear.outputs.get(port.place()))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The error port of a gear, if a wire leaves it.
    pub(crate) fn error_port(&self, gear: usize) -> Option<OutPort> {
        let port = self.gears.get(gear)?.error?;
        (!self.targets(gear, port).is_empty()).then_some(port)
    }
}

impl Target {
    /// Which of the queues a message goes to: always the same for the same key. Messages without the key share one.
    pub(crate) fn shard(&self, msg: &FluxMsg) -> usize {
        match (&self.key, self.wires.len()) {
            (_, 0 | 1) | (None, _) => 0,
            (Some(key), n) => {
                let hash = BuildHasherDefault::<FxHasher>::default().hash_one(key.text(msg));
                (hash % n as u64) as usize
            }
        }
    }
}
