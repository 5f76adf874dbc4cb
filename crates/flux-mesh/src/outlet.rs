//! What a sender makes of records and reports: packs, in order, again from where the receiver misses something. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use flux_journal::Record;
use flux_world::Instant;

use crate::limits::{PACK_BYTES_MAX, PACK_RECORDS_MAX, STALL};
use crate::mark::Mark;
use crate::pack::{Content, OVERHEAD_BYTES, Pack, RECORD_OVERHEAD_BYTES};
use crate::report::{Report, State};

/// Where a sender is in its outbox.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) epoch: u64,
    /// How often it began to send again: what is sent then is not what was sent before.
    pub(crate) round: u64,
    /// The receiver has all before.
    acked: u64,
    /// Where the next pack goes on.
    after: u64,
    /// What was cut and the receiver is not known to have.
    out: VecDeque<Out>,
    out_bytes: usize,
    /// Since when the receiver has been idle at a mark before what was sent.
    stalled: Option<(u64, Instant)>,
    /// When it began again, and from which mark.
    begun_again: Option<(u64, Instant)>,
}

#[derive(Debug)]
struct Out {
    end: u64,
    bytes: usize,
    time_ns: i64,
}

/// What a report asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The receiver has all before this one: they can be forgotten.
    Forget(u64),
    /// The same, and it is to be sent from there on again.
    Again(u64),
    /// The receiver has more than there ever was, or knows a later outbox: what was behind this one is not what it was. A new
    /// outbox begins, above this epoch.
    Anew(u64),
}

impl Outlet {
    /// Goes on with an outbox whose records before `acked` the receiver has.
    pub(crate) fn new(epoch: u64, round: u64, acked: u64) -> Self {
        Self {
            epoch,
            round,
            acked,
            after: acked,
            out: VecDeque::new(),
            out_bytes: 0,
            stalled: None,
            begun_again: None,
        }
    }

    /// Whether more may be sent before the receiver has some of it, where so much may be out.
    pub(crate) fn has_room(&self, out_bytes_max: usize) -> bool {
        self.out_bytes < out_bytes_max
    }

    /// How many records of an outbox with records up to `end` were not sent.
    pub(crate) fn behind(&self, end: u64) -> u64 {
        end.saturating_sub(self.after)
    }

    /// Whether the receiver is not known to have all that was sent.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.out.is_empty()
    }

    /// What was sent and the receiver is not known to have: records, and since when the oldest is there.
    pub(crate) fn unacknowledged(&self) -> (u64, Option<i64>) {
        (self.after.saturating_sub(self.acked), self.out.front().map(|out| out.time_ns))
    }

    /// Makes packs of records, which follow those before.
    pub(crate) fn cut(&mut self, records: &[Record], body_bytes_max: usize) -> Vec<Pack> {
        let bytes_max = body_bytes_max.min(PACK_BYTES_MAX) - OVERHEAD_BYTES;
        let mut packs = Vec::new();
        let mut rest = records;
        while let Some(first) = rest.first() {
            let mut bytes = 0;
            let fits = |(at, record): &(usize, &Record)| {
                bytes += record.body.len() + RECORD_OVERHEAD_BYTES;
                record.sequence == first.sequence + *at as u64 && bytes <= bytes_max
            };
            let count = rest.iter().take(PACK_RECORDS_MAX).enumerate().take_while(fits).count();
            let (pack, others) = rest.split_at(count.max(1));
            rest = others;
            let bytes: usize = pack.iter().map(|record| record.body.len() + RECORD_OVERHEAD_BYTES).sum();
            let after = std::mem::replace(&mut self.after, first.sequence + pack.len() as u64);
            self.out.push_back(Out { end: self.after, bytes, time_ns: first.time_ns });
            self.out_bytes += bytes;
            let of = |content| Pack { epoch: self.epoch, after, first: first.sequence, content };
            match count {
                0 => packs.extend(parts(&first.body, bytes_max).map(of)),
                _ => {
                    let records = pack.iter().map(|record| record.body.clone()).collect();
                    packs.push(of(Content::Records(records)));
                }
            }
        }
        packs
    }

    /// What a report asks for, of a sender with records up to `end`.
    pub(crate) fn hear(&mut self, report: &Report, end: u64, now: Instant) -> Wish {
        let Mark { epoch, next } = report.mark;
        if epoch > self.epoch || (epoch == self.epoch && next > end) {
            return Wish::Anew(epoch);
        }
        // Of a later outbox it has nothing before it has something.
        let mark = if epoch == self.epoch { next } else { 0 };
        if mark > self.acked {
            self.acked = mark;
            (self.stalled, self.begun_again) = (None, None);
        }
        while self.out.front().is_some_and(|out| out.end <= self.acked) {
            self.out_bytes -= self.out.pop_front().map_or(0, |out| out.bytes);
        }
        if self.is_to_begin_again(mark, report.state, now) { Wish::Again(mark) } else { Wish::Forget(mark) }
    }

    /// Goes on at the first record the receiver has not, as if nothing behind it had been sent.
    pub(crate) fn begin_again(&mut self, mark: u64, now: Instant) {
        self.round = self.round.wrapping_add(1);
        self.after = mark;
        self.out.clear();
        self.out_bytes = 0;
        (self.stalled, self.begun_again) = (None, Some((mark, now)));
    }

    fn is_to_begin_again(&mut self, mark: u64, state: State, now: Instant) -> bool {
        let is_over = |since: Instant, time: Duration| now.saturating_duration_since(since) >= time;
        // Also where all was sent again: what misses it may have been said before it came.
        let is_just_sent =
            self.begun_again.is_some_and(|(from, since)| from == mark && !is_over(since, STALL));
        match state {
            State::Missing => !is_just_sent,
            State::Idle if mark < self.after && self.is_waiting() => {
                let (at, since) = *self.stalled.get_or_insert((mark, now));
                if at != mark {
                    self.stalled = Some((mark, now));
                }
                at == mark && is_over(since, STALL) && !is_just_sent
            }
            State::Idle | State::Busy => {
                self.stalled = None;
                false
            }
        }
    }
}

/// A record that is longer than a pack.
fn parts(record: &Bytes, bytes_max: usize) -> impl Iterator<Item = Content> {
    let total = record.len();
    (0..total).step_by(bytes_max).map(move |offset| Content::Part {
        offset,
        total,
        bytes: record.slice(offset..total.min(offset + bytes_max)),
    })
}

#[cfg(test)]
mod tests;
