//! The queues a durable wire delivers into.

use std::sync::Arc;

use flux_gear::{FluxMsg, Held, Key};

use super::End;
use crate::{routes::shard, wire::Wire};

/// The queues into the receiving gear: one, or one for each of its parallel instances.
pub(crate) struct Lines {
    pub(crate) wires: Vec<Arc<Wire>>,
    /// Chooses the instance.
    pub(crate) key: Option<Key>,
    /// Who sends, and who receives.
    pub(crate) from: End,
    pub(crate) to: End,
}

impl Lines {
    /// Some queues, for a message that comes from elsewhere.
    pub(crate) fn to(wires: Vec<Arc<Wire>>, key: Option<Key>) -> Lines {
        Lines { wires, key, from: End::default(), to: End::default() }
    }

    /// Which of the queues a message goes to.
    pub(crate) fn shard(&self, msg: &FluxMsg) -> usize {
        shard(self.key.as_ref(), self.wires.len(), msg)
    }

    /// Messages by queue.
    pub(crate) fn shares(&self, msgs: impl Iterator<Item = Held>) -> Vec<Vec<Held>> {
        let mut shares: Vec<Vec<Held>> = self.wires.iter().map(|_| Vec::new()).collect();
        for held in msgs {
            shares[self.shard(held.msg())].push(held);
        }
        shares
    }

    /// Takes out what waits in the queues, and gives it up.
    pub(crate) fn recall(&self) {
        for wire in &self.wires {
            drop(wire.recall());
        }
    }
}
