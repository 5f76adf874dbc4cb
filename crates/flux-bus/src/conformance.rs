//! What every bus must do: one suite, run by each implementation's own tests.
//!
//! It waits for facts and not for times, so it runs as well in simulated time as against a server that takes its own.

mod buckets;
mod consumers;
mod intake;
mod messages;
mod objects;
mod restart;
mod streams;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use flux_world::Clock;

use crate::bus::{Bus, Consumer, Delivery, Stored};
use crate::config::{ConsumerConfig, Retention, StreamConfig};
use crate::error::Error;
use crate::message::Message;
use crate::names::{MessageId, Name};
use crate::subject::{Pattern, Subject};

/// A bus, empty at first, and what the suite does to it.
pub trait Site {
    /// The bus as it is now.
    fn bus(&self) -> Arc<dyn Bus>;

    /// The time it lives in.
    fn clock(&self) -> Clock;

    /// Ends what carries the bus, hard if that is possible, and begins it again with what it has on disk.
    fn restart(&mut self) -> impl Future<Output = ()> + Send;
}

/// Within this everything happens that is to happen.
const SOON: Duration = Duration::from_secs(20);

/// Nothing happens within this.
const WHILE: Duration = Duration::from_millis(150);

/// The lease of a consumer that shall see it end.
const LEASE: Duration = Duration::from_millis(600);

/// Runs the suite on a site.
///
/// # Panics
/// With what was promised and does not hold.
pub async fn check(site: &mut impl Site) {
    let on = Ground { bus: site.bus(), clock: site.clock() };
    messages::check(&on).await;
    streams::check(&on).await;
    consumers::check(&on).await;
    intake::check(&on).await;
    buckets::check(&on).await;
    objects::check(&on).await;
    drop(on);
    restart::check(site).await;
}

/// What the checks stand on.
struct Ground {
    bus: Arc<dyn Bus>,
    clock: Clock,
}

impl Ground {
    /// A queue `name` for `name.>`, with a consumer `all`.
    async fn queue(&self, name: &str) -> Arc<dyn Consumer> {
        self.stream(name, Retention::Queue, |_| {}).await;
        self.consumer(name, "all", |_| {}).await
    }

    async fn stream(&self, name: &str, retention: Retention, change: impl FnOnce(&mut StreamConfig)) {
        let mut config = StreamConfig::new(word(name), vec![pattern(&format!("{name}.>"))], retention);
        config.bytes_max = 4 << 20;
        change(&mut config);
        good(self.bus.make_stream(config).await, "a stream is made");
    }

    async fn consumer(
        &self,
        stream: &str,
        name: &str,
        change: impl FnOnce(&mut ConsumerConfig),
    ) -> Arc<dyn Consumer> {
        let mut config = ConsumerConfig::new(word(name), pattern(&format!("{stream}.>")));
        change(&mut config);
        good(self.bus.make_consumer(word(stream), config).await, "a consumer is made");
        good(self.bus.consumer(word(stream), word(name)).await, "a consumer that was made is there")
    }

    async fn store(&self, id: &str, subject_text: &str, body: &str) -> Stored {
        let message = Message::new(subject(subject_text), body.to_owned());
        good(self.bus.store(self::id(id), message).await, "a message is stored")
    }

    /// The next so many deliveries, within [`SOON`].
    async fn take(&self, consumer: &Arc<dyn Consumer>, count: usize) -> Vec<Delivery> {
        let deadline = self.clock.now() + SOON;
        let mut taken = Vec::new();
        while taken.len() < count && self.clock.now() < deadline {
            taken.extend(good(consumer.fetch(count - taken.len(), SOON).await, "a fetch succeeds"));
        }
        assert_eq!(taken.len(), count, "so many deliveries come");
        taken
    }

    async fn nothing_comes(&self, consumer: &Arc<dyn Consumer>, why: &str) {
        let come = good(consumer.fetch(10, WHILE).await, "a fetch succeeds");
        assert!(come.is_empty(), "{why}: {come:?}");
    }

    async fn within<T>(&self, future: impl Future<Output = T>, what: &str) -> T {
        match self.clock.timeout(SOON, future).await {
            Ok(value) => value,
            Err(_) => panic!("{what} within {SOON:?}"),
        }
    }
}

fn good<T>(result: Result<T, Error>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

fn word(text: &str) -> Name {
    good(Name::new(text), "a name")
}

fn subject(text: &str) -> Subject {
    good(Subject::new(text), "a subject")
}

fn pattern(text: &str) -> Pattern {
    good(Pattern::new(text), "a pattern")
}

fn id(text: &str) -> MessageId {
    good(MessageId::new(text), "an id")
}

fn key(text: &str) -> crate::Key {
    good(crate::Key::new(text), "a key")
}

fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|it| String::from_utf8_lossy(&it.message.body).into_owned()).collect()
}

async fn ack_all(deliveries: &[Delivery]) {
    for delivery in deliveries {
        good(delivery.lease.ack().await, "a delivery is acknowledged");
    }
}
