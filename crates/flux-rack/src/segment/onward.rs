//! Where messages go from a gear: on their segment's stack, or to the edge of the segment.

use std::{collections::VecDeque, sync::Arc};

use flux_gear::{FluxMsg, Held, InPort, OutPort};
use tokio::sync::watch;

use super::{Exception, Run};
use crate::{
    durable::Durable,
    routes::{Routes, Target},
    wire::Wire,
};

/// Buffers kept for reuse: as many as a fan-out of some breadth and depth has in use.
const SPARE_BUFFERS_MAX: usize = 32;

/// Where messages go from a gear: on this segment's stack, or to the edge of the segment.
pub(super) struct Onward {
    /// What is still to be done for the messages that entered; the next on top.
    pub(super) stack: Vec<Todo>,
    /// Empty buffers of runs that came to an end.
    spare: Vec<VecDeque<Held>>,
    /// By slot: what waits to cross to another segment, and how many went to a fused gear.
    pub(super) crossings: Vec<Vec<Held>>,
    pub(super) fused_tally: Vec<u64>,
    pub(super) waiting_to_cross: usize,
    /// Whether what crosses waits for room.
    pub(super) forces: bool,
}

pub(super) enum Todo {
    Run(Run),
    Exception(Box<Exception>),
}

/// Where the outputs of one gear of this segment lead.
pub(super) struct Exits {
    pub(super) routes: Arc<Routes>,
    /// Its first slot among those of the segment.
    pub(super) slot: usize,
}

impl Onward {
    /// With so many slots, empty.
    pub(super) fn new(slots: usize) -> Onward {
        Onward {
            stack: Vec::new(),
            spare: Vec::new(),
            crossings: std::iter::repeat_with(Vec::new).take(slots).collect(),
            fused_tally: vec![0; slots],
            waiting_to_cross: 0,
            forces: false,
        }
    }

    /// Puts messages that enter a gear of this segment on the stack.
    pub(super) fn run(&mut self, cell: usize, port: InPort, msgs: VecDeque<Held>) {
        self.stack.push(Todo::Run(Run { cell, port, msgs }));
    }

    pub(super) fn buffer(&mut self) -> VecDeque<Held> {
        self.spare.pop().unwrap_or_default()
    }

    pub(super) fn recycle(&mut self, empty: VecDeque<Held>) {
        if self.spare.len() < SPARE_BUFFERS_MAX {
            self.spare.push(empty);
        }
    }

    pub(super) fn except(&mut self, exception: Exception) {
        self.stack.push(Todo::Exception(Box::new(exception)));
    }

    /// Sends one message to all targets of a port; gives it back when there is none.
    pub(super) fn send(
        &mut self,
        Exits { routes, slot }: &Exits,
        port: OutPort,
        msg: FluxMsg,
    ) -> Option<FluxMsg> {
        let Some((last, others)) = routes.targets(port).split_last() else { return Some(msg) };
        for target in others {
            self.send_to(*slot, target, msg.clone());
        }
        self.send_to(*slot, last, msg);
        None
    }

    fn send_to(&mut self, slot: usize, target: &Target, msg: FluxMsg) {
        let mut msgs = self.buffer();
        msgs.push_back(msg.into());
        self.forward(slot, target, msgs);
    }

    /// Sends messages on their way to one target of a gear whose slots begin at `slot`.
    pub(super) fn forward(&mut self, slot: usize, target: &Target, mut msgs: VecDeque<Held>) {
        match target.fused {
            Some(cell) => {
                self.fused_tally[slot + target.slot] += msgs.len() as u64;
                self.run(cell, target.to_port, msgs);
            }
            None => {
                self.waiting_to_cross += msgs.len();
                for held in msgs.drain(..) {
                    self.crossings[slot + target.slot + target.shard(held.msg())].push(held);
                }
                self.recycle(msgs);
            }
        }
    }
}

/// Hands messages over, waiting for room until the gears are wanted back: who takes from the wire may be gone already.
pub(super) async fn cross_to(wire: &Wire, waiting: &mut Vec<Held>, recalled: &mut watch::Receiver<bool>) {
    // A closed wire means that the rack gives up: what is left abandons its lease.
    if wire.try_push(waiting).is_err() || waiting.is_empty() {
        return;
    }
    tokio::select! {
        biased;
        pushed = wire.push(waiting) => drop(pushed),
        Ok(_) = recalled.wait_for(|recalled| *recalled) => wire.force(waiting),
    }
}

/// The same into a journal, waiting for a wire that runs empty.
pub(super) async fn cross_into(
    durable: &Durable,
    waiting: &mut Vec<Held>,
    recalled: &mut watch::Receiver<bool>,
) {
    tokio::select! {
        biased;
        () = durable.lets_segments_in() => {}
        Ok(_) = recalled.wait_for(|recalled| *recalled) => {}
    }
    // A closed journal means that the rack gives up: what is left abandons its lease.
    drop(durable.append(waiting).await);
}
