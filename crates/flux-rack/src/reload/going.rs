//! Durable wires that a reload takes out, or makes hot: what they hold is delivered first, or left on disk on purpose.
//!
//! ```text
//! shut    senders wait, the receiver goes on          it is empty: the wire goes
//!                                                     it is not, in time: refused, senders go on
//! ebbing  segments are called back, sources first:    what they had in hand is let in, and delivered before the
//!         gears' own tasks wait                       receiver is called back, too
//! leave   the wire goes as it is                      what it holds waits for a wire of its id, and is told of
//! ```
//! Several are shut one after the other, in the order of the flow: the receiver of one may be the sender of the next, and
//! must not wait at it while it still has something to deliver.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use flux_scenario::circuit::Circuit;
use flux_world::Clock;

use crate::{
    durable::{DIRECTORIES, Durable, Gate, is_receiver, journal_of},
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
        let others = self.others().filter(|durable| !durable.is_empty());
        let mut left: Vec<Left> = others.map(|durable| durable.left()).collect();
        let is_open = |orphan: &Left| self.durables.keys().any(|journal| name_of(journal) == orphan.name);
        left.extend(self.orphans.iter().filter(|orphan| !is_open(orphan)).cloned());
        left
    }

    /// Looks for journals of wires that the circuit does not have.
    pub(crate) async fn find_orphans(&mut self) {
        let (world, state_dir) = (self.shared.world.clone(), self.shared.store.state_dir.clone());
        let known: Vec<String> = self.durables.keys().cloned().collect();
        let found = self.shared.world.disk.offload(move || {
            let all = DIRECTORIES.iter().flat_map(|directory| {
                let names = world.disk.directories(&state_dir.join(directory)).unwrap_or_default();
                names.into_iter().map(move |name| format!("{directory}/{name}"))
            });
            let found = all.filter(|journal| !known.contains(journal)).filter_map(|journal| {
                let report = flux_journal::check(&world, &state_dir.join(&journal)).ok()?;
                let settled = report.consumers.iter().find(|(name, _)| is_receiver(name));
                let held = report.next.saturating_sub(settled.map_or(report.first, |(_, low)| *low));
                (held > 0).then(|| Left {
                    name: name_of(&journal).to_owned(),
                    messages: usize::try_from(held).ok(),
                })
            });
            found.collect()
        });
        self.orphans = found.await;
        for Left { name, messages } in &self.orphans {
            tracing::warn!(
                journal = name,
                messages,
                "a journal holds messages of a wire that is not in the scenario: they wait until it is"
            );
        }
    }

    /// The durable wires that run and are not in this circuit, in the order of the flow.
    pub(super) fn going(&self, circuit: &Circuit) -> Vec<Arc<Durable>> {
        let now = &self.assembly.circuit;
        let staying: BTreeSet<String> = circuit.wires.iter().filter_map(journal_of).collect();
        let mut running: Vec<_> = now.wires.iter().collect();
        running.sort_by_key(|wire| now.drain_order.iter().position(|&gear| Some(gear) == wire.from.gear()));
        let journals = running.into_iter().filter_map(journal_of);
        journals
            .filter(|journal| !staying.contains(journal))
            .filter_map(|journal| self.durables.get(&journal).cloned())
            .collect()
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

/// Durable wires that are to be empty when they go.
pub(super) struct Ebb {
    /// In the order of the flow.
    wires: Vec<Arc<Durable>>,
    /// For how long they may still be waited for.
    patience: Duration,
    clock: Clock,
}

impl Ebb {
    /// These wires, in the order of the flow, which are waited for as long as `patience` altogether.
    pub(super) fn new(wires: Vec<Arc<Durable>>, patience: Duration, clock: Clock) -> Ebb {
        Ebb { wires, patience, clock }
    }

    /// Has them run empty, one after the other: nothing more is let in.
    pub(super) async fn run_empty(&mut self) -> Result<(), ChangeError> {
        for at in 0..self.wires.len() {
            self.wires[at].set_gate(Gate::Shut);
            self.wait_for(at).await?;
        }
        Ok(())
    }

    /// From here on segments may bring what they have in hand, so that they can be called back.
    pub(super) fn let_segments_in(&self) {
        self.wires.iter().for_each(|durable| durable.set_gate(Gate::Ebbing));
    }

    /// Waits for what is on its way to these gears, where whoever sends it has been called back.
    pub(super) async fn run_empty_into(
        &mut self,
        receivers: &[String],
        called_back: &BTreeSet<String>,
    ) -> Result<(), ChangeError> {
        for at in 0..self.wires.len() {
            let (sender, receiver) = (self.wires[at].sender(), self.wires[at].receiver());
            if receivers.contains(&receiver) && called_back.contains(&sender) {
                self.wait_for(at).await?;
            }
        }
        Ok(())
    }

    async fn wait_for(&mut self, at: usize) -> Result<(), ChangeError> {
        let began = self.clock.now();
        loop {
            let held = is_empty(&self.wires[at]);
            let waited = self.clock.now().saturating_duration_since(began);
            if held.is_ok() || waited >= self.patience {
                self.patience = self.patience.saturating_sub(waited);
                return held;
            }
            self.clock.sleep(LOOK_EVERY).await;
        }
    }

    /// Whether all of them are empty; else what the first holds that is not.
    pub(super) fn is_over(&self) -> Result<(), ChangeError> {
        self.wires.iter().try_for_each(|durable| is_empty(durable))
    }

    /// Whether there is time left.
    pub(super) fn has_time(&self) -> bool {
        !self.patience.is_zero()
    }

    /// They stay: senders go on.
    pub(super) fn call_off(&self) {
        self.wires.iter().for_each(|durable| durable.set_gate(Gate::Open));
    }
}

/// How a journal that no wire has is called: those of wires inside the rack by their directory alone.
fn name_of(journal: &str) -> &str {
    journal.strip_prefix("wires/").unwrap_or(journal)
}

fn is_empty(durable: &Durable) -> Result<(), ChangeError> {
    let held = durable.left();
    if held.messages == Some(0) { Ok(()) } else { Err(ChangeError::Holding { held }) }
}
