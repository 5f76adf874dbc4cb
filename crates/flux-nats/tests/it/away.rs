//! The server is killed, comes back, comes back with nothing: what happens then is what is said.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flux_bus::{
    Bucket, BucketConfig, Bus, ConsumerConfig, Error, Key, Message, MessageId, Mirror, Name, Pattern,
    Retention, StreamConfig, Subject, Watch,
};
use flux_nats::{Credentials, NatsBus};
use flux_world::World;
use serde_json::Value as Json;

use crate::server::{Server, Version, is_up};

const MESSAGES: usize = 1_500;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

async fn sleep_ms(ms: u64) {
    World::real().clock.sleep(Duration::from_millis(ms)).await;
}

async fn make(bus: &NatsBus) {
    let all = Pattern::new("a.>").unwrap();
    bus.make_stream(StreamConfig::new(name("s"), vec![all.clone()], Retention::Queue)).await.unwrap();
    let mut consumer = ConsumerConfig::new(name("c"), all);
    consumer.lease = Duration::from_secs(2);
    bus.make_consumer(name("s"), consumer).await.unwrap();
    bus.make_bucket(BucketConfig { name: name("b"), bytes_max: 1 << 20 }).await.unwrap();
}

/// Stores each message until it is said to be there.
async fn store_all(bus: Arc<NatsBus>) -> usize {
    let mut failures = 0;
    for n in 0..MESSAGES {
        let (id, subject) = (MessageId::new(n.to_string()).unwrap(), Subject::new("a.b").unwrap());
        while let Err(error) = bus.store(id.clone(), Message::new(subject.clone(), n.to_string())).await {
            assert!(error.class() == Error::Away(String::new()).class(), "it may be tried again: {error}");
            failures += 1;
            sleep_ms(20).await;
        }
    }
    failures
}

/// How often each message came, until all have.
async fn take_all(bus: Arc<NatsBus>) -> BTreeMap<usize, usize> {
    let consumer = bus.consumer(name("s"), name("c")).await.unwrap();
    let mut came = BTreeMap::new();
    while came.len() < MESSAGES {
        let Ok(deliveries) = consumer.fetch(64, Duration::from_secs(1)).await else {
            sleep_ms(20).await;
            continue;
        };
        for delivery in deliveries {
            let n: usize = String::from_utf8_lossy(&delivery.message.body).parse().unwrap();
            assert_eq!(delivery.sequence, n as u64 + 1, "each is stored once, in order");
            *came.entry(n).or_insert(0) += 1;
            // What cannot be said comes again.
            let _ = delivery.lease.ack().await;
        }
    }
    came
}

async fn killed_under_load(version: Version) {
    let Some(program) = version.program() else { return };
    let mut server = Server::start(program, None, "");
    let bus = server.bus(server.settings()).await;
    make(&bus).await;
    let (storing, taking) = (tokio::spawn(store_all(bus.clone())), tokio::spawn(take_all(bus.clone())));
    for _ in 0..3 {
        sleep_ms(400).await;
        server.kill();
        sleep_ms(300).await;
        server.begin();
        is_up(&bus).await;
    }
    let clock = World::real().clock;
    clock.timeout(Duration::from_secs(60), storing).await.expect("all is stored").unwrap();
    let came = clock.timeout(Duration::from_secs(60), taking).await.expect("all comes").unwrap();
    assert_eq!(came.len(), MESSAGES);
    assert_eq!(bus.stream(name("s")).await.unwrap().last_sequence, MESSAGES as u64, "each is stored once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_stored_twice_when_the_newest_server_is_killed() {
    killed_under_load(Version::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_stored_twice_when_an_old_server_is_killed() {
    killed_under_load(Version::Old).await;
}

/// Takes updates until the mirror is what is there.
async fn follow(watch: &mut Box<dyn Watch>, mirror: &mut Mirror, bucket: &Arc<dyn Bucket>) {
    let clock = World::real().clock;
    let deadline = clock.now() + Duration::from_secs(30);
    while !mirror.entries().eq(bucket.list().await.unwrap().iter()) {
        assert!(clock.now() < deadline, "a watch goes on: {mirror:?}");
        if let Ok(update) = clock.timeout(Duration::from_millis(100), watch.next()).await {
            mirror.apply(update.unwrap());
        }
    }
}

/// Nobody asks the watch for anything while the server is away, which is when other watches hang.
async fn a_watch_goes_on(version: Version) {
    let Some(program) = version.program() else { return };
    let mut server = Server::start(program, None, "");
    let bus = server.bus(server.settings()).await;
    make(&bus).await;
    let bucket = bus.bucket(name("b")).await.unwrap();
    bucket.create(key("a"), "1".into()).await.unwrap();
    let mut watches = Vec::new();
    for _ in 0..20 {
        let (mut watch, mut mirror) = (bucket.watch(0).await.unwrap(), Mirror::default());
        follow(&mut watch, &mut mirror, &bucket).await;
        watches.push((watch, mirror));
    }
    for round in 0..3 {
        server.kill();
        sleep_ms(500).await;
        server.begin();
        is_up(&bus).await;
        bucket.create(key(&format!("b{round}")), "1".into()).await.unwrap();
        for (watch, mirror) in &mut watches {
            follow(watch, mirror, &bucket).await;
        }
    }
    assert_eq!(consumers_of(&server, "KV_b").await, 0, "watches leave nothing on the server");
}

async fn consumers_of(server: &Server, stream: &str) -> u64 {
    let client = async_nats::connect(format!("127.0.0.1:{}", server.port)).await.unwrap();
    let answer = client.request(format!("$JS.API.STREAM.INFO.{stream}"), "".into()).await.unwrap();
    let answer: Json = serde_json::from_slice(&answer.payload).unwrap();
    answer["state"]["consumer_count"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_after_the_newest_server_was_away() {
    a_watch_goes_on(Version::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_after_an_old_server_was_away() {
    a_watch_goes_on(Version::Old).await;
}

/// What a server forgot is missing until it is made again, and is known to be another one then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_with_nothing() {
    let Some(program) = Version::Newest.program() else { return };
    let mut server = Server::start(program, None, "");
    let bus = server.bus(server.settings()).await;
    make(&bus).await;
    let store = |n: usize| {
        let message = Message::new(Subject::new("a.b").unwrap(), n.to_string());
        bus.store(MessageId::new(n.to_string()).unwrap(), message)
    };
    store(1).await.unwrap();
    let before = bus.stream(name("s")).await.unwrap();
    let (consumer, bucket) =
        (bus.consumer(name("s"), name("c")).await.unwrap(), bus.bucket(name("b")).await.unwrap());
    let first = bucket.create(key("old"), "1".into()).await.unwrap();
    bucket.put(key("old"), "2".into(), first).await.unwrap();
    let (mut watch, mut mirror) = (bucket.watch(0).await.unwrap(), Mirror::default());
    follow(&mut watch, &mut mirror, &bucket).await;

    server.kill();
    let error = store(2).await.unwrap_err();
    assert!(matches!(error, Error::Away(_) | Error::Deadline(_)), "{error}");
    server.wipe();
    server.begin();
    is_up(&bus).await;
    assert_eq!(store(2).await, Err(Error::NoStream("a.b".into())));
    assert!(matches!(bus.stream(name("s")).await, Err(Error::Missing(_))));
    let fetched = consumer.fetch(1, Duration::from_millis(100)).await;
    assert!(matches!(fetched, Err(Error::Missing(_))), "{fetched:?}");
    assert!(matches!(bucket.get(key("old")).await, Err(Error::Missing(_))));

    make(&bus).await;
    let after = bus.stream(name("s")).await.unwrap();
    assert!(after.epoch != before.epoch && after.last_sequence == 0, "{before:?} {after:?}");
    bucket.create(key("new"), "1".into()).await.unwrap();
    follow(&mut watch, &mut mirror, &bucket).await;
    while mirror.get(&key("old")).is_some() {
        let next = World::real().clock.timeout(Duration::from_secs(10), watch.next()).await;
        mirror.apply(next.expect("what is gone is told").unwrap());
    }
    store(1).await.unwrap();
    assert_eq!(consumer.fetch(1, Duration::from_secs(5)).await.unwrap().len(), 1, "the same handle goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_is_told() {
    let Some(program) = Version::Newest.program() else { return };
    let users =
        "authorization { users: [ { user: rack, password: secret, permissions: { publish: \">\" } } ] }";
    let server = Server::start(program, None, users);
    let mut settings = server.settings();
    let password = |password: &str| Credentials::Password { user: "rack".into(), password: password.into() };
    settings.credentials = password("secret");
    let bus = server.bus(settings.clone()).await;
    make(&bus).await;
    settings.credentials = password("guess");
    assert!(!format!("{settings:?}").contains("guess"), "a secret is not shown");
    let error = NatsBus::connect(&World::real(), settings).await.unwrap_err();
    assert!(matches!(error, Error::Denied(_)), "{error}");
}
