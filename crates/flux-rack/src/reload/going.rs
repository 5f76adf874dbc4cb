//! Durable wires that a reload takes out, or makes hot: what they hold is delivered first, or left on disk on purpose.
//!
//! ```text
//! shut    senders wait, the receiver goes on          it is empty: the wire goes
//!                                                     it is not, in time: refused, senders go on
//! leave   the wire goes as it is                      what it holds waits for a wire of its id, and is told of
//! ```

use std::{sync::Arc, time::Duration};

use flux_scenario::circuit::Circuit;

use super::journals::WIRES_DIRECTORY;
use crate::{
    durable::{Durable, Gate, directory_name},
    rack::{ChangeError, Rack},
    shutdown::Left,
};

/// Time between two looks at a wire that runs empty.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What becomes of messages on durable wires that go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remains {
    /// They are delivered before; where that takes long, the reload is refused.
    Delivered,
    /// They stay on disk, for a wire of the same id.
    LeftOnDisk,
}

impl Rack {
    /// What waits on durable wires that this circuit does not have.
    pub fn held_by_wires_not_in(&self, circuit: &Circuit) -> Vec<Left> {
        let going = self.going(circuit);
        going.iter().filter(|durable| !durable.is_empty()).map(|durable| durable.left()).collect()
    }

    /// What waits on disk for a durable wire that is not there, by its id, or by its directory where it never was.
    pub fn left_on_disk(&self) -> Vec<Left> {
        let others = self.others().filter(|(_, durable)| !durable.is_empty());
        let mut left: Vec<Left> = others.map(|(_, durable)| durable.left()).collect();
        let is_open = |orphan: &Left| self.durables.keys().any(|wire| directory_name(wire) == orphan.name);
        left.extend(self.orphans.iter().filter(|orphan| !is_open(orphan)).cloned());
        left
    }

    /// Looks for journals of wires that the circuit does not have.
    pub(crate) async fn find_orphans(&mut self) {
        let (world, state_dir) =
            (self.shared.world.clone(), self.shared.store.state_dir.join(WIRES_DIRECTORY));
        let known: Vec<String> = self.durables.keys().map(|wire| directory_name(wire)).collect();
        let found = self.shared.world.disk.offload(move || {
            let names = world.disk.directories(&state_dir).unwrap_or_default().into_iter();
            let unknown = names.filter(|name| !known.contains(name));
            let found = unknown.filter_map(|name| {
                let report = flux_journal::check(&world, &state_dir.join(&name)).ok()?;
                let settled =
                    report.consumers.iter().find(|(consumer, _)| consumer == crate::durable::CONSUMER);
                let held = report.next.saturating_sub(settled.map_or(report.first, |(_, low)| *low));
                (held > 0).then(|| Left { name, messages: usize::try_from(held).ok() })
            });
            found.collect()
        });
        self.orphans = found.await;
        for Left { name, messages } in &self.orphans {
            tracing::warn!(
                journal = format!("{WIRES_DIRECTORY}/{name}"),
                messages,
                "a journal holds messages of a wire that is not in the scenario: they wait until it is"
            );
        }
    }

    /// The durable wires that run and are not in this circuit.
    pub(super) fn going(&self, circuit: &Circuit) -> Vec<Arc<Durable>> {
        let stays = |id: &String| circuit.wires.iter().any(|wire| wire.durable.is_some() && wire.id == *id);
        let running =
            self.assembly.circuit.wires.iter().filter(|wire| wire.durable.is_some() && !stays(&wire.id));
        running.filter_map(|wire| self.durables.get(&wire.id).cloned()).collect()
    }

    /// Has wires run empty: nothing more is let in.
    pub(super) async fn run_empty(&self, going: &[Arc<Durable>]) -> Result<(), ChangeError> {
        going.iter().for_each(|durable| durable.set_gate(Gate::Shut));
        let clock = self.shared.world.clock;
        let deadline = clock.now() + self.shared.settings.process_timeout;
        while is_empty(going).is_err() && clock.now() < deadline {
            clock.sleep(LOOK_EVERY).await;
        }
        is_empty(going)
    }

    /// Wires that went take nothing more: who still sends by one goes where its port leads now. A sender that went as well
    /// has no other way.
    pub(super) fn end_going(&self, going: &[Arc<Durable>]) {
        for durable in going {
            let has_sender = self.assembly.gear(&durable.sender()).is_some();
            durable.set_gate(if has_sender { Gate::Gone } else { Gate::Open });
        }
    }
}

/// Whether all of them are; else what the first holds that is not.
pub(super) fn is_empty(going: &[Arc<Durable>]) -> Result<(), ChangeError> {
    match going.iter().find(|durable| !durable.is_empty()) {
        None => Ok(()),
        Some(durable) => Err(ChangeError::Holding { held: durable.left() }),
    }
}
