//! What gears gave up while they stopped.

use std::{collections::BTreeMap, mem, sync::Arc};

use parking_lot::Mutex;

/// Messages that gears gave up, by gear and reason; shared by the gears of a rack.
#[derive(Clone, Debug, Default)]
pub struct Discards(Arc<Mutex<BTreeMap<(String, &'static str), u64>>>);

impl Discards {
    /// Counts messages of a gear.
    pub fn add(&self, gear: &str, reason: &'static str, messages: u64) {
        if messages > 0 {
            *self.0.lock().entry((gear.to_owned(), reason)).or_default() += messages;
        }
    }

    /// What was counted since the last time.
    pub fn take(&self) -> BTreeMap<(String, &'static str), u64> {
        mem::take(&mut self.0.lock())
    }
}
