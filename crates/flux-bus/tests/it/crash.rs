//! Crashes at random points, on a disk that loses, tears and reorders what was not synced: what was said to be kept is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flux_bus::{
    Bucket, BucketConfig, Bus, Consumer, ConsumerConfig, EmbeddedBus, Error, Key, Message, MessageId, Name,
    Pattern, Retention, Settings, StreamConfig, Subject,
};
use flux_journal::Keys;
use flux_world::sim::{DiskLatency, Sim, SimDisk};
use flux_world::{Entropy, World};

const DIRECTORY: &str = "/var/lib/flux/bus";
const KEYS: u64 = 6;

/// What must hold across the lives of one bus.
#[derive(Default)]
struct Ledger {
    numbers: u64,
    /// Messages that were said to be stored.
    stored: BTreeSet<u64>,
    /// Messages whose outcome is not known; to store one again is to store it once.
    perhaps: BTreeSet<u64>,
    acked: BTreeSet<u64>,
    /// Where each message was seen to be.
    places: BTreeMap<u64, u64>,
    /// What each key may hold: what was said to be there, then what may have replaced it.
    entries: BTreeMap<u64, Vec<Option<u64>>>,
}

struct Life {
    sim: Sim,
    world: World,
    disk: SimDisk,
    chance: Entropy,
}

/// A bus and what is used of it.
struct Open {
    bus: Arc<EmbeddedBus>,
    consumer: Arc<dyn Consumer>,
    bucket: Arc<dyn Bucket>,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn key(n: u64) -> Key {
    Key::new(format!("k{n}")).unwrap()
}

/// Long enough that segments fill and are trimmed.
fn body(n: u64) -> Vec<u8> {
    let mut body = n.to_le_bytes().to_vec();
    body.resize(8 + (n * 37 % 3_001) as usize, n as u8);
    body
}

fn number(body: &[u8]) -> u64 {
    let n = u64::from_le_bytes(body[..8].try_into().unwrap());
    assert_eq!(body, self::body(n), "it is what was stored");
    n
}

impl Life {
    fn new(sim: Sim, seed: u64) -> Self {
        let chance = Entropy::seeded(seed ^ 0x5eed);
        let (world, disk) = (sim.world(), sim.disk("local"));
        let sync = Duration::from_micros(chance.below(3_000));
        disk.set_latency(DiskLatency { sync, ..DiskLatency::default() });
        Self { sim, world, disk, chance }
    }

    async fn bus(&self) -> Result<EmbeddedBus, Error> {
        let settings = Settings { segment_bytes: 64 * 1024, ..Settings::default() };
        EmbeddedBus::open(&self.world, Path::new(DIRECTORY), settings, Keys::none()).await
    }

    /// Opens the bus; a crash may come in the middle of that too, and while things are made.
    async fn open(&self) -> Open {
        if self.chance.below(3) == 0 {
            self.disk.stop_after(self.chance.below(40));
            if let Ok(bus) = self.bus().await {
                let _ = self.make(bus).await;
            }
            self.crash().await;
        }
        let bus = self.bus().await.unwrap_or_else(|error| panic!("{error}"));
        self.make(bus).await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn make(&self, bus: EmbeddedBus) -> Result<Open, Error> {
        let mut stream = StreamConfig::new(name("s"), vec![Pattern::new("s.>")?], Retention::Queue);
        stream.bytes_max = 1 << 20;
        stream.duplicate_window = Duration::from_secs(30);
        bus.make_stream(stream).await?;
        let mut consumer = ConsumerConfig::new(name("c"), Pattern::new("s.>")?);
        consumer.lease = Duration::from_millis(200);
        bus.make_consumer(name("s"), consumer).await?;
        bus.make_bucket(BucketConfig { name: name("b"), bytes_max: 64 << 10 }).await?;
        let (consumer, bucket) = (bus.consumer(name("s"), name("c")).await?, bus.bucket(name("b")).await?);
        Ok(Open { bus: Arc::new(bus), consumer, bucket })
    }

    async fn crash(&self) {
        self.disk.crash();
        self.world.clock.sleep(Duration::from_millis(1)).await;
    }

    /// Stores, acknowledges and changes entries for a while; then the machine stops, between any two writes.
    async fn live(&self, open: &Open, ledger: &mut Ledger) {
        for step in 0..self.chance.below(150) {
            if step == 10 {
                self.disk.stop_after(self.chance.below(120));
            }
            match self.chance.below(8) {
                0..=2 => {
                    let n = match ledger.perhaps.first().copied().filter(|_| self.chance.below(2) == 0) {
                        Some(again) => again,
                        None => ledger.numbers,
                    };
                    ledger.numbers = ledger.numbers.max(n + 1);
                    self.store(open, ledger, n).await;
                }
                3 => self.world.clock.sleep(Duration::from_millis(self.chance.below(300))).await,
                4 | 5 => self.change(open, ledger).await,
                _ => {
                    let wait = Duration::from_millis(1);
                    for delivery in open.consumer.fetch(8, wait).await.into_iter().flatten() {
                        let n = number(&delivery.message.body);
                        self.seen(ledger, n, delivery.sequence);
                        if self.chance.below(5) > 0 {
                            delivery.lease.ack().await.unwrap();
                            ledger.acked.insert(n);
                        }
                    }
                }
            }
        }
    }

    fn seen(&self, ledger: &mut Ledger, n: u64, sequence: u64) {
        let place = *ledger.places.entry(n).or_insert(sequence);
        assert_eq!(place, sequence, "message {n} is in one place");
    }

    async fn store(&self, open: &Open, ledger: &mut Ledger, n: u64) {
        let message = Message::new(Subject::new("s.a").unwrap(), body(n));
        let id = MessageId::new(n.to_string()).unwrap();
        ledger.perhaps.insert(n);
        let stored = self.world.clock.timeout(Duration::from_millis(20), open.bus.store(id, message)).await;
        if let Ok(Ok(stored)) = stored {
            self.seen(ledger, n, stored.sequence);
            ledger.perhaps.remove(&n);
            ledger.stored.insert(n);
        }
    }

    async fn change(&self, open: &Open, ledger: &mut Ledger) {
        let (n, value) = (self.chance.below(KEYS), self.chance.next_u64() % 10_000);
        let there = open.bucket.get(key(n)).await.unwrap();
        let is_delete = there.is_some() && self.chance.below(4) == 0;
        ledger.entries.entry(n).or_insert_with(|| vec![None]).push((!is_delete).then_some(value));
        let changed = async {
            match there {
                Some(entry) if is_delete => open.bucket.delete(key(n), entry.revision).await,
                Some(entry) => open.bucket.put(key(n), body(value).into(), entry.revision).await,
                None => open.bucket.create(key(n), body(value).into()).await,
            }
        };
        if let Ok(Ok(_)) = self.world.clock.timeout(Duration::from_millis(20), changed).await {
            ledger.entries.insert(n, vec![(!is_delete).then_some(value)]);
        }
    }

    /// What was said to be kept is there, and nothing that nobody stored.
    async fn verify(&self, open: &Open, ledger: &mut Ledger) {
        let listed = open.bucket.list().await.unwrap();
        for (n, may_be) in &mut ledger.entries {
            let entry = listed.iter().find(|entry| entry.key == key(*n));
            let there = entry.map(|entry| number(&entry.value));
            assert!(may_be.contains(&there), "{n}: {there:?} of {may_be:?}");
            *may_be = vec![there];
        }
        // Whoever does not know stores it again.
        for n in ledger.perhaps.clone() {
            self.store(open, ledger, n).await;
        }
    }

    /// Everything that was stored and not acknowledged comes, in the order of its place at first.
    async fn finish(&self, open: &Open, ledger: &mut Ledger) {
        let mut before = 0;
        loop {
            let fetched = open.consumer.fetch(64, Duration::from_millis(500)).await.unwrap();
            if fetched.is_empty() {
                break;
            }
            for delivery in fetched {
                let n = number(&delivery.message.body);
                self.seen(ledger, n, delivery.sequence);
                if delivery.attempt == 1 {
                    assert!(delivery.sequence > before, "in order");
                    before = delivery.sequence;
                }
                delivery.lease.ack().await.unwrap();
                ledger.acked.insert(n);
            }
        }
        let lost: Vec<_> = ledger.stored.difference(&ledger.acked).collect();
        assert!(lost.is_empty(), "{lost:?}");
        let places: BTreeSet<u64> = ledger.places.values().copied().collect();
        assert_eq!(places.len(), ledger.places.len(), "each message is stored once");
    }
}

async fn survive(life: Life) -> Vec<String> {
    let mut ledger = Ledger::default();
    for _ in 0..4 {
        let open = life.open().await;
        life.verify(&open, &mut ledger).await;
        life.live(&open, &mut ledger).await;
        life.sim.note(&format!("stored {}, acknowledged {}", ledger.stored.len(), ledger.acked.len()));
        life.disk.crash();
        drop(open);
        life.crash().await;
    }
    let open = life.open().await;
    life.verify(&open, &mut ledger).await;
    life.finish(&open, &mut ledger).await;
    open.bus.close().await.unwrap();
    life.sim.trace()
}

#[test]
fn what_was_said_to_be_kept_survives_every_crash() {
    for seed in 0..60 {
        let outcome =
            std::panic::catch_unwind(|| Sim::run(seed, async |sim| survive(Life::new(sim, seed)).await));
        if let Err(panic) = outcome {
            println!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Some entries that never change once they are there, so that nothing but writing them anew keeps them.
async fn quiet(open: &Open) {
    for n in 100..108 {
        let there = open.bucket.get(key(n)).await.unwrap();
        match there {
            Some(entry) => assert_eq!((number(&entry.value), entry.revision), (n, n - 99)),
            None => {
                assert_eq!(open.bucket.create(key(n), body(n).into()).await, Ok(n - 99), "they come first")
            }
        }
    }
}

/// Enough changes that what is there is written anew and its front trimmed, with the machine stopped in the middle of that.
#[test]
fn what_is_written_anew_survives_every_crash() {
    for seed in 0..30 {
        Sim::run(seed, async |sim| {
            let (life, mut ledger) = (Life::new(sim, seed), Ledger::default());
            for _ in 0..4 {
                let open = life.open().await;
                life.verify(&open, &mut ledger).await;
                quiet(&open).await;
                life.disk.stop_after(life.chance.below(3_000));
                for _ in 0..600 {
                    life.change(&open, &mut ledger).await;
                }
                drop(open);
                life.crash().await;
            }
            let open = life.open().await;
            life.verify(&open, &mut ledger).await;
            quiet(&open).await;
        });
    }
}

#[test]
fn a_seed_replays_itself() {
    let run = || Sim::run(11, async |sim| survive(Life::new(sim, 11)).await);
    assert_eq!(run(), run());
}

/// Buckets write anew what is there, so that their journals stay short, and no entry is lost on the way.
#[test]
fn a_bucket_that_changes_all_day_stays_short() {
    Sim::run(3, async |sim| {
        let life = Life::new(sim, 3);
        let open = life.open().await;
        quiet(&open).await;
        let mut revisions = BTreeMap::new();
        for n in 0..3_000_u64 {
            let (key, value) = (key(n % 7), body(n).into());
            let put = match revisions.get(&(n % 7)) {
                None => open.bucket.create(key, value).await,
                Some(revision) => open.bucket.put(key, value, *revision).await,
            };
            revisions.insert(n % 7, put.unwrap());
        }
        let files = life.world.disk.list(&Path::new(DIRECTORY).join("buckets/b")).unwrap();
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        assert!(bytes < 2 << 20, "{bytes} bytes for 4.5 MB of changes");
        let before = open.bucket.list().await.unwrap();
        open.bus.close().await.unwrap();
        drop(open);
        let open = life.open().await;
        assert_eq!(open.bucket.list().await.unwrap(), before);
        quiet(&open).await;
    });
}
