//! Takes the records of a durable wire to its receiver, in order, and those again that the receiver gave up.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use flux_gear::{Bytes, FluxId, FluxMsg, Held};
use flux_journal::{Batch, Consumer, DamageKind, FormatError, Journal, ReadError, Record, Start};
use flux_scenario::Durability;
use flux_signal::{
    Limits,
    cbor::{self, Strictness},
};
use parking_lot::Mutex;

use super::{
    End, STALLED_RETRY,
    lines::Lines,
    loan::{LastOrders, Loan, Loans},
    seen::Seen,
};
use crate::{
    custody::Appender,
    dead_letters::{DeadLetter, DeadLetters},
    stats::Counter,
    wire::{Closed, Wire},
};

/// The consumer whose cursor says what the receiver has settled.
pub(crate) const CONSUMER: &str = "receiver";

/// What was accepted once is not refused on the way back.
const NO_LIMITS: Limits = Limits { hops_max: u16::MAX, message_bytes_max: usize::MAX };

/// Tells what of a record is a message.
pub(super) type BodyOf = fn(&Bytes) -> Option<Bytes>;

/// How long nothing comes by a wire before it looks whether its window of ids is what keeps its senders waiting.
const WINDOW_CHECK: Duration = Duration::from_secs(5);

/// Feeds one wire, as a task of its own.
pub(crate) struct Feeder {
    pub(crate) name: String,
    pub(crate) appender: Arc<Appender>,
    pub(crate) lines: Arc<ArcSwap<Lines>>,
    /// What is out now, for whoever counts or stops it.
    pub(crate) loans: Arc<Mutex<Option<Arc<Loans>>>>,
    pub(crate) duplicates: Arc<Counter>,
    /// Why it cannot read on, while that is so.
    pub(crate) unreadable: Arc<Mutex<Option<String>>>,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) batch_messages_max: usize,
    pub(crate) given_up_max: u32,
    pub(crate) last_orders: LastOrders,
    /// Whether a message that was sent twice is delivered once; it may change.
    pub(crate) durability: Arc<Mutex<Durability>>,
    /// How many ids are remembered then.
    pub(crate) dedupe_messages: usize,
    /// Whether its records bear the stamps of an inbox.
    pub(crate) is_inbox: bool,
}

impl Feeder {
    /// Runs until the rack stops it.
    pub(crate) async fn run(self) {
        let mut generation = 0;
        while let Some((journal, opened)) = self.appender.usable(generation).await {
            generation = opened;
            let consumer = match journal.consumer(CONSUMER, Start::Oldest) {
                Ok(consumer) => consumer,
                Err(why) => {
                    tracing::error!(wire = self.name, error = %why, "durable wire cannot deliver");
                    return;
                }
            };
            let loans = self.loans_of(&consumer, generation);
            let fed = self.feed(journal, consumer, &loans, generation).await;
            // What is still out of a journal that failed is delivered again by the next.
            loans.close();
            self.lines.load().recall();
            if let Err(Closed) = fed {
                return;
            }
        }
    }

    /// What is out of the journal already, when this is not the first to deliver since it was opened.
    fn loans_of(&self, consumer: &Consumer, generation: u64) -> Arc<Loans> {
        let mut loans = self.loans.lock();
        if let Some(loans) = loans.as_ref().filter(|loans| loans.reopen(generation)) {
            return loans.clone();
        }
        let new = Loans::new(
            generation,
            consumer.settler(),
            self.lines.clone(),
            self.given_up_max,
            self.last_orders.clone(),
        );
        loans.insert(new).clone()
    }

    /// Ends when the journal does, or with an error when the rack is stopping.
    async fn feed(
        &self,
        journal: Journal,
        mut consumer: Consumer,
        loans: &Arc<Loans>,
        generation: u64,
    ) -> Result<(), Closed> {
        let (mut seen, mut dedupes): (Option<Seen>, _) = (None, None);
        let clock = self.appender.site().world.clock;
        loop {
            let next = tokio::select! {
                biased;
                () = loans.left() => {
                    self.see_to_left(loans).await?;
                    continue;
                }
                next = consumer.next(self.batch_messages_max) => next,
                () = clock.sleep(WINDOW_CHECK), if seen.is_some() => {
                    seen.iter_mut().for_each(|seen| seen.make_room(&journal));
                    continue;
                }
            };
            match next {
                Ok(batch) => {
                    if self.unreadable.lock().take().is_some() {
                        tracing::info!(wire = self.name, "durable wire reads on");
                    }
                    let dedupe = self.durability.lock().dedupe;
                    if dedupes.replace(dedupe) != Some(dedupe) {
                        // The window of before is not in use any more.
                        drop(seen.take());
                        seen = self.seen(&journal, dedupe).await;
                    }
                    self.deliver(loans, batch, &mut seen).await?;
                    if let Some(seen) = &mut seen {
                        seen.trim(&journal);
                    }
                }
                Err(ReadError::Format(why)) => {
                    self.note_unreadable(&why);
                    self.stall(loans).await?;
                    consumer.look_again();
                }
                Err(why) => {
                    // Nobody else may notice: who does not append is told of nothing.
                    self.appender.failed(generation, &why);
                    return Ok(());
                }
            }
        }
    }

    /// What is behind waits until somebody has seen to it. Told once, and then for as long as it is so.
    fn note_unreadable(&self, why: &FormatError) {
        let directory = self.appender.site().directory.display();
        let told = match why {
            FormatError::Damaged(damage) if damage.kind != DamageKind::Seal => format!(
                "{why}: stop the rack and run `fluxrig journal repair {directory}`, which keeps what is damaged and lets the \
                 rest be served"
            ),
            why => format!("{why}; look into it with `fluxrig journal check {directory}`"),
        };
        if self.unreadable.lock().replace(told.clone()).is_none() {
            tracing::error!(
                wire = self.name,
                error = told,
                "durable wire cannot read on: what is behind waits"
            );
        }
    }

    /// What the journal carried lately, if that is to be known; if it is not, nothing is kept for it.
    async fn seen(&self, journal: &Journal, dedupe: bool) -> Option<Seen> {
        if !dedupe {
            Seen::forget(journal);
            return None;
        }
        let (messages, body_of) = (self.dedupe_messages, self.body_of());
        let (site, journal) = (self.appender.site().clone(), journal.clone());
        let disk = self.appender.site().world.disk.clone();
        match disk.offload(move || Seen::read(&site, &journal, messages, body_of)).await {
            Ok(seen) => Some(seen),
            Err(why) => {
                tracing::error!(wire = self.name, error = %why, "durable wire does not know what it carried before: it may deliver twice");
                None
            }
        }
    }

    /// What of a record is a message.
    fn body_of(&self) -> BodyOf {
        if self.is_inbox { flux_mesh::unstamped } else { |record| Some(record.clone()) }
    }

    /// Delivers records; what no message can be made of is a dead letter.
    async fn deliver(&self, loans: &Arc<Loans>, batch: Batch, seen: &mut Option<Seen>) -> Result<(), Closed> {
        if batch.skipped > 0 {
            tracing::error!(
                wire = self.name,
                messages = batch.skipped,
                "messages of a durable wire are gone: a repair moved them aside"
            );
        }
        let mut held = Vec::with_capacity(batch.records.len());
        for mut record in batch.records {
            let sequence = record.sequence;
            let Some(given_up) = loans.given_up(sequence) else { continue };
            let Some(body) = self.body_of()(&record.body) else {
                // It is with the dead letters.
                loans.settle(sequence);
                continue;
            };
            record.body = body;
            match cbor::decode(&record.body, Strictness::Lenient, &NO_LIMITS) {
                Ok(msg) if seen.as_mut().is_some_and(|seen| seen.is_again(sequence, msg.id)) => {
                    self.duplicates.add(1);
                    loans.settle(sequence);
                }
                Ok(msg) => held.push(loans.lend(Loan { sequence, given_up, msg })),
                Err(why) => {
                    let lent = loans.lend(Loan { sequence, given_up, msg: raw(&record) });
                    // In its place among the others.
                    self.hand_over(loans, std::mem::take(&mut held)).await?;
                    self.bury(lent, given_up.max(1), "undecodable", &why.to_string()).await;
                }
            }
        }
        self.hand_over(loans, held).await
    }

    /// Puts messages into the queues, as there is room. In queues that a reload put in their place, if it did.
    async fn hand_over(&self, loans: &Arc<Loans>, mut msgs: Vec<Held>) -> Result<(), Closed> {
        while !msgs.is_empty() {
            let lines = self.lines.load_full();
            let mut left = Vec::new();
            for (wire, mut share) in lines.wires.iter().zip(lines.shares(msgs.drain(..))) {
                if let Err(Closed) = self.push(loans, wire, &mut share).await {
                    left.append(&mut share);
                }
            }
            if !left.is_empty() && Arc::ptr_eq(&lines, &self.lines.load()) {
                return Err(Closed);
            }
            msgs = left;
        }
        Ok(())
    }

    async fn push(&self, loans: &Arc<Loans>, wire: &Wire, msgs: &mut Vec<Held>) -> Result<(), Closed> {
        loop {
            tokio::select! {
                biased;
                () = loans.left() => self.see_to_left(loans).await?,
                pushed = wire.push(msgs) => return pushed,
            }
        }
    }

    /// Sees to what was given up and did not simply go back into its queue. What was given up too often is a dead letter.
    async fn see_to_left(&self, loans: &Arc<Loans>) -> Result<(), Closed> {
        if loans.is_closed() {
            return Err(Closed);
        }
        while let Some(loan) = loans.take_left() {
            match loans.put_back(loan) {
                None => {}
                Some(loan) if loans.is_spent(&loan) => {
                    let given_up = loan.given_up;
                    let message = format!("given up {given_up} times after it was delivered");
                    self.bury(loans.lend(loan), given_up.max(1), "given_up", &message).await;
                }
                // No queue takes it any more: it waits on disk.
                Some(loan) => {
                    loans.leave_on_disk(&loan);
                    return Err(Closed);
                }
            }
        }
        Ok(())
    }

    /// Waits before the journal is tried again.
    async fn stall(&self, loans: &Arc<Loans>) -> Result<(), Closed> {
        let clock = self.appender.site().world.clock;
        let due = clock.now() + STALLED_RETRY;
        while clock.now() < due {
            tokio::select! {
                biased;
                () = loans.left() => self.see_to_left(loans).await?,
                () = clock.sleep_until(due) => {}
            }
        }
        Ok(())
    }

    /// The record is settled when the letter is kept.
    async fn bury(&self, lent: Held, attempts: u32, reason: &'static str, message: &str) {
        let now = self.appender.site().world.clock.unix_ns();
        let msg = lent.release();
        let lines = self.lines.load_full();
        let End { gear, port } = &lines.to;
        self.dead_letters
            .keep(DeadLetter::new(msg, gear, port, reason, message.to_owned(), attempts, now))
            .await;
    }
}

/// What stands for a record that is no message: its bytes, and the same id each time.
fn raw(record: &Record) -> FluxMsg {
    let unix_ms = u64::try_from(record.time_ns / 1_000_000).unwrap_or(0);
    let id = FluxId::v7(unix_ms, record.sequence.into());
    FluxMsg::new(id, record.time_ns, Bytes::copy_from_slice(&record.body))
}
