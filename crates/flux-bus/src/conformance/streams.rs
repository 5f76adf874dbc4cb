//! What a stream takes, and what it takes once.

use std::time::Duration;

use super::{Ground, SOON, ack_all, bodies, good, id, pattern, subject, word};
use crate::config::{ConsumerConfig, Retention, StreamConfig, WhenFull};
use crate::error::Error;
use crate::message::Message;

pub(super) async fn check(on: &Ground) {
    making_twice_is_no_change(on).await;
    a_message_is_stored_once(on).await;
    an_id_is_forgotten_after_the_window(on).await;
    what_no_stream_takes_is_refused(on).await;
    what_is_published_is_kept_too(on).await;
    a_full_queue_refuses_until_it_is_read(on).await;
    a_full_stream_drops_its_oldest(on).await;
}

async fn making_twice_is_no_change(on: &Ground) {
    let config = StreamConfig::new(word("s1"), vec![pattern("s1.>")], Retention::Queue);
    for _ in 0..2 {
        good(on.bus.make_stream(config.clone()).await, "a stream is made twice");
    }
    let other = StreamConfig { age_max: Some(Duration::from_secs(600)), ..config.clone() };
    assert!(matches!(on.bus.make_stream(other).await, Err(Error::Different(_))), "otherwise it is not made");
    let overlapping = StreamConfig { name: word("s1b"), subjects: vec![pattern("s1.*.x")], ..config };
    let made = on.bus.make_stream(overlapping).await;
    assert!(matches!(made, Err(Error::Invalid(_))), "no subject goes to two: {made:?}");

    let consumer = ConsumerConfig::new(word("c"), pattern("s1.>"));
    for _ in 0..2 {
        good(on.bus.make_consumer(word("s1"), consumer.clone()).await, "a consumer is made twice");
    }
    let other = ConsumerConfig { unacked_messages_max: 7, ..consumer.clone() };
    assert!(matches!(on.bus.make_consumer(word("s1"), other).await, Err(Error::Different(_))));
    let second = ConsumerConfig { name: word("d"), ..consumer.clone() };
    assert!(
        matches!(on.bus.make_consumer(word("s1"), second).await, Err(Error::Invalid(_))),
        "a queue has one"
    );
    assert!(matches!(on.bus.make_consumer(word("none"), consumer).await, Err(Error::Missing(_))));
    assert!(matches!(on.bus.consumer(word("s1"), word("none")).await, Err(Error::Missing(_))));
    assert!(matches!(on.bus.stream(word("none")).await, Err(Error::Missing(_))));
}

async fn a_message_is_stored_once(on: &Ground) {
    let all = on.queue("s2").await;
    let mut heard = good(on.bus.subscribe(pattern("s2.>"), 64).await, "a subscription");
    for n in 1..=20_u64 {
        let stored = on.store(&format!("id/{n}"), "s2.a", &n.to_string()).await;
        assert_eq!((stored.sequence, stored.is_duplicate), (n, false), "places rise by one");
    }
    for n in [1, 20, 7_u64] {
        let stored = on.store(&format!("id/{n}"), "s2.a", "again").await;
        assert_eq!((stored.sequence, stored.is_duplicate), (n, true), "it is there already");
    }
    assert_eq!(good(on.bus.stream(word("s2")).await, "a stream's state").last_sequence, 20);
    let long = Message::new(subject("s2.b"), vec![1; on.bus.body_bytes_max()]);
    let long = good(long.with("Flux-A", "b c"), "a header");
    good(on.bus.store(id("long"), long.clone()).await, "the longest is stored");
    good(on.bus.store(id("empty"), Message::new(subject("s2.b"), "")).await, "an empty one is stored");
    let taken = on.take(&all, 22).await;
    assert_eq!(
        bodies(&taken[..20]),
        (1..=20).map(|n| n.to_string()).collect::<Vec<_>>(),
        "once and in order"
    );
    assert_eq!(taken[6].id, Some(id("id/7")), "with its id");
    assert!(taken[20].message == long && taken[21].message.body.is_empty(), "as it was stored");
    ack_all(&taken).await;
    for _ in 0..20 {
        on.within(heard.next(), "who listens hears what is stored").await.expect("the bus is open");
    }
}

async fn an_id_is_forgotten_after_the_window(on: &Ground) {
    on.stream("s3", Retention::Bounded, |config| config.duplicate_window = Duration::from_millis(300)).await;
    on.store("i", "s3.a", "1").await;
    on.within(
        async {
            while on.store("i", "s3.a", "2").await.is_duplicate {
                on.clock.sleep(Duration::from_millis(50)).await;
            }
        },
        "the window ends",
    )
    .await;
}

async fn what_no_stream_takes_is_refused(on: &Ground) {
    let error =
        on.bus.store(id("i"), Message::new(subject("s0.x"), "x")).await.expect_err("there is no stream");
    assert_eq!(error, Error::NoStream("s0.x".into()));
}

async fn what_is_published_is_kept_too(on: &Ground) {
    let all = on.queue("s4").await;
    good(on.bus.publish(Message::new(subject("s4.a"), "p")).await, "it is published");
    let taken = on.take(&all, 1).await;
    assert_eq!((bodies(&taken), &taken[0].id), (vec!["p".to_owned()], &None));
    ack_all(&taken).await;
}

async fn a_full_queue_refuses_until_it_is_read(on: &Ground) {
    on.stream("s5", Retention::Queue, |config| config.duplicate_window = Duration::from_millis(100)).await;
    let all = on.consumer("s5", "all", |_| {}).await;
    let bytes = on.bus.body_bytes_max();
    let store = |n: usize| on.bus.store(id(&format!("{n}")), Message::new(subject("s5.a"), vec![0; bytes]));
    let mut stored = 0;
    let error = loop {
        match store(stored).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1_000, "a stream has a bound");
    };
    assert!(matches!(error, Error::Full(_)), "{error}");
    assert!(stored >= 3, "{stored}");
    ack_all(&on.take(&all, stored).await).await;
    let deadline = on.clock.now() + SOON;
    while let Err(error) = store(stored).await {
        assert!(matches!(error, Error::Full(_)) && on.clock.now() < deadline, "{error}");
        on.clock.sleep(Duration::from_millis(50)).await;
    }
    ack_all(&on.take(&all, 1).await).await;
}

async fn a_full_stream_drops_its_oldest(on: &Ground) {
    on.stream("s6", Retention::Bounded, |config| config.when_full = WhenFull::DropOldest).await;
    let body = vec![0; on.bus.body_bytes_max()];
    for n in 0..40 {
        let message = Message::new(subject("s6.a"), body.clone());
        good(on.bus.store(id(&n.to_string()), message).await, "there is always room");
    }
    let all = on.consumer("s6", "all", |_| {}).await;
    let first = &on.take(&all, 1).await[0];
    assert!(first.sequence > 1, "the oldest is gone");
    ack_all(std::slice::from_ref(first)).await;
    let last = on.take(&all, (40 - first.sequence) as usize).await;
    assert_eq!(last.last().map(|it| it.sequence), Some(40), "the newest is there");
    ack_all(&last).await;
}
