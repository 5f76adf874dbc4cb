//! The ids of what a stream took within its window.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use flux_journal::Receipt;

use crate::limits::IDS_MAX;
use crate::names::MessageId;

#[derive(Debug)]
pub(super) struct Ids {
    window_ns: i64,
    by_id: BTreeMap<MessageId, Known>,
    by_time: VecDeque<(i64, u64, MessageId)>,
}

/// A message that was taken.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Its record.
    pub(super) sequence: u64,
    /// Says when it is safe; none for what was found on disk.
    pub(super) receipt: Option<Receipt>,
}

impl Ids {
    pub(super) fn new(window: Duration) -> Self {
        let window_ns = i64::try_from(window.as_nanos()).unwrap_or(i64::MAX);
        Self { window_ns, by_id: BTreeMap::new(), by_time: VecDeque::new() }
    }

    pub(super) fn get(&self, id: &MessageId) -> Option<&Known> {
        self.by_id.get(id)
    }

    pub(super) fn is_full(&self) -> bool {
        self.by_id.len() >= IDS_MAX
    }

    /// Ids are noted in the order of their records.
    pub(super) fn note(&mut self, id: MessageId, time_ns: i64, known: Known) {
        self.by_time.push_back((time_ns, known.sequence, id.clone()));
        self.by_id.insert(id, known);
    }

    /// Forgets those whose time is up. The oldest record that is still needed; none when no id is known.
    pub(super) fn expire(&mut self, now_ns: i64) -> Option<u64> {
        while let Some((time_ns, sequence, id)) = self.by_time.front() {
            if now_ns.saturating_sub(*time_ns) < self.window_ns {
                return Some(*sequence);
            }
            // After its time was up it may have been stored again.
            if self.by_id.get(id).is_some_and(|known| known.sequence == *sequence) {
                self.by_id.remove(id);
            }
            self.by_time.pop_front();
        }
        None
    }

    /// Whether a record of that time is within the window.
    pub(super) fn is_within(&self, time_ns: i64, now_ns: i64) -> bool {
        now_ns.saturating_sub(time_ns) < self.window_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_within_its_window() {
        let mut ids = Ids::new(Duration::from_nanos(10));
        let id = |text| MessageId::new(text).unwrap();
        ids.note(id("a"), 0, Known { sequence: 4, receipt: None });
        ids.note(id("b"), 5, Known { sequence: 5, receipt: None });
        assert_eq!(ids.expire(9), Some(4));
        assert!(ids.get(&id("a")).is_some());
        assert_eq!(ids.expire(10), Some(5));
        assert!(ids.get(&id("a")).is_none() && ids.get(&id("b")).is_some());
        assert_eq!(ids.expire(15), None);
    }
}
