//! Three machines: one sends, one receives, and one has the bus; each may be stopped at any moment.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use flux_bus::{
    Answer, Bucket, BucketConfig, Bus, Consumer, ConsumerConfig, Delivery, EmbeddedBus, Error, Message,
    MessageId, Name, Objects, Pattern, Settings, Stored, StreamConfig, StreamState, Subscription,
};
use flux_journal::{Config, Journal, Keys, Start};
use flux_mesh::{Letters, Line, Mark, MeshWire, Receiver, Sender, make_outbox, unstamped};
use flux_world::World;
use flux_world::sim::{Sim, SimDisk};
use tokio::task::JoinHandle;

const DIRECTORY: &str = "/var/lib/flux";

/// Within this everything arrives that is to arrive.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// A bus that can be taken away.
#[derive(Debug, Default)]
pub(crate) struct Centre {
    bus: parking_lot::Mutex<Option<Arc<EmbeddedBus>>>,
}

impl Centre {
    pub(crate) fn now(&self) -> Result<Arc<EmbeddedBus>, Error> {
        self.bus.lock().clone().ok_or_else(|| Error::Away("it is down".into()))
    }
}

/// A consumer that goes with its bus.
#[derive(Debug)]
struct Lent {
    of: Weak<EmbeddedBus>,
    consumer: Arc<dyn Consumer>,
}

impl Consumer for Lent {
    fn fetch(&self, messages_max: usize, wait: Duration) -> Answer<'_, Vec<Delivery>> {
        match self.of.strong_count() {
            0 => Box::pin(std::future::ready(Err(Error::Closed))),
            _ => self.consumer.fetch(messages_max, wait),
        }
    }
}

impl Centre {
    async fn lend(&self, stream: Name, name: Name) -> Result<Arc<dyn Consumer>, Error> {
        let bus = self.now()?;
        Ok(Arc::new(Lent { of: Arc::downgrade(&bus), consumer: bus.consumer(stream, name).await? }))
    }
}

macro_rules! pass_on {
    ($($method:ident($($name:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Bus for Centre {
            fn body_bytes_max(&self) -> usize {
                self.now().map_or(0, |bus| bus.body_bytes_max())
            }

            fn consumer(&self, stream: Name, name: Name) -> Answer<'_, Arc<dyn Consumer>> {
                Box::pin(self.lend(stream, name))
            }

            $(fn $method(&self, $($name: $type),*) -> Answer<'_, $answer> {
                Box::pin(async move { self.now()?.$method($($name),*).await })
            })*
        }
    };
}

pass_on! {
    publish(message: Message) -> ();
    store(id: MessageId, message: Message) -> Stored;
    request(message: Message, deadline: Duration) -> Message;
    subscribe(pattern: Pattern, queue_messages_max: usize) -> Subscription;
    make_stream(config: StreamConfig) -> ();
    make_consumer(stream: Name, config: ConsumerConfig) -> ();
    make_bucket(config: BucketConfig) -> ();
    make_objects(config: BucketConfig) -> ();
    stream(name: Name) -> StreamState;
    bucket(name: Name) -> Arc<dyn Bucket>;
    objects(name: Name) -> Arc<dyn Objects>;
}

/// What could not be received.
#[derive(Debug, Default)]
pub(crate) struct Kept(pub(crate) parking_lot::Mutex<Vec<(bytes::Bytes, &'static str)>>);

impl Letters for Kept {
    fn keep(
        &self,
        bytes: bytes::Bytes,
        reason: &'static str,
        _: String,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.lock().push((bytes, reason));
        Box::pin(std::future::ready(()))
    }
}

/// One end of a wire, while its machine runs.
pub(crate) struct End<T> {
    pub(crate) journal: Journal,
    pub(crate) what: Arc<T>,
    task: JoinHandle<()>,
}

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) struct House {
    pub(crate) sim: Sim,
    pub(crate) centre: Arc<Centre>,
    pub(crate) letters: Arc<Kept>,
    pub(crate) segment_bytes: u64,
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn route(wire: &str) -> MeshWire {
    MeshWire::new("north", "south", wire).unwrap()
}

/// Journals of a size to be tested.
fn config(segment_bytes: u64) -> Config {
    Config {
        segment_bytes,
        gather_bytes_max: segment_bytes as usize / 2,
        bytes_max: 256 << 20,
        window_records: 65_536,
        ..Config::default()
    }
}

/// A record that says which it is, and is long sometimes.
pub(crate) fn body(number: u64) -> Vec<u8> {
    let mut body = number.to_be_bytes().to_vec();
    body.resize(8 + (number * 37 % 301) as usize, number as u8);
    body
}

pub(crate) fn number(body: &[u8]) -> u64 {
    u64::from_be_bytes(body[..8].try_into().unwrap())
}

impl House {
    pub(crate) async fn new(sim: Sim) -> House {
        let house = House { sim, centre: Arc::default(), letters: Arc::default(), segment_bytes: 256 << 10 };
        house.start_bus().await;
        house
    }

    pub(crate) fn world(&self, machine: &str) -> World {
        self.sim.host(machine)
    }

    pub(crate) fn disk(&self, machine: &str) -> SimDisk {
        self.sim.disk(machine)
    }

    pub(crate) async fn start_bus(&self) {
        let settings = Settings { segment_bytes: 1 << 20, ..Settings::default() };
        let bus =
            EmbeddedBus::open(&self.world("centre"), Path::new(DIRECTORY), settings, Keys::none()).await;
        *self.centre.bus.lock() = Some(Arc::new(bus.unwrap()));
    }

    /// The power fails where the bus is.
    pub(crate) async fn stop_bus(&self) {
        self.disk("centre").crash();
        self.centre.bus.lock().take();
        self.pause(1).await;
    }

    /// Somebody removes what the bus has stored.
    pub(crate) async fn wipe_bus(&self) {
        self.stop_bus().await;
        let disk = self.world("centre").disk;
        remove(&disk, Path::new(DIRECTORY));
        self.start_bus().await;
    }

    pub(crate) fn line(&self) -> Line {
        Line::one(self.centre.clone())
    }

    pub(crate) async fn pause(&self, ms: u64) {
        self.world("centre").clock.sleep(Duration::from_millis(ms)).await;
    }

    fn open(&self, machine: &str, wire: &str) -> Journal {
        let directory = Path::new(DIRECTORY).join(wire);
        Journal::open(&self.world(machine), &directory, config(self.segment_bytes), Keys::none()).unwrap().0
    }

    pub(crate) fn sender(&self, wire: &str) -> End<Sender> {
        let (journal, world) = (self.open("north", wire), self.world("north"));
        make_outbox(&journal, world.clock).unwrap();
        let what = Arc::new(Sender::new(world, route(wire), self.line()));
        let (sender, outbox) = (what.clone(), journal.clone());
        let task = tokio::spawn(async move { drop(sender.run(&outbox).await) });
        End { journal, what, task }
    }

    pub(crate) fn receiver(&self, wire: &str) -> End<Receiver> {
        let (journal, world) = (self.open("south", wire), self.world("south"));
        // Nothing of it is trimmed.
        drop(journal.consumer("everything", Start::Oldest).unwrap());
        let what = Arc::new(Receiver::new(
            world,
            route(wire),
            self.line(),
            self.letters.clone(),
            &config(self.segment_bytes),
        ));
        let (receiver, inbox) = (what.clone(), journal.clone());
        let task = tokio::spawn(async move { drop(receiver.run(&inbox).await) });
        End { journal, what, task }
    }

    /// The power fails at an end.
    pub(crate) async fn crash<T>(&self, machine: &str, end: End<T>) {
        self.disk(machine).crash();
        drop(end);
        self.pause(1).await;
    }

    /// Waits until a condition holds.
    pub(crate) async fn until(&self, what: &str, is_it: impl Fn() -> bool) {
        let clock = self.world("centre").clock;
        let deadline = clock.now() + SOON;
        while !is_it() {
            assert!(clock.now() < deadline, "{what} within {SOON:?}");
            clock.sleep(Duration::from_millis(20)).await;
        }
    }
}

/// All that is in an inbox.
pub(crate) async fn contents(inbox: &Journal) -> Vec<bytes::Bytes> {
    let mut consumer = inbox.consumer("everything", Start::Oldest).unwrap();
    consumer.rewind();
    let mut all = Vec::new();
    while all.len() < inbox.stats().next as usize {
        let batch = consumer.next(1_000).await.unwrap();
        assert_eq!(batch.skipped, 0);
        all.extend(batch.records.iter().map(|record| unstamped(&record.body).unwrap()));
    }
    all
}

pub(crate) async fn numbers(inbox: &Journal) -> Vec<u64> {
    contents(inbox).await.iter().map(|body| number(body)).collect()
}

pub(crate) fn next(end: &End<Receiver>) -> u64 {
    let Mark { next, .. } = end.what.status().mark;
    next
}

pub(crate) fn remove(disk: &flux_world::Disk, directory: &Path) {
    for inner in disk.directories(directory).unwrap_or_default() {
        remove(disk, &directory.join(inner));
    }
    for file in disk.list(directory).unwrap_or_default() {
        disk.remove(&directory.join(file.name)).unwrap();
    }
    let _ = disk.sync_dir(directory);
}
