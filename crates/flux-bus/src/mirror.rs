//! A copy of a bucket, kept by its watch.

use std::collections::BTreeMap;

use crate::bucket::{Entry, Revision, Update};
use crate::names::Key;

/// What is in a bucket, as far as its watch has told.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    entries: BTreeMap<Key, Entry>,
    /// While all is told anew: what was there before and is not told yet.
    stale: Option<BTreeMap<Key, Entry>>,
    revision: Revision,
}

impl Mirror {
    /// Takes an update; the keys whose entry is another one now, or gone. Relisting alone changes nothing: what is still there is
    /// not reported.
    pub fn apply(&mut self, update: Update) -> Vec<Key> {
        match update {
            Update::Relisted => {
                self.stale.get_or_insert_default().append(&mut self.entries);
                Vec::new()
            }
            Update::Put(entry) => {
                self.came_to(entry.revision);
                let key = entry.key.clone();
                let stale = self.stale.as_mut().and_then(|stale| stale.remove(&key));
                let before = self.entries.insert(key.clone(), entry).or(stale);
                (before.as_ref() != self.entries.get(&key)).then_some(key).into_iter().collect()
            }
            Update::Deleted { key, revision } => {
                self.came_to(revision);
                let stale = self.stale.as_mut().and_then(|stale| stale.remove(&key));
                self.entries.remove(&key).or(stale).map(|_| key).into_iter().collect()
            }
            Update::Current { revision } => {
                self.revision = revision;
                self.stale.take().unwrap_or_default().into_keys().collect()
            }
        }
    }

    /// A list is not told in the order of revisions.
    fn came_to(&mut self, revision: Revision) {
        if self.stale.is_none() {
            self.revision = revision;
        }
    }

    /// The entry under a key. While all is told anew, what was there before still is.
    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key).or_else(|| self.stale.as_ref()?.get(key))
    }

    /// All entries, by key, without what is still to be confirmed.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Where a further watch goes on.
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, revision: Revision) -> Update {
        Update::Put(Entry { key: Key::new(key).unwrap(), value: "v".into(), revision })
    }

    #[test]
    fn relisting_reports_what_differs() {
        let mut mirror = Mirror::default();
        let keys = |changed: Vec<Key>| changed.into_iter().map(String::from).collect::<Vec<_>>();
        for update in
            [Update::Relisted, put("a", 1), put("b", 2), put("c", 3), Update::Current { revision: 3 }]
        {
            mirror.apply(update);
        }
        assert_eq!(mirror.revision(), 3);
        assert!(mirror.apply(Update::Relisted).is_empty());
        assert!(mirror.get(&Key::new("b").unwrap()).is_some());
        assert!(mirror.apply(put("a", 1)).is_empty());
        assert_eq!(keys(mirror.apply(put("c", 9))), ["c"]);
        assert_eq!(keys(mirror.apply(Update::Current { revision: 9 })), ["b"]);
        assert_eq!(keys(mirror.apply(Update::Deleted { key: Key::new("a").unwrap(), revision: 10 })), ["a"]);
        assert_eq!(mirror.entries().count(), 1);
    }
}
