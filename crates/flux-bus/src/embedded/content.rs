//! What is in a bucket, by key and in the order it changed, with the removals that watches may still ask for.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::bucket::{Entry, Revision, Update};
use crate::limits::REMOVALS_MAX;
use crate::names::Key;

/// What an entry takes besides its key and its value, in a journal, about.
const ENTRY_BYTES: usize = 80;

#[derive(Debug, Default)]
pub(super) struct Content {
    entries: BTreeMap<Key, Entry>,
    by_revision: BTreeMap<Revision, Key>,
    removals: BTreeMap<Revision, Key>,
    /// Removals up to here may be forgotten.
    forgotten: Revision,
    last: Revision,
    bytes: usize,
}

/// Where a watch is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// All up to here is told.
    seen: Revision,
    /// Removals up to here need not be told: everything is told anew since.
    listed: Revision,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Begin,
    Telling,
    Current,
}

/// What an entry takes, about.
pub(super) fn length(key: &Key, value: &[u8]) -> usize {
    key.as_str().len() + value.len() + ENTRY_BYTES
}

impl Content {
    pub(super) fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Entries behind a key, by key.
    pub(super) fn after(&self, key: Option<&Key>) -> impl Iterator<Item = &Entry> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.entries.range::<Key, _>((key.map_or(Unbounded, Excluded), Unbounded)).map(|(_, entry)| entry)
    }

    /// Length of all entries.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn last(&self) -> Revision {
        self.last
    }

    /// What was before `revision` is known by its entries only.
    pub(super) fn forget_removals_until(&mut self, revision: Revision) {
        self.forgotten = self.forgotten.max(revision);
        self.removals = self.removals.split_off(&(revision + 1));
        self.last = self.last.max(revision);
    }

    pub(super) fn apply(&mut self, revision: Revision, key: Key, value: Option<Bytes>) {
        if let Some(before) = self.entries.remove(&key) {
            self.bytes -= length(&key, &before.value);
            self.by_revision.remove(&before.revision);
        }
        match value {
            Some(value) => {
                self.bytes += length(&key, &value);
                self.by_revision.insert(revision, key.clone());
                self.entries.insert(key.clone(), Entry { key, value, revision });
            }
            None => {
                self.removals.insert(revision, key);
            }
        }
        if self.removals.len() > REMOVALS_MAX
            && let Some((revision, _)) = self.removals.pop_first()
        {
            self.forgotten = revision;
        }
        self.last = self.last.max(revision);
    }

    /// What a watch in this place is told next; nothing when it is told all there is.
    pub(super) fn next(&self, place: &mut Place) -> Option<Update> {
        let is_lost = self.forgotten > place.seen.max(place.listed) || place.seen > self.last;
        if is_lost || (place.step == Step::Begin && place.seen == 0) {
            *place = Place { seen: 0, listed: self.last, step: Step::Telling };
            return Some(Update::Relisted);
        }
        let put = self.by_revision.range(place.seen + 1..).next();
        let removal = self.removals.range(place.seen.max(place.listed) + 1..).next();
        let is_put = match (put, removal) {
            (Some((put, _)), Some((removal, _))) => put < removal,
            (put, _) => put.is_some(),
        };
        let (&revision, key) = match (if is_put { put } else { removal }, place.step) {
            (Some(change), _) => change,
            (None, Step::Current) => return None,
            (None, Step::Begin | Step::Telling) => {
                (place.seen, place.step) = (self.last, Step::Current);
                return Some(Update::Current { revision: self.last });
            }
        };
        place.seen = revision;
        if place.step == Step::Begin {
            place.step = Step::Telling;
        }
        match is_put {
            true => self.entries.get(key).cloned().map(Update::Put),
            false => Some(Update::Deleted { key: key.clone(), revision }),
        }
    }
}

impl Place {
    pub(super) fn behind(seen: Revision) -> Self {
        Self { seen, listed: 0, step: Step::Begin }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mirror::Mirror;

    fn key(n: u8) -> Key {
        Key::new(format!("k{n}")).unwrap()
    }

    proptest! {
        /// However changes and reading alternate, and wherever a watch goes on: its mirror is the bucket.
        #[test]
        fn a_watch_tells_what_is_there(
            steps in prop::collection::vec((0..5_u8, any::<bool>(), 0..4_u8), 0..80),
            cut in 0..80_u64,
        ) {
            let mut content = Content::default();
            let (mut mirror, mut place) = (Mirror::default(), Place::behind(0));
            for (at, (n, is_put, reads)) in steps.into_iter().enumerate() {
                let revision = at as u64 + 1;
                if is_put || content.get(&key(n)).is_some() {
                    content.apply(revision, key(n), is_put.then(|| vec![n].into()));
                }
                if revision == cut {
                    content.forget_removals_until(content.last());
                    place = Place::behind(mirror.revision());
                }
                for _ in 0..reads {
                    content.next(&mut place).map(|update| mirror.apply(update));
                }
            }
            while let Some(update) = content.next(&mut place) {
                mirror.apply(update);
            }
            prop_assert!(mirror.entries().eq(content.entries()), "{:?} {:?}", mirror, content);
            prop_assert_eq!(mirror.revision(), content.last());
        }
    }

    #[test]
    fn a_watch_that_is_far_behind_lists_anew() {
        let mut content = Content::default();
        let mut revision = 0;
        for _ in 0..=REMOVALS_MAX {
            for value in [Some(Bytes::new()), None] {
                revision += 1;
                content.apply(revision, key(1), value);
            }
        }
        assert_eq!(content.next(&mut Place::behind(1)), Some(Update::Relisted));
        assert_eq!(content.next(&mut Place::behind(revision + 9)), Some(Update::Relisted));
        let mut place = Place::behind(revision - 1);
        assert_eq!(content.next(&mut place), Some(Update::Deleted { key: key(1), revision }));
        assert_eq!(content.next(&mut place), Some(Update::Current { revision }));
        assert_eq!(content.next(&mut place), None);
    }
}
