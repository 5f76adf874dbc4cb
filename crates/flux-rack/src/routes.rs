//! Where the output ports of one gear lead, swapped as a whole.

use std::{
    hash::{BuildHasher, BuildHasherDefault},
    sync::Arc,
};

use arc_swap::ArcSwap;
use flux_gear::{ERROR_PORT, FluxMsg, InPort, Key, OutPort};
use flux_world::planted;
use rustc_hash::FxHasher;

use crate::{
    assembly::port_number,
    durable::{Durable, Outgoing},
    wire::{Closed, Wire},
};

/// The patchbay of one gear: what its own tasks emit goes where it says now. The gear's segment has routes of its own,
/// which do not change for as long as the segment runs.
pub(crate) type Patchbay = ArcSwap<Routes>;

/// Where the output ports of one gear lead.
#[derive(Default)]
pub(crate) struct Routes {
    /// By output port.
    pub(crate) outputs: Vec<Vec<Target>>,
    /// The gear's `error` output, if it has one.
    pub(crate) error: Option<OutPort>,
    /// Number of slots used by all targets.
    pub(crate) slots: usize,
}

/// One wire as its sender sees it.
#[derive(Clone)]
pub(crate) struct Target {
    /// The queues into the receiving gear: one, or one for each of its parallel instances.
    pub(crate) wires: Vec<Arc<Wire>>,
    /// What stands before them, and fills them, when the wire is durable.
    pub(crate) durable: Option<Arc<Durable>>,
    /// The port of the receiving gear.
    pub(crate) to_port: InPort,
    /// Chooses the instance.
    pub(crate) key: Option<Key>,
    /// First of the slots, counted per gear, in which a segment keeps, per queue, what waits to cross; the tally of a
    /// fused wire.
    pub(crate) slot: usize,
    /// The receiving gear's place in the sender's own segment: then `process` emissions are calls.
    pub(crate) fused: Option<usize>,
}

impl Routes {
    /// Where a port leads. A port that no wire leaves leads nowhere.
    pub(crate) fn targets(&self, port: OutPort) -> &[Target] {
        self.outputs.get(port.place()).map(Vec::as_slice).unwrap_or_default()
    }

    /// The error port, if a wire leaves it.
    pub(crate) fn error_port(&self) -> Option<OutPort> {
        self.error.filter(|&port| !self.targets(port).is_empty())
    }

    /// Routes for a gear with these outputs, each leading where `targets` says of its name, all by queue.
    pub(crate) fn queued<'a>(outputs: &[String], targets: impl Fn(&str) -> &'a [Target]) -> Routes {
        let mut routes = Routes::default();
        for (at, output) in outputs.iter().enumerate() {
            if output == ERROR_PORT {
                routes.error = Some(OutPort::at(port_number(at)));
            }
            let mut queued = Vec::new();
            for target in targets(output) {
                queued.push(Target { fused: None, slot: routes.slots, ..target.clone() });
                routes.slots += target.wires.len();
            }
            routes.outputs.push(queued);
        }
        routes
    }

    /// All targets, in the order of their slots.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Target> {
        self.outputs.iter().flatten()
    }
}

impl Target {
    /// Into how many parts the sender divides what it sends: into one where a journal comes first.
    pub(crate) fn shards(&self) -> usize {
        if self.durable.is_some() { 1 } else { self.wires.len() }
    }

    /// Whether both are the same wire by its name, whatever its lane and its parts.
    pub(crate) fn is_to_the_same(&self, other: &Target) -> bool {
        self.wires[0].name == other.wires[0].name
    }

    /// Which of the parts a message belongs to.
    pub(crate) fn shard(&self, msg: &FluxMsg) -> usize {
        shard(self.key.as_ref(), self.shards(), msg)
    }

    /// Hands over what there is room for from the front of `msgs`, all of one shard, without waiting.
    pub(crate) fn try_push<M: Outgoing>(&self, shard: usize, msgs: &mut Vec<M>) -> Result<(), Closed> {
        match &self.durable {
            Some(durable) => durable.try_push(msgs),
            None => self.wires[shard].try_push(msgs),
        }
    }

    /// Hands over all of `msgs`, all of one shard, and waits for room as often as it takes.
    pub(crate) async fn push<M: Outgoing>(&self, shard: usize, msgs: &mut Vec<M>) -> Result<(), Closed> {
        match &self.durable {
            Some(durable) => durable.push(msgs).await,
            None => self.wires[shard].push(msgs).await,
        }
    }
}

/// Which of `n` parts a message belongs to: always the same for the same key. Messages without the key share one.
pub(crate) fn shard(key: Option<&Key>, n: usize, msg: &FluxMsg) -> usize {
    match (key, n) {
        (_, 0 | 1) | (None, _) => 0,
        _ if planted("keys_scattered") => msg.payload.len() % n,
        (Some(key), n) => {
            let hash = BuildHasherDefault::<FxHasher>::default().hash_one(key.text(msg));
            (hash % n as u64) as usize
        }
    }
}
