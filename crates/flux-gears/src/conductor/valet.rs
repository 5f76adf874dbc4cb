//! Tickets: what is parked under a key until it is redeemed or its time is up. Pure: the time is given.
//!
//! ```text
//!            park                redeem                 retention is over, or room is needed
//!   absent ────────> open(R) ──────────────> closed(O) ──────────────────────────────────────> absent
//!                      └── expire ──> absent
//! ```
//!
//! Tickets of one lifetime end in the order they began, so a queue per lifetime, threaded through the slots, keeps
//! them in order of their deadlines: every operation is `O(1)`, and no ticket has a timer. Slots keep their key buffer
//! when they are reused, so that nothing is allocated once the valet has seen its peak.

mod moving;

use std::{hash::Hasher, time::Duration};

use flux_world::Instant;
use hashbrown::HashTable;
use rustc_hash::FxHasher;

pub(crate) use moving::{Known, Left};

/// What a valet is set up with.
#[derive(Clone)]
pub(crate) struct Settings {
    /// The lifetimes there are; [`Valet::park`] names one by its index.
    pub(crate) lifetimes: Vec<Duration>,
    /// How long an outcome is kept.
    pub(crate) retention: Duration,
    /// Open tickets at most.
    pub(crate) open_max: usize,
    /// Closed tickets at most.
    pub(crate) retained_max: usize,
    /// How many destinations there are.
    pub(crate) destinations: usize,
    /// Makes the places of keys in the table unknown outside.
    pub(crate) hash_seed: u64,
}

/// Tickets by key, with requests `R` while they are open and outcomes `O` once they are closed.
pub(crate) struct Valet<R, O> {
    table: HashTable<u32>,
    slots: Vec<Slot<R, O>>,
    free: Vec<u32>,
    /// The closed tickets in the first, then one per lifetime, then those with tickets of lifetimes that were.
    queues: Vec<Queue>,
    in_flight: Vec<u32>,
    open: usize,
    settings: Settings,
}

/// What is known under a key.
#[derive(Debug, PartialEq)]
pub(crate) enum Standing<'a, R, O> {
    /// Nothing: a ticket may be parked.
    Absent,
    /// A request waits for its reply. Another may be put in its place, to wait instead of it.
    Open(&'a mut R),
    /// A reply came, and is retained.
    Closed(&'a O),
}

/// What redeeming a key gave.
#[derive(Debug, PartialEq)]
pub(crate) enum Redeemed<R> {
    /// The request that waited; its ticket is closed now.
    Request(R),
    /// The ticket had been closed before.
    Again,
    /// There is no ticket.
    Unmatched,
    /// A request waits, and this is no outcome of it. It waits on.
    Unfit,
}

struct Slot<R, O> {
    key: Vec<u8>,
    hash: u64,
    ticket: Ticket<R, O>,
    destination: u16,
    queue: u16,
    ends_at: Instant,
    before: u32,
    after: u32,
}

enum Ticket<R, O> {
    Free,
    Open(R),
    Closed(O),
}

/// Slots in the order their deadlines come.
#[derive(Clone)]
struct Queue {
    first: u32,
    last: u32,
    len: usize,
}

const NONE: u32 = u32::MAX;

/// The number of a destination that there is no more.
pub(crate) const NOWHERE: u16 = u16::MAX;

/// The queue of closed tickets.
const RETAINED: u16 = 0;

/// Outcomes whose time is over that one operation forgets at most: more than one operation can add, so that they
/// never pile up, and few, so that no operation takes long.
const FORGOTTEN_PER_OPERATION_MAX: usize = 4;

impl Queue {
    const EMPTY: Queue = Queue { first: NONE, last: NONE, len: 0 };
}

impl<R, O> Valet<R, O> {
    pub(crate) fn new(settings: Settings) -> Valet<R, O> {
        let slots_max = settings.open_max.saturating_add(settings.retained_max);
        assert!(slots_max < NONE as usize, "a slot has a 32-bit number");
        Valet {
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            queues: vec![Queue::EMPTY; settings.lifetimes.len() + 1],
            in_flight: vec![0; settings.destinations],
            open: 0,
            settings,
        }
    }

    /// What is known under a key.
    pub(crate) fn standing(&mut self, key: &[u8], now: Instant) -> Standing<'_, R, O> {
        self.forget(now, FORGOTTEN_PER_OPERATION_MAX);
        match self.find(key, now) {
            None => Standing::Absent,
            Some(slot) => match &mut self.slots[slot as usize].ticket {
                Ticket::Open(request) => Standing::Open(request),
                Ticket::Closed(outcome) => Standing::Closed(outcome),
                Ticket::Free => unreachable!("a slot in the table is in use"),
            },
        }
    }

    /// When a ticket of a lifetime ends that is parked now.
    pub(crate) fn end(&self, lifetime: u16, now: Instant) -> Instant {
        now + self.settings.lifetimes[usize::from(lifetime)]
    }

    /// Whether no ticket can be parked for now.
    pub(crate) fn is_full(&self) -> bool {
        self.open >= self.settings.open_max
    }

    /// Parks a request under a key that is absent, while the valet is not full.
    pub(crate) fn park(&mut self, key: &[u8], request: R, lifetime: u16, destination: u16, now: Instant) {
        debug_assert!(!self.is_full(), "the caller looked");
        let ends_at = self.end(lifetime, now);
        self.hang(key, Ticket::Open(request), destination, lifetime + 1, ends_at);
    }

    /// Hangs up a ticket in a queue where none ends later.
    fn hang(&mut self, key: &[u8], new: Ticket<R, O>, destination: u16, queue: u16, ends_at: Instant) {
        let is_open = matches!(new, Ticket::Open(_));
        let hash = self.hash(key);
        let slot = self.free_slot(ends_at);
        let Slot { key: kept, hash: its_hash, ticket, destination: its_destination, .. } =
            &mut self.slots[slot as usize];
        kept.clear();
        kept.extend_from_slice(key);
        (*its_hash, *ticket, *its_destination) = (hash, new, destination);
        self.table.insert_unique(hash, slot, |&other| self.slots[other as usize].hash);
        self.enqueue(slot, queue, ends_at);
        if is_open {
            self.open += 1;
            self.count(destination, 1);
        }
    }

    /// Takes the request that waits under a key, however long it has to wait yet.
    pub(crate) fn take(&mut self, key: &[u8], now: Instant) -> Option<R> {
        let slot = self.find(key, now)?;
        let is_open = matches!(self.slots[slot as usize].ticket, Ticket::Open(_));
        is_open.then(|| self.take_open(slot, Ticket::Free))
    }

    /// Takes the request that waits under a key, if the outcome is fit for it, and retains the outcome in its place.
    pub(crate) fn redeem(
        &mut self,
        key: &[u8],
        now: Instant,
        is_fit: impl FnOnce(&R) -> bool,
        outcome: impl FnOnce(&R) -> O,
    ) -> Redeemed<R> {
        self.forget(now, FORGOTTEN_PER_OPERATION_MAX);
        let Some(slot) = self.find(key, now) else { return Redeemed::Unmatched };
        let retains = !self.settings.retention.is_zero() && self.settings.retained_max > 0;
        let outcome = match &self.slots[slot as usize].ticket {
            Ticket::Open(request) if !is_fit(request) => return Redeemed::Unfit,
            Ticket::Open(request) => retains.then(|| outcome(request)),
            Ticket::Closed(_) => return Redeemed::Again,
            Ticket::Free => unreachable!("a slot in the table is in use"),
        };
        Redeemed::Request(match outcome {
            None => self.take_open(slot, Ticket::Free),
            Some(outcome) => self.close(slot, outcome, now),
        })
    }

    /// Takes the open ticket whose time was up first, if the time of any is.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<R> {
        let (ends_at, slot) = self.next_to_expire()?;
        (ends_at <= now).then(|| self.take_open(slot, Ticket::Free))
    }

    /// Forgets outcomes whose time is over, `max` of them at most.
    pub(crate) fn forget(&mut self, now: Instant, max: usize) {
        for _ in 0..max {
            let first = self.retained().first;
            if first == NONE || self.slots[first as usize].ends_at > now {
                return;
            }
            self.remove(first);
        }
    }

    /// When to look again: a ticket expires then, or the last outcome is over.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        // The last outcome and not the first, for they are forgotten in passing while there is traffic.
        let last_retained = self.slots.get(self.retained().last as usize).map(|slot| slot.ends_at);
        self.next_to_expire().map(|(ends_at, _)| ends_at).into_iter().chain(last_retained).min()
    }

    /// Open tickets.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Open tickets by destination.
    pub(crate) fn in_flight(&self) -> &[u32] {
        &self.in_flight
    }

    /// Retains the outcome of an open ticket in the place of its request.
    fn close(&mut self, slot: u32, outcome: O, now: Instant) -> R {
        while self.retained().len >= self.settings.retained_max {
            let oldest = self.retained().first;
            self.remove(oldest);
        }
        let request = self.take_open(slot, Ticket::Closed(outcome));
        // With a retention that was longer before, those in front may end later.
        let last = self.slots.get(self.retained().last as usize).map(|slot| slot.ends_at);
        let ends_at = now + self.settings.retention;
        self.enqueue(slot, RETAINED, last.map_or(ends_at, |last| last.max(ends_at)));
        request
    }

    fn next_to_expire(&self) -> Option<(Instant, u32)> {
        let firsts = self.queues[1..].iter().filter(|queue| queue.first != NONE).map(|queue| queue.first);
        firsts.map(|slot| (self.slots[slot as usize].ends_at, slot)).min()
    }

    fn retained(&self) -> &Queue {
        &self.queues[usize::from(RETAINED)]
    }

    /// Counts an open ticket of a destination, or uncounts it.
    fn count(&mut self, destination: u16, tickets: i32) {
        if let Some(in_flight) = self.in_flight.get_mut(usize::from(destination)) {
            *in_flight = in_flight.wrapping_add_signed(tickets);
        }
    }

    fn hash(&self, key: &[u8]) -> u64 {
        #[allow(clippy::cast_possible_truncation, reason = "half a seed is a seed")]
        let mut hasher = FxHasher::with_seed(self.settings.hash_seed as usize);
        hasher.write(key);
        hasher.finish()
    }

    /// The slot of a key, unless its outcome is over.
    fn find(&mut self, key: &[u8], now: Instant) -> Option<u32> {
        let hash = self.hash(key);
        let is_it = |&slot: &u32| {
            let slot = &self.slots[slot as usize];
            slot.hash == hash && slot.key == key
        };
        let slot = *self.table.find(hash, is_it)?;
        let found = &self.slots[slot as usize];
        if matches!(found.ticket, Ticket::Closed(_)) && found.ends_at <= now {
            self.remove(slot);
            return None;
        }
        Some(slot)
    }

    fn free_slot(&mut self, now: Instant) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            let slot = u32::try_from(self.slots.len()).expect("the bounds on tickets fit 32 bits");
            self.slots.push(Slot {
                key: Vec::new(),
                hash: 0,
                ticket: Ticket::Free,
                destination: 0,
                queue: 0,
                ends_at: now,
                before: NONE,
                after: NONE,
            });
            slot
        })
    }

    /// Takes the request out of an open slot, which is free or closed from now on.
    fn take_open(&mut self, slot: u32, then: Ticket<R, O>) -> R {
        self.dequeue(slot);
        let is_free = matches!(then, Ticket::Free);
        let found = &mut self.slots[slot as usize];
        let Ticket::Open(request) = std::mem::replace(&mut found.ticket, then) else {
            unreachable!("only open tickets stand in the queues of the lifetimes");
        };
        let destination = found.destination;
        self.count(destination, -1);
        self.open -= 1;
        if is_free {
            self.vacate(slot);
        }
        request
    }

    /// Forgets a closed ticket.
    fn remove(&mut self, slot: u32) {
        self.dequeue(slot);
        self.slots[slot as usize].ticket = Ticket::Free;
        self.vacate(slot);
    }

    fn vacate(&mut self, slot: u32) {
        let hash = self.slots[slot as usize].hash;
        match self.table.find_entry(hash, |&other| other == slot) {
            Ok(entry) => drop(entry.remove()),
            Err(_) => unreachable!("a slot in use is in the table"),
        }
        self.free.push(slot);
    }

    fn enqueue(&mut self, slot: u32, queue: u16, ends_at: Instant) {
        let last = self.queues[usize::from(queue)].last;
        debug_assert!(last == NONE || self.slots[last as usize].ends_at <= ends_at, "time does not go back");
        match last {
            NONE => self.queues[usize::from(queue)].first = slot,
            last => self.slots[last as usize].after = slot,
        }
        let place = &mut self.slots[slot as usize];
        (place.queue, place.ends_at, place.before, place.after) = (queue, ends_at, last, NONE);
        let queue = &mut self.queues[usize::from(queue)];
        queue.last = slot;
        queue.len += 1;
    }

    fn dequeue(&mut self, slot: u32) {
        let Slot { queue, before, after, .. } = self.slots[slot as usize];
        let queue = usize::from(queue);
        match before {
            NONE => self.queues[queue].first = after,
            before => self.slots[before as usize].after = after,
        }
        match after {
            NONE => self.queues[queue].last = before,
            after => self.slots[after as usize].before = before,
        }
        self.queues[queue].len -= 1;
    }
}

#[cfg(test)]
mod tests;
