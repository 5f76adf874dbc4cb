//! What a receiver makes of packs: whatever goes on from its mark, once, in order. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::limits::{STASH_PACKS_MAX, STORES_MAX};
use crate::mark::{Mark, stamp};
use crate::pack::{Content, Pack};

/// The mark of a receiver, ahead of what is on disk, with what came before its turn.
#[derive(Debug)]
pub(crate) struct Inlet {
    mark: Mark,
    partial: Partial,
    /// Packs that do not go on from the mark yet, by epoch, sequence and offset: a bus keeps no order among what is stored at
    /// the same time.
    stash: BTreeMap<(u64, u64, usize), Pack>,
}

/// The first parts of the record at the mark; empty for none.
#[derive(Debug, Default)]
struct Partial {
    total: usize,
    bytes: Vec<u8>,
}

/// What a pack is to a receiver.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It brings something, perhaps with what had waited for it.
    New(New),
    /// All of it is there.
    Again,
    /// Something before it is not there.
    Waits,
    /// It is of an outbox that another one has replaced.
    Stale,
}

/// What packs bring.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct New {
    /// Records of an inbox, to be appended; none for a part of a record.
    pub(crate) records: Vec<Vec<u8>>,
    /// Records before them that the outbox did not have any more.
    pub(crate) gone: u64,
}

impl Inlet {
    pub(crate) fn new(mark: Mark) -> Self {
        Self { mark, partial: Partial::default(), stash: BTreeMap::new() }
    }

    /// All before it was taken.
    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    /// From where on something is not there, when something behind it is.
    pub(crate) fn misses(&self) -> Option<Mark> {
        let epoch = self.stash.first_key_value().map(|((epoch, ..), _)| *epoch)?;
        Some(self.mark_in(epoch))
    }

    /// Whether that cannot have been overtaken: as much came that was stored later as is stored at the same time.
    pub(crate) fn is_lost(&self) -> bool {
        self.stash.len() > STORES_MAX
    }

    pub(crate) fn take(&mut self, pack: Pack) -> Taken {
        let mut taken = self.step(&pack);
        match &mut taken {
            Taken::New(new) => self.take_waiting(new),
            Taken::Waits => {
                self.stash.insert(key(&pack), pack);
                if self.stash.len() > STASH_PACKS_MAX {
                    // It is sent again with what is before it.
                    self.stash.pop_last();
                }
            }
            Taken::Again | Taken::Stale => {}
        }
        taken
    }

    /// Takes what had to wait and goes on from the mark now.
    fn take_waiting(&mut self, new: &mut New) {
        while let Some((key, pack)) = self.stash.pop_first() {
            match self.step(&pack) {
                Taken::New(mut more) => {
                    new.records.append(&mut more.records);
                    new.gone += more.gone;
                }
                Taken::Again | Taken::Stale => {}
                Taken::Waits => {
                    self.stash.insert(key, pack);
                    return;
                }
            }
        }
    }

    fn mark_in(&self, epoch: u64) -> Mark {
        if epoch == self.mark.epoch { self.mark } else { Mark { epoch, next: 0 } }
    }

    fn step(&mut self, pack: &Pack) -> Taken {
        if pack.epoch < self.mark.epoch {
            return Taken::Stale;
        }
        let mark = self.mark_in(pack.epoch);
        if pack.after > mark.next {
            return Taken::Waits;
        }
        if pack.end() <= mark.next {
            return Taken::Again;
        }
        let whole;
        let records = match &pack.content {
            Content::Records(records) => records.as_slice(),
            Content::Part { offset, total, bytes } => match self.partial.take(*offset, *total, bytes) {
                None if *offset < self.partial.bytes.len() => return Taken::Again,
                None => return Taken::Waits,
                Some(None) => return Taken::New(New::default()),
                Some(Some(record)) => {
                    whole = [record];
                    &whole
                }
            },
        };
        self.partial = Partial::default();
        self.mark = Mark { epoch: pack.epoch, next: pack.end() };
        let new = (pack.first..).zip(records).filter(|(sequence, _)| *sequence >= mark.next);
        Taken::New(New {
            records: new.map(|(sequence, record)| stamp(pack.epoch, sequence, record)).collect(),
            gone: pack.first.saturating_sub(mark.next),
        })
    }
}

fn key(pack: &Pack) -> (u64, u64, usize) {
    let offset = match &pack.content {
        Content::Records(_) => 0,
        Content::Part { offset, .. } => *offset,
    };
    (pack.epoch, pack.first, offset)
}

impl Partial {
    /// Takes the next part: none when it is not the next, the record when it was the last.
    fn take(&mut self, offset: usize, total: usize, bytes: &Bytes) -> Option<Option<Bytes>> {
        if offset == 0 {
            // From the beginning again, perhaps of another record.
            *self = Partial { total, bytes: Vec::new() };
        }
        if offset != self.bytes.len() || total != self.total {
            return None;
        }
        self.bytes.extend_from_slice(bytes);
        let is_whole = self.bytes.len() == total;
        Some(is_whole.then(|| std::mem::take(&mut self.bytes).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(epoch: u64, after: u64, first: u64, records: &[&'static str]) -> Pack {
        let records = records.iter().map(|record| Bytes::from_static(record.as_bytes())).collect();
        Pack { epoch, after, first, content: Content::Records(records) }
    }

    fn part(first: u64, offset: usize, total: usize, text: &'static str) -> Pack {
        let content = Content::Part { offset, total, bytes: Bytes::from_static(text.as_bytes()) };
        Pack { epoch: 5, after: first, first, content }
    }

    fn new(records: &[(u64, u64, &str)]) -> Taken {
        let records = records.iter().map(|(epoch, at, text)| stamp(*epoch, *at, text.as_bytes())).collect();
        Taken::New(New { records, gone: 0 })
    }

    #[test]
    fn what_goes_on_is_taken_once() {
        let mut inlet = Inlet::new(Mark { epoch: 5, next: 10 });
        assert_eq!(inlet.take(pack(5, 10, 10, &["a", "b"])), new(&[(5, 10, "a"), (5, 11, "b")]));
        assert_eq!(inlet.take(pack(5, 10, 10, &["a", "b"])), Taken::Again);
        assert_eq!(inlet.take(pack(5, 11, 11, &["b", "c"])), new(&[(5, 12, "c")]), "cut otherwise");
        assert_eq!(inlet.mark(), Mark { epoch: 5, next: 13 });
    }

    #[test]
    fn what_came_before_its_turn_waits_for_it() {
        let mut inlet = Inlet::new(Mark { epoch: 5, next: 1 });
        assert_eq!(inlet.take(pack(5, 3, 3, &["d"])), Taken::Waits);
        assert_eq!(inlet.take(pack(5, 2, 2, &["c"])), Taken::Waits);
        assert_eq!(inlet.misses(), Some(Mark { epoch: 5, next: 1 }));
        assert!(!inlet.is_lost());
        assert_eq!(inlet.take(pack(5, 1, 1, &["b"])), new(&[(5, 1, "b"), (5, 2, "c"), (5, 3, "d")]));
        assert_eq!(inlet.misses(), None);
        for at in 5..100 {
            assert_eq!(inlet.take(pack(5, at, at, &["x"])), Taken::Waits);
            assert_eq!(inlet.is_lost(), at >= 5 + STORES_MAX as u64);
        }
        assert_eq!(inlet.stash.len(), STASH_PACKS_MAX);
    }

    #[test]
    fn a_newer_outbox_begins_where_it_begins_and_an_older_one_is_over() {
        let mut inlet = Inlet::new(Mark { epoch: 5, next: 10 });
        assert_eq!(inlet.take(pack(6, 3, 3, &["x"])), Taken::Waits);
        let none = Some(Mark { epoch: 6, next: 0 });
        assert_eq!(inlet.misses(), none, "something was before it, and it is not known what");
        assert_eq!(inlet.mark().epoch, 5, "until something of it is there");
        let records = vec![stamp(6, 3, b"x")];
        assert_eq!(inlet.take(pack(6, 0, 3, &["x"])), Taken::New(New { records, gone: 3 }));
        assert_eq!(inlet.take(pack(5, 10, 10, &["a"])), Taken::Stale);
    }

    #[test]
    fn a_record_in_parts_is_taken_when_it_is_whole() {
        let mut inlet = Inlet::new(Mark { epoch: 5, next: 1 });
        assert_eq!(inlet.take(part(1, 2, 5, "c")), Taken::Waits);
        assert_eq!(inlet.take(part(1, 0, 5, "ab")), new(&[]));
        assert_eq!(inlet.take(part(1, 0, 5, "ab")), new(&[]), "from the beginning again");
        assert_eq!(inlet.take(part(1, 4, 5, "e")), Taken::Waits);
        assert_eq!(inlet.take(part(1, 2, 5, "c")), new(&[]));
        assert_eq!(inlet.take(part(1, 2, 5, "c")), Taken::Again);
        assert_eq!(inlet.take(part(1, 3, 5, "d")), new(&[(5, 1, "abcde")]));
        assert_eq!(inlet.take(part(1, 0, 5, "ab")), Taken::Again);
        assert_eq!((inlet.mark().next, inlet.misses()), (2, None));
    }
}
