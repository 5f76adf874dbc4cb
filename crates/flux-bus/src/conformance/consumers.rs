//! What a durable consumer is given, and given again.

use std::time::Duration;

use super::{Ground, LEASE, SOON, WHILE, ack_all, bodies, good, pattern};
use crate::config::{Begin, Retention};

pub(super) async fn check(on: &Ground) {
    what_is_acknowledged_does_not_come_again(on).await;
    consumers_are_apart(on).await;
    a_lease_ends(on).await;
    a_lease_is_extended(on).await;
    what_is_given_back_comes_after_its_delay(on).await;
    no_more_is_out_than_allowed(on).await;
    a_fetch_waits_and_ends(on).await;
    two_handles_share(on).await;
}

async fn what_is_acknowledged_does_not_come_again(on: &Ground) {
    on.stream("c1", Retention::Queue, |_| {}).await;
    let all = on.consumer("c1", "all", |config| config.lease = LEASE).await;
    for n in 0..9 {
        on.store(&n.to_string(), "c1.a", &n.to_string()).await;
    }
    let taken = on.take(&all, 9).await;
    for (n, delivery) in taken.iter().enumerate() {
        match n % 3 {
            0 => good(delivery.lease.ack().await, "acknowledged"),
            1 => good(delivery.lease.term().await, "given up"),
            _ => {}
        }
    }
    let again = on.take(&all, 3).await;
    assert_eq!(bodies(&again), ["2", "5", "8"], "only what is neither");
    assert!(again.iter().all(|it| it.attempt == 2), "{again:?}");
    ack_all(&again).await;
    on.clock.sleep(2 * LEASE).await;
    on.nothing_comes(&all, "all is acknowledged").await;
}

async fn consumers_are_apart(on: &Ground) {
    on.stream("c2", Retention::Bounded, |_| {}).await;
    on.store("1", "c2.a", "1").await;
    let late = on.consumer("c2", "late", |config| config.begin = Begin::Latest).await;
    let some = on.consumer("c2", "some", |config| config.filter = pattern("c2.*.x")).await;
    let all = on.consumer("c2", "all", |_| {}).await;
    on.store("2", "c2.b.x", "2").await;
    on.store("3", "c2.b.y", "3").await;
    for (consumer, want) in [(&all, &["1", "2", "3"][..]), (&some, &["2"]), (&late, &["2", "3"])] {
        let taken = on.take(consumer, want.len()).await;
        assert_eq!(bodies(&taken), want);
        ack_all(&taken).await;
        on.nothing_comes(consumer, "that was all").await;
    }
}

async fn a_lease_ends(on: &Ground) {
    on.stream("c3", Retention::Queue, |_| {}).await;
    let all = on.consumer("c3", "all", |config| config.lease = LEASE).await;
    on.store("1", "c3.a", "1").await;
    for attempt in 1..=3 {
        let began = on.clock.now();
        let taken = on.take(&all, 1).await;
        assert_eq!(taken[0].attempt, attempt, "attempts are counted");
        if attempt > 1 {
            assert!(on.clock.now() - began > LEASE / 2, "not before the lease ends");
        }
        if attempt == 3 {
            ack_all(&taken).await;
        }
    }
}

async fn a_lease_is_extended(on: &Ground) {
    on.stream("c4", Retention::Queue, |_| {}).await;
    let all = on.consumer("c4", "all", |config| config.lease = LEASE).await;
    on.store("1", "c4.a", "1").await;
    let taken = on.take(&all, 1).await;
    for _ in 0..5 {
        on.clock.sleep(LEASE / 2).await;
        good(taken[0].lease.extend().await, "extended");
    }
    on.nothing_comes(&all, "the lease goes on").await;
    ack_all(&taken).await;
}

async fn what_is_given_back_comes_after_its_delay(on: &Ground) {
    let all = on.queue("c5").await;
    for n in 0..3 {
        on.store(&n.to_string(), "c5.a", &n.to_string()).await;
    }
    let taken = on.take(&all, 1).await;
    let began = on.clock.now();
    good(taken[0].lease.nak(2 * WHILE).await, "given back");
    let rest = on.take(&all, 2).await;
    assert_eq!(bodies(&rest), ["1", "2"], "others come meanwhile");
    ack_all(&rest).await;
    let again = on.take(&all, 1).await;
    assert_eq!((bodies(&again), again[0].attempt), (vec!["0".to_owned()], 2));
    assert!(on.clock.now() - began >= 2 * WHILE - Duration::from_millis(20), "after its delay");
    good(again[0].lease.nak(Duration::ZERO).await, "given back");
    let again = on.take(&all, 1).await;
    assert_eq!(again[0].attempt, 3, "at once");
    ack_all(&again).await;
}

async fn no_more_is_out_than_allowed(on: &Ground) {
    on.stream("c6", Retention::Queue, |_| {}).await;
    let all = on.consumer("c6", "all", |config| config.unacked_messages_max = 3).await;
    for n in 0..7 {
        on.store(&n.to_string(), "c6.a", &n.to_string()).await;
    }
    let taken = on.take(&all, 3).await;
    on.nothing_comes(&all, "three are out").await;
    ack_all(&taken[..1]).await;
    let next = on.take(&all, 1).await;
    assert_eq!(bodies(&next), ["3"]);
    on.nothing_comes(&all, "three are out").await;
    ack_all(&taken[1..]).await;
    ack_all(&next).await;
    ack_all(&on.take(&all, 3).await).await;
}

async fn a_fetch_waits_and_ends(on: &Ground) {
    let all = on.queue("c7").await;
    let began = on.clock.now();
    on.nothing_comes(&all, "there is nothing").await;
    assert!(on.clock.now() - began >= WHILE / 2, "a fetch waits");
    let (fetched, _) = tokio::join!(all.fetch(5, SOON), async {
        on.clock.sleep(WHILE).await;
        on.store("1", "c7.a", "1").await
    });
    let fetched = good(fetched, "a fetch succeeds");
    assert_eq!(bodies(&fetched), ["1"], "it returns as soon as there is one");
    ack_all(&fetched).await;

    on.stream("c8", Retention::Queue, |_| {}).await;
    let all = on.consumer("c8", "all", |config| config.lease = LEASE).await;
    assert!(on.clock.timeout(WHILE, all.fetch(5, SOON)).await.is_err());
    on.store("1", "c8.a", "1").await;
    let taken = on.take(&all, 1).await;
    assert_eq!(bodies(&taken), ["1"], "a fetch that was cancelled lost nothing");
    ack_all(&taken).await;
}

async fn two_handles_share(on: &Ground) {
    let one = on.queue("c9").await;
    let two = on.consumer("c9", "all", |_| {}).await;
    for n in 0..8 {
        on.store(&n.to_string(), "c9.a", &n.to_string()).await;
    }
    let mut all = bodies(&on.take(&one, 4).await);
    all.extend(bodies(&on.take(&two, 4).await));
    all.sort_unstable();
    assert_eq!(all, ["0", "1", "2", "3", "4", "5", "6", "7"], "each goes to one of them");
}
