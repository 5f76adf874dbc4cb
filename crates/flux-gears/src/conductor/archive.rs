//! Tickets on disk: what of them must be known after a crash.
//!
//! ```text
//! offset 0       1               9      10        10+n
//!        +-------+---------------+------+---------+------------------------------------+
//!        | state | fingerprint   | n    | name of | the request, or the retained reply |
//!        |       |               |      | destin. | as canonical CBOR                  |
//!        +-------+---------------+------+---------+------------------------------------+
//! ```
//!
//! State 1 is open, 2 closed. The fingerprint is little-endian, and made with the secret that lies under the empty key, which
//! no ticket has: 16 bytes. When a ticket's time is up is known to the table.

use std::{sync::Arc, time::Duration};

use flux_gear::{Bytes, Fault, FluxMsg, Held, Saved, StorageError, Table, Text, keys, storage::Entry};
use flux_signal::{
    Limits,
    cbor::{self, Strictness},
};
use flux_world::{Clock, Instant};

use super::{
    desk::{Desk, FORGOTTEN_BATCH_MAX, Outcome, Parked},
    exchange::Part,
    fingerprint::Fingerprint,
    valet::Known,
};
use crate::expiry::{Expiry, Judge, Verdict};

/// The name of the table in the rack's storage.
pub(super) const TABLE: &str = "tickets";

/// Under it lies the secret of the fingerprints.
const SECRET_KEY: &[u8] = b"";

const OPEN: u8 = 1;
const CLOSED: u8 = 2;

/// Tickets read at a time.
const PAGE: usize = 1_024;

/// The tickets' table, and who watches their time.
pub(crate) struct Archive {
    pub(crate) table: Table,
    pub(crate) expiry: Arc<Expiry>,
    clock: Clock,
}

/// A ticket as it was found.
pub(crate) struct Found {
    pub(crate) key: Vec<u8>,
    pub(crate) known: Known<Parked, Outcome>,
    /// The name of its destination.
    pub(crate) destination: Text,
    pub(crate) ends_at: Instant,
}

impl Archive {
    pub(crate) fn new(table: Table, clock: Clock) -> Archive {
        Archive { table, expiry: Arc::default(), clock }
    }

    /// The secret that the fingerprints here are made with: the one that is here, or else this one from now on.
    pub(crate) fn secret(&self, fresh: [u64; 2]) -> Result<[u64; 2], StorageError> {
        let fresh: Vec<u8> = fresh.iter().flat_map(|half| half.to_le_bytes()).collect();
        let there = match self.table.put_if_absent(SECRET_KEY, fresh.clone(), None)? {
            Ok(_) => fresh.into(),
            Err(there) => there.0.value,
        };
        let half =
            |at: usize| there.get(at..at + 8).and_then(|half| half.try_into().ok()).map(u64::from_le_bytes);
        half(0)
            .zip(half(8))
            .map(|(a, b)| [a, b])
            .ok_or_else(|| StorageError::Failed("the table is not one of tickets".into()))
    }

    /// Writes down an open ticket, in the place of one that was there.
    pub(crate) fn open(
        &self,
        key: &[u8],
        parked: (&FluxMsg, Fingerprint),
        destination: &str,
        ends_at: Instant,
    ) -> Result<Saved, Fault> {
        let record = record(OPEN, parked.1, destination, parked.0)?;
        let saved = self.table.put(key, record, Some(self.left(ends_at)))?;
        self.expiry.look_at(ends_at);
        Ok(saved)
    }

    /// Writes down that a ticket is closed, with the reply where that is retained.
    pub(crate) fn close(
        &self,
        key: &[u8],
        outcome: (&FluxMsg, Fingerprint),
        retention: Duration,
    ) -> Result<Saved, Fault> {
        if !retention.is_zero() {
            let record = record(CLOSED, outcome.1, "", outcome.0)?;
            match self.table.put(key, record, Some(retention)) {
                Ok(saved) => {
                    self.expiry.look_at(self.clock.now() + retention);
                    return Ok(saved);
                }
                // To close it matters more than to retain its outcome.
                Err(StorageError::Full { .. } | StorageError::TooLong { .. }) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Ok(self.table.delete(key)?.map_or_else(Saved::already, |(_, saved)| saved))
    }

    /// Writes down the request that waits now in the place of the one that did.
    pub(crate) fn replace(&self, key: &[u8], parked: (&FluxMsg, Fingerprint)) -> Result<(), Fault> {
        let Some(Entry { value, ends_at: Some(ends_at) }) = self.table.get(key) else { return Ok(()) };
        let destination = parts(&value).map(|(_, _, destination, _)| destination).unwrap_or_default();
        self.open(key, parked, &destination, ends_at).map(drop)
    }

    /// Every ticket here. What is none is told of in the log and left to its time.
    pub(crate) fn tickets(&self, gear: &str) -> Vec<Found> {
        let (mut found, mut last) = (Vec::new(), None::<Bytes>);
        loop {
            let page = self.table.page(last.as_deref(), PAGE);
            let Some((key, _)) = page.last() else { return found };
            last = Some(key.clone());
            for (key, entry) in page.iter().filter(|(key, _)| *key != SECRET_KEY) {
                match ticket(key, entry) {
                    Some(ticket) => found.push(ticket),
                    None => tracing::error!(
                        gear,
                        "what was kept is no ticket, and is thrown away when its time is up"
                    ),
                }
            }
        }
    }

    /// Has a ticket lie under another key.
    pub(crate) fn rekey(&self, from: &[u8], to: &[u8]) -> Result<(), StorageError> {
        if let Some(entry) = self.table.get(from) {
            let _ = self.table.put(to, entry.value, entry.ends_at.map(|ends| self.left(ends)))?;
            self.table.delete(from)?;
        }
        Ok(())
    }

    /// Removes every ticket, and the secret.
    pub(crate) fn clear(&self) -> Result<(), StorageError> {
        loop {
            let page = self.table.page(None, PAGE);
            if page.is_empty() {
                return Ok(());
            }
            for (key, _) in page {
                self.table.delete(&key)?;
            }
        }
    }

    fn left(&self, ends_at: Instant) -> Duration {
        ends_at.saturating_duration_since(self.clock.now())
    }
}

/// Judges tickets whose time is up.
pub(crate) struct Timeouts {
    pub(crate) desk: Arc<Desk>,
    pub(crate) table: Table,
    pub(crate) clock: Clock,
    pub(crate) gear: String,
}

impl Judge for Timeouts {
    fn judge(&self, key: &[u8], value: &Bytes) -> Verdict {
        let mut counter = self.desk.counter();
        // Whoever redeems a ticket has the counter too.
        if self.table.get(key).is_none_or(|there| there.value != *value) {
            return Verdict::Leave;
        }
        let Some((OPEN, _, _, kept)) = parts(value) else {
            counter.valet.forget(self.clock.now(), FORGOTTEN_BATCH_MAX);
            return Verdict::LetGo;
        };
        let parked = counter.valet.take(key, self.clock.now());
        self.desk.leave(counter);
        match parked.map(|parked| parked.request.release()).or_else(|| message(&kept)) {
            Some(request) => Verdict::Tell(timed_out(request, &self.gear)),
            None => Verdict::LetGo,
        }
    }
}

/// A request without a reply, as it leaves at the error port.
pub(super) fn timed_out(mut request: FluxMsg, gear: &str) -> FluxMsg {
    request.metadata.set(keys::ERROR_GEAR, gear);
    request.metadata.set(keys::ERROR_REASON, "timeout");
    request.metadata.set(keys::ERROR_MESSAGE, "no reply came in time");
    request
}

fn record(state: u8, fingerprint: Fingerprint, destination: &str, msg: &FluxMsg) -> Result<Vec<u8>, Fault> {
    let destination_bytes = u8::try_from(destination.len())
        .map_err(|_| Fault::invalid("the name of the destination is too long for a durable ticket"))?;
    let mut record = vec![state];
    record.extend_from_slice(&fingerprint.0.to_le_bytes());
    record.push(destination_bytes);
    record.extend_from_slice(destination.as_bytes());
    cbor::encode(msg, &mut record).map_err(|why| Fault::invalid(why.to_string()).reason("not_parkable"))?;
    Ok(record)
}

/// State, fingerprint, destination, and the message as it was written.
fn parts(value: &Bytes) -> Option<(u8, Fingerprint, Text, Bytes)> {
    let (head, _) = value.split_first_chunk::<10>()?;
    let fingerprint = Fingerprint(u64::from_le_bytes(head[1..9].try_into().ok()?));
    let message_at = 10 + usize::from(head[9]);
    let destination = std::str::from_utf8(value.get(10..message_at)?).ok()?;
    matches!(head[0], OPEN | CLOSED)
        .then(|| (head[0], fingerprint, destination.into(), value.slice(message_at..)))
}

fn message(kept: &Bytes) -> Option<FluxMsg> {
    // It was within limits when it came.
    let limits = Limits { hops_max: u16::MAX, message_bytes_max: usize::MAX };
    cbor::decode(kept, Strictness::Canonical, &limits).ok()
}

fn ticket(key: &Bytes, entry: &Entry) -> Option<Found> {
    let (state, fingerprint, destination, kept) = parts(&entry.value)?;
    let msg = message(&kept)?;
    let known = match state {
        OPEN => {
            let exchange = Part::of(&msg).exchange();
            Known::Open(Parked { request: Held::new(msg), exchange, fingerprint })
        }
        _ => Known::Closed(Outcome { reply: msg, fingerprint }),
    };
    Some(Found { key: key.to_vec(), known, destination, ends_at: entry.ends_at? })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use flux_gear::FluxId;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_format_is_pinned() {
        let msg = FluxMsg::new(FluxId::v7(1, 1), 0, "x");
        let record = record(OPEN, Fingerprint(0x0102), "visa", &msg).unwrap();
        let shown: Vec<String> = record.iter().map(|byte| format!("{byte:02x}")).collect();
        expect!["01 02 01 00 00 00 00 00 00 04 76 69 73 61 a3 62 69 64"].assert_eq(&shown[..18].join(" "));
        let (state, fingerprint, destination, kept) = parts(&record.into()).unwrap();
        assert_eq!((state, fingerprint, &destination[..]), (OPEN, Fingerprint(0x0102), "visa"));
        assert_eq!(message(&kept).unwrap().id, msg.id);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_ticket_or_none(value: Vec<u8>, state in 0..4_u8, name in 0..20_u8) {
            let made = [&[state, 1, 2, 3, 4, 5, 6, 7, 8, name], &value[..]].concat();
            for value in [value, made] {
                let entry = Entry { value: value.into(), ends_at: None };
                prop_assert!(ticket(&Bytes::from_static(b"k"), &entry).is_none());
            }
        }
    }
}
