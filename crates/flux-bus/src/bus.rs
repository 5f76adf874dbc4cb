//! The seam: what any bus does.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::bucket::{Bucket, Objects};
use crate::config::{BucketConfig, ConsumerConfig, StreamConfig};
use crate::error::Error;
use crate::message::Message;
use crate::names::{MessageId, Name};
use crate::subject::Pattern;

/// What an operation will have come to.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Bytes by subject, and the way to bytes by key. Every operation ends by itself, within a deadline of the bus.
///
/// Who makes streams, consumers and buckets need not be who uses them: the `make_*` are for the one, the rest for the other.
/// To make again what is there is no change, and to make it otherwise is [`Error::Different`].
pub trait Bus: Send + Sync + fmt::Debug {
    /// The longest body it carries now.
    fn body_bytes_max(&self) -> usize;

    /// Sends to whoever listens now: at most once, and nobody says whether.
    ///
    /// What a stream takes it takes from this too, if it can.
    fn publish(&self, message: Message) -> Answer<'_, ()>;

    /// Has the stream that takes the subject keep it: when this succeeds, it is there. With [`Error::Deadline`] and
    /// [`Error::Away`] it may be; to store it again under the same id, within the stream's window, adds nothing twice.
    fn store(&self, id: MessageId, message: Message) -> Answer<'_, Stored>;

    /// Sends and waits for one answer. [`Error::NobodyListens`] at once, where that is known.
    fn request(&self, message: Message, deadline: Duration) -> Answer<'_, Message>;

    /// Listens from when this returns on. At most once: what does not fit into the queue is counted and dropped.
    fn subscribe(&self, pattern: Pattern, queue_messages_max: usize) -> Answer<'_, Subscription>;

    /// Makes a stream.
    fn make_stream(&self, config: StreamConfig) -> Answer<'_, ()>;

    /// Makes a durable consumer of a stream.
    fn make_consumer(&self, stream: Name, config: ConsumerConfig) -> Answer<'_, ()>;

    /// Makes a bucket.
    fn make_bucket(&self, config: BucketConfig) -> Answer<'_, ()>;

    /// Makes a store of objects.
    fn make_objects(&self, config: BucketConfig) -> Answer<'_, ()>;

    /// How a stream stands.
    fn stream(&self, name: Name) -> Answer<'_, StreamState>;

    /// A consumer that was made. Any number of handles share what it is given.
    fn consumer(&self, stream: Name, name: Name) -> Answer<'_, Arc<dyn Consumer>>;

    /// A bucket that was made.
    fn bucket(&self, name: Name) -> Answer<'_, Arc<dyn Bucket>>;

    /// A store of objects that was made.
    fn objects(&self, name: Name) -> Answer<'_, Arc<dyn Objects>>;
}

/// A durable pull consumer.
///
/// Delivery is in the order of the stream but for what comes again; at least once; nothing is given out beyond
/// `unacked_messages_max`.
pub trait Consumer: Send + Sync + fmt::Debug {
    /// Up to so many deliveries, as soon as there is one; none when there was none for so long. Cancelling it loses nothing:
    /// what was under way comes again when its lease ends.
    fn fetch(&self, messages_max: usize, wait: Duration) -> Answer<'_, Vec<Delivery>>;
}

/// What a stream says about a message it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the stream, from 1.
    pub sequence: u64,
    /// It was there already.
    pub is_duplicate: bool,
}

/// How a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// The place of the last message it took; 0 for none.
    pub last_sequence: u64,
    /// Tells this stream from any other there was under its name: it changes when the store behind the bus was lost.
    pub epoch: u64,
}

/// A message on loan. Neither acknowledged nor given back when the lease ends, or dropped: it comes again.
#[derive(Debug)]
pub struct Delivery {
    /// The message; `reply` is empty.
    pub message: Message,
    /// The id it was stored under.
    pub id: Option<MessageId>,
    /// Its place in the stream.
    pub sequence: u64,
    /// The how many-eth time it is delivered, from 1.
    pub attempt: u32,
    /// How to end the loan.
    pub lease: Box<dyn Lease>,
}

/// How a loan ends. Each says something about one delivery; said of one whose lease has ended, it may have no effect.
pub trait Lease: Send + Sync + fmt::Debug {
    /// It is done: it does not come again. When this succeeds the bus has taken note; what it has noted it may still lose
    /// together with its machine, and then the message comes again.
    fn ack(&self) -> Answer<'_, ()>;

    /// It could not be done now: it comes again after `delay`.
    fn nak(&self, delay: Duration) -> Answer<'_, ()>;

    /// It can never be done: it does not come again. Say so only when it is kept elsewhere.
    fn term(&self) -> Answer<'_, ()>;

    /// It takes longer: the lease begins anew.
    fn extend(&self) -> Answer<'_, ()>;
}

/// Messages as they are sent, from the moment of subscribing, until it is dropped.
pub struct Subscription {
    queue: mpsc::Receiver<Message>,
    dropped: Arc<AtomicU64>,
    _until_dropped: Box<dyn Send + Sync>,
}

impl Subscription {
    /// For implementations: a subscription that reads a queue, counts what did not fit, and ends with a guard.
    pub fn new(
        queue: mpsc::Receiver<Message>,
        dropped: Arc<AtomicU64>,
        until_dropped: impl Send + Sync + 'static,
    ) -> Self {
        Self { queue, dropped, _until_dropped: Box::new(until_dropped) }
    }

    /// The next message; none when the bus is closed. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Message> {
        self.queue.recv().await
    }

    /// Messages that did not fit into the queue.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

/// Answers a request.
pub async fn answer(bus: &dyn Bus, request: &Message, body: impl Into<Bytes> + Send) -> Result<(), Error> {
    match &request.reply {
        Some(reply) => bus.publish(Message::new(reply.clone(), body)).await,
        None => Err(Error::Invalid("the message expects no answer".into())),
    }
}
