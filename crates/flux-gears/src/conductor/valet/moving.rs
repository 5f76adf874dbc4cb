//! Tickets that move: from a process that ended, and from one configuration to the next.

use flux_world::Instant;

use super::{NOWHERE, Queue, RETAINED, Settings, Ticket, Valet};

/// A ticket as it leaves one process, or one configuration, for another.
#[derive(Debug, PartialEq)]
pub(crate) enum Known<R, O> {
    /// A request that waits.
    Open(R),
    /// An outcome that is retained.
    Closed(O),
}

/// A ticket that another process left.
pub(crate) struct Left<R, O> {
    /// What it lies under.
    pub(crate) key: Vec<u8>,
    /// What it is.
    pub(crate) known: Known<R, O>,
    /// Where its request went, or [`NOWHERE`].
    pub(crate) destination: u16,
    /// When its time is up.
    pub(crate) ends_at: Instant,
}

impl<R, O> Valet<R, O> {
    /// Puts back tickets that another process left, under keys that are absent.
    pub(crate) fn put_back(&mut self, mut tickets: Vec<Left<R, O>>, now: Instant) {
        tickets.sort_by_key(|left| left.ends_at);
        let late = u16::try_from(self.queues.len()).expect("there are fewer lifetimes");
        self.queues.push(Queue::EMPTY);
        for Left { key, known, destination, ends_at } in tickets {
            match known {
                Known::Open(request) => self.hang(&key, Ticket::Open(request), destination, late, ends_at),
                Known::Closed(outcome) => {
                    let ends_at = ends_at.min(now + self.settings.retention);
                    self.hang(&key, Ticket::Closed(outcome), destination, RETAINED, ends_at);
                }
            }
        }
    }

    /// Goes on with other settings, with all tickets there are: they keep their ends. `destination` gives a destination its
    /// new number.
    pub(crate) fn resettle(&mut self, settings: Settings, destination: impl Fn(u16) -> u16) {
        let before = std::mem::take(&mut self.queues);
        let mut moved = vec![RETAINED; before.len()];
        let (mut old, mut queues) = (before.into_iter().map(Some).collect::<Vec<_>>(), Vec::new());
        let mut move_to = |from: usize, to: usize| {
            moved[from] = u16::try_from(to).expect("there are fewer lifetimes");
            old[from].take().unwrap_or(Queue::EMPTY)
        };
        queues.push(move_to(RETAINED.into(), 0));
        for lifetime in &settings.lifetimes {
            let same = self.settings.lifetimes.iter().position(|other| other == lifetime);
            queues.push(same.map_or(Queue::EMPTY, |at| move_to(at + 1, queues.len())));
        }
        for from in 1..moved.len() {
            match &old[from] {
                Some(queue) if queue.len > 0 => {
                    moved[from] = u16::try_from(queues.len()).expect("there are fewer lifetimes");
                    queues.extend(old[from].take());
                }
                Some(_) | None => {}
            }
        }
        self.queues = queues;
        self.in_flight = vec![0; settings.destinations];
        for at in 0..self.slots.len() {
            let slot = &mut self.slots[at];
            slot.queue = moved[usize::from(slot.queue)];
            if slot.destination != NOWHERE {
                slot.destination = destination(slot.destination);
            }
            let (destination, is_open) = (slot.destination, matches!(slot.ticket, Ticket::Open(_)));
            if is_open {
                self.count(destination, 1);
            }
        }
        // The places of keys in the table stay as they are.
        self.settings = Settings { hash_seed: self.settings.hash_seed, ..settings };
    }

    /// Finds all tickets under other keys from now on: `key_of` writes the new key of a ticket, or leaves the old one.
    pub(crate) fn rekey(&mut self, mut key_of: impl FnMut(Known<&R, &O>, &mut Vec<u8>)) {
        self.table.clear();
        for at in 0..self.slots.len() {
            let slot = &mut self.slots[at];
            match &slot.ticket {
                Ticket::Free => continue,
                Ticket::Open(request) => key_of(Known::Open(request), &mut slot.key),
                Ticket::Closed(outcome) => key_of(Known::Closed(outcome), &mut slot.key),
            }
            let hash = self.hash(&self.slots[at].key);
            self.slots[at].hash = hash;
            let slot = u32::try_from(at).expect("a slot has a 32-bit number");
            self.table.insert_unique(hash, slot, |&other| self.slots[other as usize].hash);
        }
    }

    /// All tickets, with their keys and ends.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&[u8], Known<&R, &O>, u16, Instant)> {
        self.slots.iter().filter_map(|slot| {
            let known = match &slot.ticket {
                Ticket::Free => return None,
                Ticket::Open(request) => Known::Open(request),
                Ticket::Closed(outcome) => Known::Closed(outcome),
            };
            Some((&slot.key[..], known, slot.destination, slot.ends_at))
        })
    }
}
