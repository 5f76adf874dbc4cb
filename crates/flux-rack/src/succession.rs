//! From this process to another one, while connections stay open.
//!
//! ```text
//! pause     gears read nothing more; what was read runs to its end     in vain: all go on as if nothing had been
//! stand     segments leave their gears
//! move out  each gear packs what can go over and ends; what is still in a queue is packed for its receiver
//! close     journals are on disk, and free
//! ```
//! The other process, or this one if that fails, boots with what was packed: [`Rack::boot_with`].

use std::{collections::VecDeque, mem, time::Duration};

use flux_gear::{FluxMsg, Held, Parcel};
use flux_scenario::circuit::Circuit;
use tokio::sync::oneshot;

use crate::{
    assembly::Place,
    cell::Cell,
    dead_letters::DeadLetter,
    rack::{ChangeError, Rack, SegmentHandle, Surroundings},
    segment::{Command, Draining},
};

/// Time beyond that of gears for what they read to come to its end.
const RUNS_OUT_WITHIN: Duration = Duration::from_secs(5);

/// What a rack leaves to another process, gear by gear.
#[derive(Debug, Default)]
pub struct Estate {
    /// In the order in which they were drained.
    pub gears: Vec<Bequeathed>,
}

/// What one instance of a gear leaves.
#[derive(Debug)]
pub struct Bequeathed {
    /// Its name.
    pub gear: String,
    /// Which of its parallel instances.
    pub number: usize,
    /// Its kind.
    pub kind: String,
    /// What it packed. Its messages are in `undone`.
    pub parcel: Parcel,
    /// Messages to be processed first, oldest first, with the names of the ports they came in by.
    pub undone: Vec<(String, FluxMsg)>,
}

impl Estate {
    /// Takes what is for this instance, if it is of that kind.
    fn take(&mut self, gear: &str, number: usize, kind: &str) -> Option<Bequeathed> {
        let is_for =
            |left: &Bequeathed| (left.gear.as_str(), left.number, left.kind.as_str()) == (gear, number, kind);
        let at = self.gears.iter().position(is_for)?;
        Some(self.gears.remove(at))
    }
}

impl Rack {
    /// [Boots](Rack::boot) with what another rack left: what was in hand is the first that is processed, and connections go on
    /// once the rack is told to [resume](Rack::resume). What there is no gear for ends, or is a dead letter. After an error the
    /// connections are as they were, for whoever has them still.
    pub async fn boot_with(
        circuit: Circuit,
        surroundings: Surroundings,
        estate: Estate,
    ) -> Result<Rack, ChangeError> {
        let mut rack = Rack::boot_by(circuit, surroundings, estate).await?;
        let nobody_s = mem::take(&mut rack.estate);
        for Bequeathed { gear, parcel, undone, .. } in nobody_s.gears {
            let (descriptors, messages) = (parcel.descriptors.len(), undone.len());
            if !parcel.is_empty() || messages > 0 {
                tracing::warn!(
                    gear,
                    descriptors,
                    messages,
                    "nobody goes on with what a gear of another process left"
                );
            }
            for (port, msg) in undone {
                let unix_ns = rack.shared.world.clock.unix_ns();
                rack.shared.dead_letters.keep(DeadLetter::gone(msg, &gear, &port, unix_ns)).await;
            }
        }
        Ok(rack)
    }

    /// Gives a gear that is made what another process left for it.
    pub(crate) fn move_in(&mut self, cell: &mut Cell, number: usize, kind: &str) {
        let Some(Bequeathed { parcel, undone, .. }) = self.estate.take(&cell.name, number, kind) else {
            return;
        };
        if let Err(why) = cell.move_in(parcel) {
            tracing::error!(gear = cell.name, error = %why, "what another process left is of no use");
        }
        for (port, msg) in undone {
            match cell.port(&port) {
                Some(port) => cell.pending.push_back((port, Held::new(msg))),
                None => self.estate.gears.push(Bequeathed {
                    gear: cell.name.clone(),
                    number,
                    kind: String::new(),
                    parcel: Parcel::default(),
                    undone: vec![(port, msg)],
                }),
            }
        }
    }

    /// Ends, and leaves to another process what can go there. Sessions that cannot have `within` to come to their end.
    ///
    /// # Errors
    /// When something does not come to rest: then everything goes on as before.
    pub async fn move_out(mut self, within: Duration) -> Result<Estate, (Box<Rack>, ChangeError)> {
        self.replaying.shutdown().await;
        if let Err(why) = self.come_to_rest(within).await {
            self.resume().await;
            self.feed();
            return Err((Box::new(self), why));
        }
        let mut standing = match self.pause(Vec::new()).await {
            Ok(standing) => standing,
            Err(why) => {
                self.resume().await;
                self.feed();
                return Err((Box::new(self), why));
            }
        };
        let mut estate = Estate::default();
        for gear in self.assembly.circuit.drain_order.clone() {
            let declared = &self.assembly.circuit.gears[gear];
            for number in 0..self.assembly.seats[gear].places.len() {
                let Some(cell) = standing.remove(&(declared.name.clone(), number)) else { continue };
                let inputs = cell.inputs.clone();
                let (mut parcel, pending) = cell.move_out(&self.shared).await;
                parcel.config = declared.config.clone();
                let name =
                    |port: flux_gear::InPort| inputs.get(usize::from(port.0)).cloned().unwrap_or_default();
                let undone = mem::take(&mut parcel.undone).into_iter().map(|(port, msg)| (name(port), msg));
                let pending = pending.into_iter().map(|(port, held)| (name(port), held));
                estate.gears.push(Bequeathed {
                    gear: declared.name.clone(),
                    number,
                    kind: declared.kind.clone(),
                    parcel,
                    undone: undone.chain(pending.filter_map(unkept)).collect(),
                });
            }
        }
        self.empty_wires(&mut estate);
        self.close_all_journals(self.shared.world.clock.now() + RUNS_OUT_WITHIN).await;
        Ok(estate)
    }

    /// Has gears read nothing more, sources first, each until what it read has run to its end.
    async fn come_to_rest(&mut self, within: Duration) -> Result<(), ChangeError> {
        let clock = self.shared.world.clock;
        let deadline = clock.now() + within + RUNS_OUT_WITHIN;
        let retired = async { while self.retiring.join_next().await.is_some() {} };
        let _ = clock.timeout_at(deadline, retired).await;
        for gear in self.assembly.circuit.drain_order.clone() {
            for durable in self.durables_at(|wire| wire.to.gear() == Some(gear)) {
                durable.stop_feeding().await;
            }
            let at_rest = async {
                for &Place { segment, cell } in &self.assembly.seats[gear].places {
                    self.segments[segment].pause(cell, within).await;
                }
                self.wires_from(gear).await;
            };
            if clock.timeout_at(deadline, at_rest).await.is_err() {
                let waited = within + RUNS_OUT_WITHIN;
                return Err(ChangeError::Busy {
                    gear: self.assembly.circuit.gears[gear].name.clone(),
                    waited,
                });
            }
        }
        Ok(())
    }

    /// Lets gears read from what came to them from another process, once that has given it up.
    pub async fn resume(&mut self) {
        for &Place { segment, cell } in self.assembly.seats.iter().flat_map(|seat| &seat.places) {
            self.segments[segment].ask(|resumed| Command::Resume { cell, resumed }).await;
        }
    }

    /// Packs what is still in queues (a timeout may come at any moment) for those it is on its way to.
    fn empty_wires(&self, estate: &mut Estate) {
        let circuit = &self.assembly.circuit;
        for (wire, queues) in circuit.wires.iter().zip(&self.assembly.wires) {
            let [_, _, receiver, port] = circuit.ends(wire);
            for (number, queue) in queues.iter().enumerate() {
                let mut left = VecDeque::new();
                queue.take(usize::MAX, &mut left);
                let is_for = |left: &&mut Bequeathed| (left.gear.as_str(), left.number) == (receiver, number);
                if let Some(heir) = estate.gears.iter_mut().find(is_for) {
                    heir.undone.extend(left.into_iter().filter_map(|held| unkept((port.to_owned(), held))));
                }
            }
        }
    }
}

impl SegmentHandle {
    async fn pause(&self, cell: usize, within: Duration) {
        let paused =
            self.ask(|draining: oneshot::Sender<Draining>| Command::Pause { cell, within, draining }).await;
        if let Some(Draining::Until(rest)) = paused {
            // A panic leaves nothing to wait for.
            let _ = crate::contain::Contained(rest).await;
        }
    }
}

/// A message that nothing but this process has. One that a durable wire keeps waits there.
fn unkept((port, held): (String, Held)) -> Option<(String, FluxMsg)> {
    (!held.msg().is_patient()).then(|| (port, held.release()))
}
