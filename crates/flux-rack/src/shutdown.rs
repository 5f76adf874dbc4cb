//! Leaving: drain in topological order from the sources, bounded; then name what is left.

use std::{cmp::Reverse, fmt, sync::Arc, time::Duration};

use flux_scenario::circuit::CircuitWire;
use flux_signal::Text;
use flux_world::{Clock, Instant, planted};
use serde::{Deserialize, Serialize};

use crate::{
    assembly::{Assembly, Place},
    contain::Contained,
    dead_letters,
    durable::{Durable, journal_of},
    rack::{Rack, SegmentHandle},
    segment::{Command, Draining},
};

/// Time a segment has to give its gears back although others used up what all have together.
const MOMENT: Duration = Duration::from_millis(50);

/// How a rack was left.
#[derive(Debug, Clone, Serialize)]
pub struct DrainReport {
    /// What could not be finished in time; empty after a clean drain.
    pub left: Vec<Left>,
    /// Messages that are gone with the rack: dead letters held in memory, and what gears gave up while they stopped.
    pub discarded: Vec<Discarded>,
    /// Messages that wait in journals, safe on disk: the next start delivers them, but for dead letters, which wait for
    /// whoever replays or drops them.
    pub on_disk: Vec<Left>,
    /// How long it took.
    pub took: Duration,
}

/// Something that was not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The gear or wire.
    pub name: String,
    /// Messages in it, as far as they can be counted.
    pub messages: Option<usize>,
}

/// Messages that were discarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Discarded {
    /// The gear that had them, or could not process them.
    pub gear: String,
    /// Why in one stable word: that of the dead letters, or the gear's own.
    pub reason: Text,
    /// How many.
    pub messages: u64,
}

impl DrainReport {
    /// Whether everything in hand was finished and nothing was discarded.
    pub fn is_clean(&self) -> bool {
        self.left.is_empty() && self.discarded.is_empty()
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.messages {
            Some(messages) => write!(f, "{messages} messages on {}", self.name),
            None => write!(f, "{} still busy", self.name),
        }
    }
}

impl Rack {
    /// Drains gear by gear, sources first, within `rack.drain_timeout`; then stops them all.
    ///
    /// A gear is drained when it has nothing in hand and everything it emitted is processed, or safe in the journal of a
    /// durable wire: what the receiver has not come to by then waits there, and so does what waits for a peer. What is left
    /// at the deadline is named in the report and in the log; its leases are abandoned, so that a source which waits for
    /// the end of its messages delivers them again.
    pub async fn shut_down(self) -> DrainReport {
        let report = self.leave().await;
        report.log();
        report
    }

    /// [`Rack::shut_down`] without a word.
    pub(crate) async fn leave(mut self) -> DrainReport {
        // What gears gave up in failures before was told then.
        self.shared.discards.take();
        let clock = self.shared.world.clock;
        let began = clock.now();
        let patience = if planted("drain_without_deadline") { 100 } else { 1 };
        let deadline = began + patience * self.shared.settings.drain_timeout;
        let mut left = Vec::new();
        self.durables.values().for_each(|durable| durable.take_last_orders());
        for segment in &self.segments {
            segment.hurried.send_replace(true);
        }
        // What is not in a queue by now stays a letter.
        self.replaying.shutdown().await;
        // They may still send to the others.
        let retired = async { while self.retiring.join_next().await.is_some() {} };
        let _ = clock.timeout_at(deadline, retired).await;
        for gear in self.assembly.circuit.drain_order.clone() {
            if !self.drain(gear, deadline).await {
                left.push(Left { name: self.assembly.circuit.gears[gear].name.clone(), messages: None });
            }
        }
        left.extend(self.queued());
        self.stop().await;
        let on_disk = self.close_all_journals(deadline).await;
        let took = clock.now().saturating_duration_since(began);
        DrainReport { left, discarded: self.discarded(), on_disk, took }
    }

    /// Closes the journals; says what is in them, and discards what could not be put there. What was appended to one has
    /// come to its end only when it is safe, and the wire it came by has to hear of it while its own journal is open: so
    /// the last of the flow is closed first.
    pub(crate) async fn close_all_journals(&self, deadline: Instant) -> Vec<Left> {
        let all_safe = async {
            for durable in self.durables.values() {
                durable.all_safe_or_full().await;
            }
            if let Some(letters) = self.shared.dead_letters.disk() {
                letters.all_safe().await;
            }
        };
        let _ = self.shared.world.clock.timeout_at(deadline, all_safe).await;
        let mut on_disk = Vec::new();
        let mut closed = |name: &str, held: u64, lost: u64| {
            if let messages @ 1.. = held.saturating_sub(lost) {
                on_disk.push(Left { name: name.to_owned(), messages: usize::try_from(messages).ok() });
            }
            if lost > 0 {
                self.shared.discards.add(name, "not_on_disk", lost);
            }
        };
        if let Some(letters) = self.shared.dead_letters.disk() {
            closed(dead_letters::DIRECTORY, letters.len() as u64, letters.close().await);
        }
        let order = &self.assembly.circuit.drain_order;
        let rank = |durable: &Durable| {
            let sender = self.assembly.gear(&durable.sender());
            sender.and_then(|sender| order.iter().position(|&gear| gear == sender))
        };
        let mut last_first: Vec<_> = self.durables.values().collect();
        last_first.sort_by_key(|durable| Reverse(rank(durable)));
        for durable in last_first {
            durable.stop_feeding().await;
            let held = durable.stats().unsettled;
            closed(&durable.name, held, durable.close().await);
        }
        on_disk
    }

    fn discarded(&self) -> Vec<Discarded> {
        let dead = self.shared.dead_letters.summary();
        let given_up = self.shared.discards.take().into_iter();
        let all = dead.into_iter().chain(given_up.map(|((gear, reason), n)| ((gear, reason.into()), n)));
        all.map(|((gear, reason), messages)| Discarded { gear, reason, messages }).collect()
    }

    /// Whether the gear finished in time.
    async fn drain(&self, gear: usize, deadline: Instant) -> bool {
        let clock = self.shared.world.clock;
        let mut in_time = true;
        for durable in self.durables_at(|wire| wire.to.gear() == Some(gear)) {
            durable.stop_feeding().await;
        }
        for &Place { segment, cell } in &self.assembly.seats[gear].places {
            let drained = async {
                self.segments[segment].drain(cell, clock).await;
                self.wires_from(gear).await;
            };
            in_time &= clock.timeout(deadline.saturating_duration_since(clock.now()), drained).await.is_ok();
        }
        in_time
    }

    /// Ends when all that left the gear is processed by those it went to.
    pub(crate) async fn wires_from(&self, gear: usize) {
        let Assembly { circuit, seats, wires, .. } = &self.assembly;
        for durable in self.durables_at(|wire| wire.from.gear() == Some(gear)) {
            durable.all_safe().await;
        }
        let is_hot = |wire: &CircuitWire| wire.from.gear() == Some(gear) && wire.durable.is_none();
        let from_it = || circuit.wires.iter().zip(wires).filter(|(wire, _)| is_hot(wire));
        for queue in from_it().flat_map(|(_, queues)| queues) {
            queue.wait_until_empty().await;
        }
        // What it still had for wires that a reload ended.
        for visitor in self.visitors.iter().filter(|visitor| visitor.from == circuit.gears[gear].name) {
            visitor.wire.wait_until_empty().await;
            let receiver = self.assembly.gear(&visitor.to.0);
            for place in receiver.iter().flat_map(|&gear| &seats[gear].places) {
                self.segments[place.segment].ask(|done| Command::Sync { done }).await;
            }
        }
        for place in from_it().filter_map(|(wire, _)| wire.to.gear()).flat_map(|to| &seats[to].places) {
            self.segments[place.segment].ask(|done| Command::Sync { done }).await;
        }
    }

    /// The journals of some wires.
    pub(crate) fn durables_at(
        &self,
        is_meant: impl Fn(&CircuitWire) -> bool,
    ) -> impl Iterator<Item = &Arc<Durable>> {
        let wires = self.assembly.circuit.wires.iter().filter(move |wire| is_meant(wire));
        wires.filter_map(|wire| self.durables.get(&journal_of(wire)?))
    }

    fn queued(&self) -> Vec<Left> {
        let stats = self.stats();
        let queued = stats.wires.into_iter().filter(|wire| wire.depth > 0);
        queued.map(|wire| Left { name: wire.name, messages: Some(wire.depth) }).collect()
    }

    /// Takes the gears back from their segments and stops them, sources first.
    async fn stop(&mut self) {
        let deadline = self.shared.world.clock.now() + self.shared.settings.stop_timeout;
        self.assembly.wires.iter().flatten().for_each(|wire| wire.close());
        let mut cells = Vec::new();
        for segment in &self.segments {
            // A segment that does not answer in time is aborted; its gears are dropped where they stand. One that can answer
            // has a moment for it, however long the others took.
            let patience = deadline.saturating_duration_since(self.shared.world.clock.now());
            match segment.leave(&self.shared.world, patience.max(MOMENT)).await {
                Some(given_back) => cells.extend(given_back),
                None => segment.task.abort(),
            }
        }
        let order = &self.assembly.circuit.drain_order;
        let rank = |gear: Option<usize>| order.iter().position(|&other| Some(other) == gear);
        cells.sort_by_key(|cell| rank(self.assembly.gear(&cell.name)));
        for cell in cells {
            cell.stop(&self.shared).await;
        }
    }
}

impl SegmentHandle {
    /// Has a gear drain, and ends when it has nothing in hand. One that failed is waited for when messages wait for it.
    pub(crate) async fn drain(&self, cell: usize, clock: Clock) {
        while let Some(draining) = self.ask(|draining| Command::Drain { cell, draining }).await {
            match draining {
                Draining::Down(restart_at) => clock.sleep_until(restart_at).await,
                Draining::Idle => return,
                Draining::Until(drain) => {
                    // A panic while draining leaves nothing to wait for.
                    let _ = Contained(drain).await;
                    return;
                }
            }
        }
    }
}

impl DrainReport {
    fn log(&self) {
        for left in &self.left {
            tracing::warn!(left = %left, "not finished in time");
        }
        for Discarded { gear, reason, messages } in &self.discarded {
            tracing::warn!(gear, %reason, messages, "messages were discarded");
        }
        for waiting in &self.on_disk {
            tracing::info!(%waiting, "waits on disk for the next start");
        }
        let (clean, took) = (self.is_clean(), self.took);
        tracing::info!(clean, ?took, "rack drained");
    }
}
