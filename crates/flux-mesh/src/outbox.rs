//! Which outbox a journal is: its epoch is in the name of the consumer that sends, and so is kept where its records are.

use flux_journal::{Consumer, ConsumerError, Journal, Start};
use flux_world::Clock;

const PREFIX: &str = "outbox-";

/// The records of an outbox that the receiver is not known to have, and its epoch.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) epoch: u64,
    pub(crate) records: Consumer,
}

/// Whether a consumer of a journal is what an outbox sends by.
pub fn is_outbox(consumer: &str) -> bool {
    epoch_of(consumer).is_some()
}

/// Makes a journal an outbox. To be done before anything is appended: the epoch is on disk then with the first record.
pub fn make_outbox(journal: &Journal, clock: Clock) -> Result<(), ConsumerError> {
    Outbox::open(journal, clock).map(drop)
}

impl Outbox {
    pub(crate) fn open(journal: &Journal, clock: Clock) -> Result<Self, ConsumerError> {
        let mut epochs: Vec<u64> =
            journal.consumers().iter().filter_map(|(name, _)| epoch_of(name)).collect();
        epochs.sort_unstable();
        let epoch = epochs.pop().unwrap_or_else(|| now(clock));
        for replaced in epochs {
            journal.forget(&name(replaced));
        }
        Ok(Self { epoch, records: journal.consumer(&name(epoch), Start::Oldest)? })
    }

    /// Another outbox with the records from `low` on, in the place of `replaced`.
    pub(crate) fn begin_anew(
        journal: &Journal,
        replaced: u64,
        low: u64,
        clock: Clock,
        above: u64,
    ) -> Result<Self, ConsumerError> {
        let epoch = now(clock).max(above.saturating_add(1)).max(replaced.saturating_add(1));
        let mut records = journal.consumer(&name(epoch), Start::Oldest)?;
        records.settle_until(low);
        records.rewind();
        Ok(Self { epoch, records })
    }

    /// Forgets an outbox that was replaced, once nobody reads it.
    pub(crate) fn forget(journal: &Journal, replaced: u64) {
        journal.forget(&name(replaced));
    }
}

/// A later outbox of a wire has a greater one.
fn now(clock: Clock) -> u64 {
    u64::try_from(clock.unix_ns()).unwrap_or(0).max(1)
}

fn name(epoch: u64) -> String {
    format!("{PREFIX}{epoch:016x}")
}

fn epoch_of(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix(PREFIX)?, 16).ok()
}
