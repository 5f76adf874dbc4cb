//! A durable wire: what its sender hands over is in a journal before it counts, and is delivered until it is settled.
//!
//! ```text
//! sender -> encode -> journal (safe: the sender's leases end) -> feeder -> queue in memory -> receiver
//!                        ^ settled, or given up and delivered again <---------- lease ----------'
//! ```
//!
//! Order: messages are delivered for the first time in the order they were taken, in each queue; with `partition_by` that
//! is the order per key. A message that its receiver gave up after it was delivered (a gear that stopped with it in hand)
//! comes again before everything that is not delivered yet; what was delivered in between is not called back. After a
//! restart what was not settled comes again, in the order it was taken.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use arc_swap::ArcSwap;
use flux_gear::{FluxMsg, Held, Lease};
use flux_journal::limits::WINDOW_RECORDS_MAX;
use flux_mesh::{Line, MeshWire};
use flux_scenario::{Ack, Durability};
use flux_signal::cbor;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    custody::{Custody, JournalError, Refused, Site},
    dead_letters::{DeadLetter, DeadLetters},
    shutdown::Left,
    stats::Counter,
    store::journal_level,
    tuning::Tuning,
    wire::Closed,
};

mod feeder;
mod lines;
mod loan;
mod mesh;
mod place;
mod seen;

use feeder::Feeder;
pub(crate) use lines::Lines;
use loan::{LastOrders, Loans};
use mesh::Carrier;
pub(crate) use mesh::MeshEnd;
pub use mesh::MeshStats;
pub(crate) use place::{DIRECTORIES, is_receiver, journal_of};

/// How long a wire whose journal cannot be read waits before it tries again.
const STALLED_RETRY: Duration = Duration::from_secs(10);

/// The journal of a wire, and what feeds its receiver. It outlives both ends: a reload may put others there.
pub(crate) struct Durable {
    pub(crate) name: String,
    durability: Arc<Mutex<Durability>>,
    custody: Custody,
    lines: Arc<ArcSwap<Lines>>,
    loans: Arc<Mutex<Option<Arc<Loans>>>>,
    last_orders: LastOrders,
    accepted: Counter,
    duplicates: Arc<Counter>,
    unreadable: Arc<Mutex<Option<String>>>,
    dead_letters: Arc<DeadLetters>,
    feeder: Mutex<Option<JoinHandle<()>>>,
    /// What carries it to another rack or from one, and its task.
    carrier: Option<(Arc<Carrier>, MeshWire)>,
    carrying: Mutex<Option<JoinHandle<()>>>,
    gate: watch::Sender<Gate>,
    tuning: Tuning,
    dedupe_messages: usize,
}

/// Whether senders may come in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// They wait: the wire runs empty.
    Shut,
    /// Gears' own tasks wait; what segments have in hand is let in, since they are called back one after the other.
    Ebbing,
    /// The wire is no more: they look for another way.
    Gone,
}

/// One end of a wire: a gear and its port.
#[derive(Clone, Debug, Default)]
pub(crate) struct End {
    pub(crate) gear: String,
    pub(crate) port: String,
}

/// What the journal of a durable wire holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DurableStats {
    /// What is waited for before a message counts as taken: `disk` or `os`.
    pub ack: Ack,
    /// Messages taken from the sender since the rack was made.
    pub accepted: u64,
    /// Messages that are safe in the journal and not settled, delivered ones among them.
    pub unsettled: u64,
    /// Of those, messages that were delivered: the receiver has them.
    pub delivered: u64,
    /// Times a message was delivered again, having been given up.
    pub redelivered: u64,
    /// Messages that were not delivered because they had been before.
    pub duplicates: u64,
    /// Bytes of the journal on disk.
    pub bytes: u64,
    /// Why the journal takes no more, when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<String>,
    /// Bytes it may have on disk before it takes no more.
    #[serde(default)]
    pub bytes_max: u64,
    /// Why nothing more is delivered, and what to do, when the journal cannot be read on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// How its way to or from another rack stands, when it is a mesh wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<MeshStats>,
}

/// What makes a durable wire.
pub(crate) struct DurableParts {
    pub(crate) name: String,
    pub(crate) durability: Durability,
    pub(crate) from: End,
    pub(crate) to: End,
    /// Which end is here, and what carries it, when it is a mesh wire.
    pub(crate) end: Option<(MeshWire, Line, MeshEnd)>,
    pub(crate) site: Site,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) tuning: Tuning,
    pub(crate) dedupe_messages: usize,
}

/// A message on its way into a wire.
pub(crate) trait Outgoing: Into<Held> {
    fn msg(&self) -> &FluxMsg;
}

impl Outgoing for FluxMsg {
    fn msg(&self) -> &FluxMsg {
        self
    }
}

impl Outgoing for Held {
    fn msg(&self) -> &FluxMsg {
        Held::msg(self)
    }
}

/// Room for the head of a record beside its body.
const RECORD_OVERHEAD_BYTES: usize = 64;

impl Durable {
    /// Opens the journal of a wire, or makes it. Nothing is delivered yet.
    pub(crate) async fn open(mut parts: DurableParts) -> Result<Durable, JournalError> {
        if let Some((.., MeshEnd::Out)) = parts.end {
            // Its records are forgotten in their order: nothing else bounds what is sent.
            parts.site.config.window_records = WINDOW_RECORDS_MAX;
        }
        let carrier = parts.end.map(|end| {
            let route = end.0.clone();
            (Arc::new(Carrier::new(end, &parts.name, &parts.site, &parts.dead_letters)), route)
        });
        let custody = Custody::open(format!("wire {}", parts.name), parts.site).await?;
        if let Some((carrier, _)) = &carrier {
            carrier.prepare(custody.appender()).await?;
        }
        Ok(Durable {
            name: parts.name,
            durability: Arc::new(Mutex::new(parts.durability)),
            custody,
            lines: Arc::new(ArcSwap::from_pointee(Lines {
                wires: Vec::new(),
                key: None,
                from: parts.from,
                to: parts.to,
            })),
            loans: Arc::default(),
            last_orders: LastOrders::default(),
            accepted: Counter::default(),
            duplicates: Arc::default(),
            unreadable: Arc::default(),
            dead_letters: parts.dead_letters,
            feeder: Mutex::default(),
            carrier,
            carrying: Mutex::default(),
            gate: watch::Sender::new(Gate::Open),
            tuning: parts.tuning,
            dedupe_messages: parts.dedupe_messages,
        })
    }

    /// Takes what there is room for from the front of `msgs`, without waiting.
    pub(crate) fn try_push<M: Outgoing>(&self, msgs: &mut Vec<M>) -> Result<(), Closed> {
        match *self.gate.borrow() {
            Gate::Open => {}
            Gate::Shut | Gate::Ebbing => return Ok(()),
            Gate::Gone => return Err(Closed),
        }
        while !msgs.is_empty() {
            let mut bodies = self.encode(msgs);
            let n = bodies.len();
            if n == 0 {
                return Ok(());
            }
            match self.custody.appender().try_append(&mut bodies, || leases(msgs, n)) {
                Ok(_) => self.accepted.add(n as u64),
                Err(Refused::NotNow | Refused::TooLong(_)) => return Ok(()),
                Err(Refused::Closed) => return Err(Closed),
            }
        }
        Ok(())
    }

    /// Takes all of `msgs`, unless the wire goes, and waits for room as often as it takes.
    pub(crate) async fn push<M: Outgoing>(&self, msgs: &mut Vec<M>) -> Result<(), Closed> {
        match self.until_gate(|gate| matches!(gate, Gate::Open | Gate::Gone)).await {
            Gate::Gone => Err(Closed),
            Gate::Open | Gate::Shut | Gate::Ebbing => self.append(msgs).await,
        }
    }

    /// Ends when a segment need not wait with what it has in hand.
    pub(crate) async fn lets_segments_in(&self) {
        self.until_gate(|gate| gate != Gate::Shut).await;
    }

    async fn until_gate(&self, is_it: impl Fn(Gate) -> bool) -> Gate {
        let gate = *self.gate.borrow();
        if is_it(gate) {
            return gate;
        }
        let mut gate = self.gate.subscribe();
        let opened = gate.wait_for(|gate| is_it(*gate)).await;
        opened.map_or(Gate::Gone, |gate| *gate)
    }

    pub(crate) fn set_gate(&self, gate: Gate) {
        self.gate.send_replace(gate);
        // Nobody asks the gate who comes from another rack.
        match (self.is_inbox(), gate) {
            (false, _) => {}
            (true, Gate::Open) => self.carry(),
            (true, Gate::Shut | Gate::Ebbing | Gate::Gone) => self.stop_carrying(),
        }
    }

    /// Whether it comes from another rack.
    fn is_inbox(&self) -> bool {
        self.carrier.as_ref().is_some_and(|(carrier, _)| !carrier.is_out())
    }

    /// Whether it leads to another rack.
    fn is_outbox(&self) -> bool {
        self.carrier.as_ref().is_some_and(|(carrier, _)| carrier.is_out())
    }

    /// Has what carries it to another rack or from one at work, once it knows its ends.
    fn carry(&self) {
        let Some((carrier, _)) = &self.carrier else { return };
        let is_known = self.is_outbox() || !self.lines.load().wires.is_empty();
        let mut carrying = self.carrying.lock();
        if is_known && carrying.as_ref().is_none_or(JoinHandle::is_finished) {
            let appender = self.custody.appender().clone();
            let run = carrier.clone().run(self.name.clone(), appender, self.unreadable.clone());
            *carrying = Some(tokio::spawn(run));
        }
    }

    fn stop_carrying(&self) {
        if let Some(carrying) = self.carrying.lock().take() {
            carrying.abort();
        }
    }

    /// Takes all of `msgs`, whatever the gate says. What no journal could take is a dead letter.
    pub(crate) async fn append<M: Outgoing>(&self, msgs: &mut Vec<M>) -> Result<(), Closed> {
        while !msgs.is_empty() {
            let mut bodies = self.encode(msgs);
            let n = bodies.len();
            if n == 0 {
                self.bury(msgs, "too_deep", cbor::TooDeep.to_string()).await;
                continue;
            }
            match self.custody.appender().append(&mut bodies, || leases(msgs, n)).await {
                Ok(_) => self.accepted.add(n as u64),
                Err(Refused::TooLong(why)) => self.bury(msgs, "too_long", why.to_string()).await,
                Err(Refused::NotNow) => {}
                Err(Refused::Closed) => return Err(Closed),
            }
        }
        Ok(())
    }

    /// Promises something else from now on: of what is appended, and of what is not delivered yet.
    pub(crate) fn promise(&self, durability: Durability) {
        *self.durability.lock() = durability;
        self.custody.appender().set_ack(journal_level(durability.ack));
    }

    /// Delivers into these queues from now on.
    pub(crate) fn feed_into(&self, lines: Lines) {
        self.lines.store(Arc::new(lines));
        self.carry();
        if self.is_outbox() {
            return;
        }
        let mut feeder = self.feeder.lock();
        if feeder.as_ref().is_none_or(JoinHandle::is_finished) {
            *feeder = Some(tokio::spawn(self.feeder().run()));
        }
    }

    /// The rack drains: what comes to no end from now on is not delivered again, nor is anything behind it. It waits on disk.
    pub(crate) fn take_last_orders(&self) {
        self.last_orders.store(true, Ordering::Release);
    }

    /// Delivers nothing more. What is in the queues stays on disk, and so does what is given up from now on.
    pub(crate) fn halt(&self) {
        self.stop_carrying();
        if let Some(feeder) = &*self.feeder.lock() {
            feeder.abort();
        }
        let loans = self.loans.lock().clone();
        if let Some(loans) = loans {
            loans.close();
        }
        self.lines.load().recall();
    }

    /// The same, and waits until nobody delivers any more.
    pub(crate) async fn stop_feeding(&self) {
        let tasks = [self.feeder.lock().take(), self.carrying.lock().take()];
        self.halt();
        for task in tasks.into_iter().flatten() {
            task.abort();
            // It ends with an error: it was aborted.
            let _ = task.await;
        }
        // It may have come to put one more there, before it was.
        self.halt();
    }

    /// Ends when all that was taken is safe.
    pub(crate) async fn all_safe(&self) {
        self.custody.appender().all_safe().await;
    }

    /// The same, but what waits for room is not waited for.
    pub(crate) async fn all_safe_or_full(&self) {
        self.custody.appender().all_safe_or_full().await;
    }

    /// Puts everything on disk and gives the journal up. Returns how many messages may be nowhere
    /// else.
    pub(crate) async fn close(&self) -> u64 {
        self.stop_feeding().await;
        let left = self.custody.close().await;
        left.iter().map(|left| left.sequences.end - left.sequences.start - left.leased).sum()
    }

    /// Stops where it stands: what was not told to be safe is given up.
    pub(crate) fn let_go(&self) {
        self.halt();
        self.custody.let_go();
    }

    /// Whether it holds nothing that is not settled.
    pub(crate) fn is_empty(&self) -> bool {
        self.held() == 0
    }

    /// What it holds.
    pub(crate) fn left(&self) -> Left {
        Left { name: self.name.clone(), messages: usize::try_from(self.held()).ok() }
    }

    /// The gear that sends.
    pub(crate) fn sender(&self) -> String {
        self.lines.load().from.gear.clone()
    }

    /// The gear that receives.
    pub(crate) fn receiver(&self) -> String {
        self.lines.load().to.gear.clone()
    }

    /// Messages that were taken and are not settled, those on their way to the disk among them.
    fn held(&self) -> u64 {
        // In this order: what becomes safe in between is counted twice, and not missed.
        let unsafe_yet = self.custody.appender().unsafe_yet();
        unsafe_yet + self.unsettled()
    }

    fn unsettled(&self) -> u64 {
        if self.is_outbox() {
            return self.custody.appender().unsettled_by(flux_mesh::is_outbox);
        }
        self.loans.lock().as_ref().map_or(0, |loans| loans.unsettled())
    }

    pub(crate) fn stats(&self) -> DurableStats {
        let loans = self.loans.lock().clone();
        let journal = self.custody.appender().stats();
        let is_full = journal.map(|stats| stats.full);
        let failure = self.custody.appender().failure();
        DurableStats {
            ack: self.durability.lock().ack,
            accepted: self.accepted.get(),
            unsettled: self.unsettled(),
            delivered: loans.as_ref().map_or(0, |loans| loans.out()),
            redelivered: loans.map_or(0, |loans| loans.redelivered()),
            duplicates: self.duplicates.get(),
            bytes: journal.map_or(0, |stats| stats.bytes),
            bytes_max: self.custody.appender().site().config.bytes_max,
            stuck: match is_full {
                Some(full) => full.map(|full| full.to_string()),
                None => Some("the journal failed and is being opened again".to_owned()),
            },
            unreadable: failure.or_else(|| self.unreadable.lock().clone()),
            mesh: self
                .carrier
                .as_ref()
                .map(|(carrier, route)| carrier.stats(self.custody.appender().site().world.clock, route)),
        }
    }

    /// The bodies of as many messages as go into one batch; none when the first cannot be written.
    fn encode<M: Outgoing>(&self, msgs: &[M]) -> Vec<Vec<u8>> {
        let room = self.custody.appender().site().config.gather_bytes_max / 2;
        let (mut bodies, mut bytes) = (Vec::with_capacity(msgs.len()), 0);
        for msg in msgs {
            let mut body = Vec::new();
            if cbor::encode(msg.msg(), &mut body).is_err() {
                break;
            }
            bytes += body.len() + RECORD_OVERHEAD_BYTES;
            if bytes > room && !bodies.is_empty() {
                break;
            }
            bodies.push(body);
        }
        bodies
    }

    async fn bury<M: Outgoing>(&self, msgs: &mut Vec<M>, reason: &'static str, message: String) {
        let msg = msgs.remove(0).into().release();
        let now = self.custody.appender().site().world.clock.unix_ns();
        let lines = self.lines.load_full();
        let End { gear, port } = &lines.from;
        self.dead_letters.keep(DeadLetter::new(msg, gear, port, reason, message, 1, now)).await;
    }

    fn feeder(&self) -> Feeder {
        Feeder {
            name: self.name.clone(),
            appender: self.custody.appender().clone(),
            lines: self.lines.clone(),
            loans: self.loans.clone(),
            duplicates: self.duplicates.clone(),
            unreadable: self.unreadable.clone(),
            dead_letters: self.dead_letters.clone(),
            batch_messages_max: self.tuning.batch_messages_max,
            given_up_max: self.tuning.attempts_max.max(1),
            last_orders: self.last_orders.clone(),
            durability: self.durability.clone(),
            dedupe_messages: self.dedupe_messages,
            is_inbox: self.is_inbox(),
        }
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// The leases of the first messages, which the journal has now.
fn leases<M: Outgoing>(msgs: &mut Vec<M>, n: usize) -> Vec<Lease> {
    msgs.drain(..n).filter_map(|msg| msg.into().release().take_lease()).collect()
}
