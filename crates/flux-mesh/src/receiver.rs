//! The end of a mesh wire that receives: what goes on from its mark is in the inbox, on disk, before the bus forgets it.
//!
//! ```text
//! stream -> fetched -> goes on from the mark? -> appended, synced -> acknowledged to the bus -> reported to the sender
//!                       no: forgotten, and reported: it is sent again
//!                       no pack at all: with the dead letters
//! ```

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flux_bus::{Delivery, Error, MeshWire, Message};
use flux_journal::{AppendError, Config, Consumer, Journal, Start};
use flux_world::{Backoff, BackoffPolicy, World};
use futures_util::future::join_all;
use parking_lot::Mutex;

use crate::error::EndError;
use crate::inlet::{Inlet, Taken};
use crate::limits::{FETCH_PACKS_MAX, FETCH_PACKS_NEAR, NEAR, REPORT_EVERY, RETRY_BASE, RETRY_MAX, STALL};
use crate::line::{self, Line};
use crate::mark::{Mark, STAMP_BYTES, mark_of};
use crate::pack::Pack;
use crate::report::{Report, State};

/// The consumer that keeps the last record of an inbox, which tells the mark.
const CONSUMER: &str = "mark";

/// Fills an inbox.
#[derive(Debug)]
pub struct Receiver {
    wire: MeshWire,
    line: Line,
    world: World,
    letters: Arc<dyn Letters>,
    /// What one call appends.
    batch_bytes_max: usize,
    /// The longest record the inbox takes.
    record_bytes_max: usize,
    status: Mutex<ReceiverStatus>,
}

/// Where what cannot be received is kept.
pub trait Letters: Send + Sync + fmt::Debug {
    /// Keeps bytes, as they came, and why they are here. They are safe when this ends.
    fn keep(
        &self,
        bytes: Bytes,
        reason: &'static str,
        message: String,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// How a receiver stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiverStatus {
    /// Whether the bus gives packs.
    pub is_connected: bool,
    /// Why it does not, or the inbox takes none.
    pub trouble: Option<String>,
    /// Records that were received, since the receiver was made.
    pub received: u64,
    /// Packs that brought nothing new.
    pub again: u64,
    /// How often something was missing, and was asked for.
    pub gaps: u64,
    /// Packs, and records, that went to the dead letters.
    pub refused: u64,
    /// Records that the sender did not have any more.
    pub gone: u64,
    /// What is in the inbox.
    pub mark: Mark,
}

/// Why a session on the bus ended.
enum Failure {
    Bus(Error),
    Inbox(EndError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Bus(error)
    }
}

/// An open inbox.
struct Inbox<'a> {
    journal: &'a Journal,
    keeper: Consumer,
    inlet: Inlet,
}

impl Receiver {
    /// A receiver of one wire, which does nothing yet. Its inbox has this configuration, and acknowledges what is on disk.
    pub fn new(world: World, wire: MeshWire, line: Line, letters: Arc<dyn Letters>, inbox: &Config) -> Self {
        let (batch_bytes_max, record_bytes_max) = (inbox.gather_bytes_max / 2, inbox.body_bytes_max());
        let status = Mutex::default();
        Self { wire, line, world, letters, batch_bytes_max, record_bytes_max, status }
    }

    /// How it stands.
    pub fn status(&self) -> ReceiverStatus {
        self.status.lock().clone()
    }

    /// Receives for as long as the journal takes records. Cancelling it loses nothing: what was not acknowledged comes again.
    pub async fn run(&self, journal: &Journal) -> Result<Infallible, EndError> {
        let mut inbox = Inbox::open(journal).await?;
        let policy = BackoffPolicy {
            base: RETRY_BASE,
            cap: RETRY_MAX,
            stable_after: STALL,
            is_first_immediate: false,
        };
        let mut backoff = Backoff::new(policy);
        loop {
            let error = match self.session(&mut inbox, &mut backoff).await {
                Failure::Inbox(why) => return Err(why),
                Failure::Bus(error) => error,
            };
            self.trouble(&error);
            let clock = self.world.clock;
            clock.sleep(backoff.wait(clock.now(), &self.world.entropy)).await;
        }
    }

    fn trouble(&self, error: &Error) {
        let mut status = self.status.lock();
        if status.is_connected || status.trouble.is_none() {
            tracing::warn!(wire = %self.wire.wire, %error, "mesh wire receives nothing: the bus does not give it");
        }
        (status.is_connected, status.trouble) = (false, Some(error.to_string()));
    }

    /// Receives until the bus or the inbox fails.
    async fn session(&self, inbox: &mut Inbox<'_>, backoff: &mut Backoff) -> Failure {
        let consumer = match line::make_consumer(&*self.line.data, &self.wire).await {
            Ok(consumer) => consumer,
            Err(error) => return error.into(),
        };
        if !std::mem::replace(&mut self.status.lock().is_connected, true) {
            tracing::info!(wire = %self.wire.wire, "mesh wire receives");
        }
        let clock = self.world.clock;
        backoff.up(clock.now());
        let mut packs_max = FETCH_PACKS_NEAR;
        loop {
            let asked = clock.now();
            let deliveries = match consumer.fetch(packs_max, REPORT_EVERY).await {
                Ok(deliveries) => deliveries,
                Err(error) => return error.into(),
            };
            if deliveries.len() == packs_max {
                packs_max = packs_next(packs_max, clock.now().saturating_duration_since(asked));
            }
            self.status.lock().trouble = None;
            let is_idle = deliveries.is_empty();
            if let Err(why) = self.receive(inbox, deliveries).await {
                return Failure::Inbox(why);
            }
            if let Err(error) = self.report(&inbox.inlet, is_idle).await {
                return error.into();
            }
        }
    }

    async fn report(&self, inlet: &Inlet, is_idle: bool) -> Result<(), Error> {
        let report = match inlet.misses() {
            Some(mark) if is_idle || inlet.is_lost() => {
                self.status.lock().gaps += 1;
                Report { mark, state: State::Missing }
            }
            Some(_) | None => {
                Report { mark: inlet.mark(), state: if is_idle { State::Idle } else { State::Busy } }
            }
        };
        self.line.control.publish(Message::new(self.wire.reports()?, report.encode())).await
    }

    /// Takes what was fetched. When this returns it is on disk, and the bus was told.
    async fn receive(&self, inbox: &mut Inbox<'_>, deliveries: Vec<Delivery>) -> Result<(), EndError> {
        let mut records = Vec::new();
        for delivery in &deliveries {
            let body = &delivery.message.body;
            match Pack::decode(body).map(|pack| inbox.inlet.take(pack)) {
                Ok(Taken::New(mut new)) => {
                    self.note_gone(new.gone);
                    records.append(&mut new.records);
                }
                Ok(Taken::Again) => self.status.lock().again += 1,
                // The bus may forget it: its sender does not.
                Ok(Taken::Waits) => {}
                Ok(Taken::Stale) => {
                    let why = "it is of an outbox that was replaced".to_owned();
                    self.refuse(body.clone(), "stale_pack", why).await;
                }
                Err(why) => self.refuse(body.clone(), "undecodable", why.to_string()).await,
            }
        }
        self.keep(inbox, records).await?;
        // One that fails comes again, and is known then.
        join_all(deliveries.iter().map(|delivery| delivery.lease.ack())).await;
        Ok(())
    }

    fn note_gone(&self, gone: u64) {
        if gone > 0 {
            self.status.lock().gone += gone;
            tracing::error!(wire = %self.wire.wire, records = gone, "the sender does not have records any more that are not here: the inbox is new, or the outbox was repaired");
        }
    }

    async fn refuse(&self, body: Bytes, reason: &'static str, message: String) {
        self.status.lock().refused += 1;
        self.letters.keep(body, reason, message).await;
    }

    /// Appends, and waits until it is on disk.
    async fn keep(&self, inbox: &mut Inbox<'_>, mut records: Vec<Vec<u8>>) -> Result<(), EndError> {
        for record in &mut records {
            if record.len() > self.record_bytes_max {
                let why = format!(
                    "{} bytes are more than the inbox takes: raise `rack.max_payload_size`",
                    record.len()
                );
                self.refuse(Bytes::copy_from_slice(&record[STAMP_BYTES..]), "too_long", why).await;
                // The stamp stays, so that it does not come again.
                record.truncate(STAMP_BYTES);
            }
        }
        let received = records.len() as u64;
        while !records.is_empty() {
            let mut bytes = 0;
            let fits = |record: &&Vec<u8>| {
                bytes += record.len() + RECORD_OVERHEAD_BYTES;
                bytes <= self.batch_bytes_max
            };
            let count = records.iter().take_while(fits).count().max(1);
            let last = self.append(inbox.journal, &records[..count]).await?;
            inbox.keeper.settle_until(last);
            records.drain(..count);
        }
        let mut status = self.status.lock();
        status.received += received;
        status.mark = inbox.inlet.mark();
        Ok(())
    }

    /// Appends as soon as there is room; the sequence of the last.
    async fn append(&self, journal: &Journal, records: &[Vec<u8>]) -> Result<u64, EndError> {
        loop {
            match journal.append_batch(records).await {
                Ok(receipt) => {
                    receipt.wait().await?;
                    return Ok(receipt.sequences().end - 1);
                }
                // It stays on the bus, and with its sender.
                Err(AppendError::Full { full, waited }) => {
                    let told = format!("the inbox takes no more: {full}");
                    if self.status.lock().trouble.replace(told).is_none() {
                        tracing::error!(wire = %self.wire.wire, ?waited, why = %full, "inbox takes no more: its sender waits");
                    }
                }
                Err(why) => return Err(why.into()),
            }
        }
    }
}

/// How much is asked for at a time, when as much as was asked for took so long to come.
fn packs_next(packs: usize, took: Duration) -> usize {
    match took < NEAR * (packs / FETCH_PACKS_NEAR) as u32 {
        true => FETCH_PACKS_NEAR,
        false => FETCH_PACKS_MAX,
    }
}

/// Room for the head of a record beside its body.
const RECORD_OVERHEAD_BYTES: usize = 64;

impl<'a> Inbox<'a> {
    async fn open(journal: &'a Journal) -> Result<Self, EndError> {
        let mut keeper = journal.consumer(CONSUMER, Start::Oldest)?;
        let stats = journal.stats();
        let mut mark = Mark::default();
        if stats.next > stats.first {
            keeper.settle_until(stats.next - 1);
            keeper.rewind();
            let last = keeper.next(1).await?.records.pop();
            mark = last.and_then(|last| mark_of(&last.body)).unwrap_or_default();
        }
        Ok(Self { journal, keeper, inlet: Inlet::new(mark) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_is_asked_for_at_a_time_where_the_bus_is_far() {
        assert_eq!(packs_next(FETCH_PACKS_NEAR, NEAR / 2), FETCH_PACKS_NEAR);
        assert_eq!(packs_next(FETCH_PACKS_NEAR, NEAR), FETCH_PACKS_MAX);
        assert_eq!(packs_next(FETCH_PACKS_MAX, 10 * NEAR), FETCH_PACKS_MAX);
        assert_eq!(packs_next(FETCH_PACKS_MAX, 5 * NEAR), FETCH_PACKS_NEAR, "it was only busy");
    }
}
