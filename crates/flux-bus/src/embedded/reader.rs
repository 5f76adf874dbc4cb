//! A durable consumer of an embedded stream: what is out, to whom and until when.
//!
//! What was acknowledged is in the cursor of a journal's consumer. What is out is in memory: after a restart it comes again,
//! as a first attempt. A lease that has ended is noticed by the next fetch; there is no task.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flux_journal::Settler;
use flux_world::{Clock, Instant};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::record;
use crate::bus::{Answer, Consumer, Delivery, Lease};
use crate::config::ConsumerConfig;
use crate::error::Error;
use crate::limits::FETCH_MESSAGES_MAX;
use crate::message::Message;
use crate::names::{MessageId, Name};

pub(super) struct Reader {
    clock: Clock,
    stream: Name,
    pub(super) config: ConsumerConfig,
    settler: Settler,
    /// Held across the wait for records: whoever else fetches waits for the same ones, and gets what comes again meanwhile.
    source: tokio::sync::Mutex<flux_journal::Consumer>,
    out: Mutex<BTreeMap<u64, Out>>,
    /// Something was given back, or there is room.
    changed: Notify,
}

struct Out {
    id: Option<MessageId>,
    message: Message,
    attempt: u32,
    /// When the lease ends, or the message comes again.
    due: Instant,
}

#[derive(Clone)]
pub(super) struct Handle(pub(super) Arc<Reader>);

struct Loan {
    reader: Arc<Reader>,
    sequence: u64,
    attempt: u32,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "consumer {} of {}", self.0.config.name, self.0.stream)
    }
}

impl std::fmt::Debug for Loan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "loan of {}", self.sequence + 1)
    }
}

impl Reader {
    pub(super) fn new(
        clock: Clock,
        stream: Name,
        config: ConsumerConfig,
        source: flux_journal::Consumer,
    ) -> Self {
        let settler = source.settler();
        let (source, out) = (tokio::sync::Mutex::new(source), Mutex::default());
        Self { clock, stream, config, settler, source, out, changed: Notify::new() }
    }

    /// What comes again now, and when the next one does.
    fn due(self: &Arc<Self>, messages_max: usize) -> (Vec<Delivery>, Option<Instant>) {
        let now = self.clock.now();
        let mut table = self.out.lock();
        let mut deliveries = Vec::new();
        for (sequence, out) in table.iter_mut().filter(|(_, out)| out.due <= now).take(messages_max) {
            out.attempt += 1;
            out.due = now + self.config.lease;
            deliveries.push(self.lend(*sequence, out));
        }
        (deliveries, table.values().map(|out| out.due).min())
    }

    fn lend(self: &Arc<Self>, sequence: u64, out: &Out) -> Delivery {
        Delivery {
            message: out.message.clone(),
            id: out.id.clone(),
            sequence: sequence + 1,
            attempt: out.attempt,
            lease: Box::new(Loan { reader: self.clone(), sequence, attempt: out.attempt }),
        }
    }

    /// The next ones of the stream; waits for them, and for room.
    async fn fresh(self: &Arc<Self>, messages_max: usize) -> Result<Vec<Delivery>, Error> {
        let mut source = self.source.lock().await;
        loop {
            let changed = self.changed.notified();
            let room = (self.config.unacked_messages_max as usize).saturating_sub(self.out.lock().len());
            if room == 0 {
                changed.await;
                continue;
            }
            let batch = source.next(messages_max.min(room)).await.map_err(|error| match error {
                flux_journal::ReadError::Closed => Error::Closed,
                error => Error::Failed(error.to_string()),
            })?;
            if batch.skipped > 0 {
                tracing::warn!(stream = %self.stream, consumer = %self.config.name, messages = batch.skipped, "messages are gone unread");
            }
            let deliveries = self.take(batch.records)?;
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
        }
    }

    fn take(self: &Arc<Self>, records: Vec<flux_journal::Record>) -> Result<Vec<Delivery>, Error> {
        let due = self.clock.now() + self.config.lease;
        let mut deliveries = Vec::new();
        for found in records {
            let Some((id, message)) = record::decode(found.body) else {
                return Err(Error::Failed(format!(
                    "record {} of {} is no message",
                    found.sequence, self.stream
                )));
            };
            if !self.config.filter.matches(&message.subject) {
                self.settler.settle(found.sequence);
                continue;
            }
            let out = Out { id, message, attempt: 1, due };
            deliveries.push(self.lend(found.sequence, &out));
            self.out.lock().insert(found.sequence, out);
        }
        Ok(deliveries)
    }

    fn end(&self, sequence: u64) {
        self.out.lock().remove(&sequence);
        self.settler.settle(sequence);
        self.changed.notify_waiters();
    }

    /// Has it come again at another time, if it is out on this attempt still.
    fn postpone(&self, sequence: u64, attempt: u32, by: Duration) {
        if let Some(out) = self.out.lock().get_mut(&sequence).filter(|out| out.attempt == attempt) {
            out.due = self.clock.now() + by;
        }
        self.changed.notify_waiters();
    }
}

impl Consumer for Handle {
    fn fetch(&self, messages_max: usize, wait: Duration) -> Answer<'_, Vec<Delivery>> {
        let (reader, messages_max) = (&self.0, messages_max.clamp(1, FETCH_MESSAGES_MAX));
        Box::pin(async move {
            let deadline = reader.clock.now() + wait;
            loop {
                let changed = reader.changed.notified();
                let (deliveries, next) = reader.due(messages_max);
                if !deliveries.is_empty() {
                    return Ok(deliveries);
                }
                let until = next.map_or(deadline, |next| next.min(deadline));
                tokio::select! {
                    biased;
                    fresh = reader.fresh(messages_max) => return fresh,
                    () = changed => {}
                    () = reader.clock.sleep_until(until) => {
                        if reader.clock.now() >= deadline {
                            return Ok(reader.due(messages_max).0);
                        }
                    }
                }
            }
        })
    }
}

impl Lease for Loan {
    fn ack(&self) -> Answer<'_, ()> {
        self.reader.end(self.sequence);
        Box::pin(async { Ok(()) })
    }

    fn nak(&self, delay: Duration) -> Answer<'_, ()> {
        self.reader.postpone(self.sequence, self.attempt, delay);
        Box::pin(async { Ok(()) })
    }

    fn term(&self) -> Answer<'_, ()> {
        self.ack()
    }

    fn extend(&self) -> Answer<'_, ()> {
        self.reader.postpone(self.sequence, self.attempt, self.reader.config.lease);
        Box::pin(async { Ok(()) })
    }
}
