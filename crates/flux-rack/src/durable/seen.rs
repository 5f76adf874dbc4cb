//! Which messages a durable wire has carried lately, so that none is delivered twice for having been sent twice.
//!
//! The window is derived from the journal, and so survives a restart: a second consumer follows the first at the distance
//! of the window, and keeps the records of it on disk. Of several records of one message the first counts.

use std::{collections::VecDeque, ops::ControlFlow};

use flux_gear::FluxId;
use flux_journal::{Consumer, Journal, Start, walk};
use flux_signal::cbor;
use rustc_hash::FxHashMap;

use super::feeder::BodyOf;
use crate::custody::Site;

/// The consumer that holds the window on disk.
const CONSUMER: &str = "dedupe";

/// The window takes at most this part of a journal, so that it never fills it up.
const JOURNAL_PART: u64 = 2;

/// The ids of the last messages of a journal.
pub(crate) struct Seen {
    /// The first record of each message.
    first: FxHashMap<FluxId, u64>,
    /// By sequence, the oldest first.
    order: VecDeque<(u64, FluxId)>,
    /// Behind the last record that was looked at.
    next: u64,
    messages_max: usize,
    bytes_max: u64,
    consumer: Consumer,
}

impl Seen {
    /// What the journal holds of the window. Blocks while it reads that.
    pub(crate) fn read(
        site: &Site,
        journal: &Journal,
        messages_max: usize,
        body_of: BodyOf,
    ) -> Result<Seen, Box<dyn std::error::Error + Send + Sync>> {
        let consumer = journal.consumer(CONSUMER, Start::Oldest)?;
        let mut seen = Seen {
            first: FxHashMap::default(),
            order: VecDeque::new(),
            next: consumer.low(),
            messages_max,
            bytes_max: site.config.bytes_max,
            consumer,
        };
        seen.fill(site, body_of)?;
        Ok(seen)
    }

    /// Keeps nothing on disk for a window any more.
    pub(crate) fn forget(journal: &Journal) {
        journal.forget(CONSUMER);
    }

    fn fill(&mut self, site: &Site, body_of: BodyOf) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let (from, keys) = (self.consumer.low(), site.keys()?);
        walk(&site.world, &site.directory, &keys, from, &mut |record| {
            if let Some(Ok(header)) = body_of(&record.body).map(|body| cbor::peek(&body)) {
                self.note(record.sequence, header.id);
            }
            ControlFlow::Continue(())
        })?;
        Ok(())
    }

    /// Whether the message has an earlier record in the window; if not, this is its first.
    pub(crate) fn is_again(&mut self, sequence: u64, id: FluxId) -> bool {
        self.next = self.next.max(sequence + 1);
        match self.first.get(&id) {
            Some(&first) => first != sequence && !flux_world::planted("dedupe_lets_all_through"),
            None => {
                self.note(sequence, id);
                false
            }
        }
    }

    /// Lets go of what is behind the window, in memory and on disk.
    pub(crate) fn trim(&mut self, journal: &Journal) {
        let is_large = journal.stats().bytes > self.bytes_max / JOURNAL_PART;
        self.keep(if is_large { self.order.len() / 2 } else { self.messages_max });
    }

    /// Lets half of the window go where there is no room for a journal, or for more in it: it may be all that is there.
    pub(crate) fn make_room(&mut self, journal: &Journal) {
        if journal.stats().full.is_some() {
            self.keep(self.order.len() / 2);
        }
    }

    fn keep(&mut self, messages: usize) {
        while self.order.len() > messages {
            self.forget_oldest();
        }
        self.consumer.settle_until(self.order.front().map_or(self.next, |(oldest, _)| *oldest));
    }

    fn note(&mut self, sequence: u64, id: FluxId) {
        self.first.entry(id).or_insert_with(|| {
            self.order.push_back((sequence, id));
            sequence
        });
        if self.order.len() > 2 * self.messages_max {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.first.remove(&id);
        }
    }
}
