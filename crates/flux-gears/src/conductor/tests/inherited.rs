//! A live reload: tickets, their requests and leases, and what is on its way pass to the conductor that takes the place.

use std::sync::Arc;

use flux_gear::storage::{Storage, StorageInMemory};
use flux_world::Clock;

use super::*;

/// The next conductor, with what the old one had.
async fn succeeded(mut old: Switch, storage: Option<Arc<StorageInMemory>>, config: Json) -> Switch {
    let legacy = old.gear.gear.hand_over().unwrap();
    let mock = storage.into_iter().fold(Mock::new(), |mock, storage| mock.storage(storage));
    let mut new = Switch::made(mock, config);
    assert!(new.gear.gear.take_over(legacy).is_none());
    assert_eq!(old.gear.gear.desk.in_hand(), 0, "as if it had never been started");
    new.gear.start().await.unwrap();
    old.stop().await;
    new
}

#[tokio::test(start_paused = true)]
async fn tickets_times_and_outcomes_go_on() {
    let mut old = Switch::new(config()).await;
    for (stan, pan) in [(1, "4111"), (2, "5111"), (3, "4111")] {
        old.asked(stan, pan).await;
    }
    old.replied(3, "00").await;
    old.pass(Duration::from_secs(4)).await;
    // The destinations have other numbers, the times to live other places, and one is new.
    let changed = with(json!({ "routes": [
        { "name": "mc", "match": { "field": "data.pan", "prefix": "5" }, "destination": "mc", "ttl": "5s" },
        { "name": "visa", "destination": { "least_loaded": ["visa", "a"] }, "ttl": "10s" },
    ]}));
    let mut new = succeeded(old, None, changed).await;
    assert_eq!(new.gear.gear.desk.counter().valet.in_flight(), [1, 1, 0]);
    assert_eq!(new.asked(1, "4111").await, "nothing", "a repeat is absorbed");
    assert_eq!(
        new.asked(3, "4111").await,
        "out_response stan=000003 code=00 conn=t1",
        "an outcome is replayed"
    );
    assert_eq!(new.asked(4, "4111").await, "out_a stan=000004 conn=t1", "the load is known");
    assert_eq!(new.replied(1, "00").await, "out_response stan=000001 code=00 conn=t1");
    assert_eq!(new.timed_out().await, "6s error stan=000002 conn=t1 reason=timeout gear=gear");
    assert_eq!(new.timed_out().await, "4s error stan=000004 conn=t1 reason=timeout gear=gear");
    new.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_gone_can_still_answer() {
    let mut old = Switch::new(config()).await;
    old.asked(1, "4111").await;
    old.asked(2, "4111").await;
    let only = json!({ "routes": [{ "name": "all", "destination": "mc" }] });
    let mut new = succeeded(old, None, with(only)).await;
    assert_eq!(new.gear.gear.desk.counter().valet.in_flight(), [0]);
    assert_eq!(new.replied(1, "00").await, "out_response stan=000001 code=00 conn=t1");
    assert_eq!(new.timed_out().await, "60s error stan=000002 conn=t1 reason=timeout gear=gear");
}

#[tokio::test(start_paused = true)]
async fn tickets_are_found_under_another_key() {
    let mut old = Switch::new(config()).await;
    old.asked(1, "4111").await;
    old.asked(2, "4111").await;
    old.replied(2, "00").await;
    let mut new = succeeded(old, None, with(json!({ "correlation_key": ["data.stan"] }))).await;
    assert_eq!(new.asked(1, "4111").await, "nothing");
    assert_eq!(new.asked(2, "4111").await, "out_response stan=000002 code=00 conn=t1");
    assert_eq!(new.replied(1, "00").await, "out_response stan=000001 code=00 conn=t1");
}

#[tokio::test(start_paused = true)]
async fn leases_pass_on_and_one_ends_each() {
    let mut old = Switch::new(config()).await;
    let (ended, end) = mpsc::channel();
    for stan in [1, 2] {
        let (ended, mut msg) = (ended.clone(), old.request(stan, "4111"));
        msg.attach_lease(Lease::new(move |how| ended.send((stan, format!("{how:?}"))).unwrap()));
        drop(msg.clone());
        old.told("in", msg).await;
    }
    let mut new = succeeded(old, None, config()).await;
    assert!(end.try_recv().is_err(), "nothing has ended yet");
    new.replied(1, "00").await;
    assert_eq!(end.try_recv(), Ok((1, "Settled".into())));
    new.stop().await;
    assert_eq!(end.try_recv(), Ok((2, "Abandoned".into())));
}

#[tokio::test(start_paused = true)]
async fn tickets_move_from_memory_to_disk_and_back() {
    let storage = Arc::new(StorageInMemory::new(Clock::real()));
    let bounds = flux_gear::storage::Bounds { entries_max: usize::MAX, bytes_max: usize::MAX };
    let table = storage.table("gear", "tickets", bounds).await.unwrap();
    let durable = with(json!({ "valet": { "store": "local_durable" } }));
    let mut switch = Switch::new(config()).await;
    switch.asked(1, "4111").await;
    switch = succeeded(switch, Some(storage.clone()), durable.clone()).await;
    assert_eq!(table.len(), 2, "the ticket, and the secret");
    switch.asked(2, "4111").await;
    assert_eq!(switch.leaves_within(Duration::from_millis(1)).await, "out_visa stan=000002 conn=t1");
    switch = succeeded(switch, Some(storage.clone()), durable).await;
    assert_eq!(table.len(), 3);
    switch = succeeded(switch, Some(storage), config()).await;
    assert_eq!(table.len(), 0);
    for stan in [1, 2] {
        assert_eq!(switch.replied(stan, "00").await, format!("out_response stan={stan:06} code=00 conn=t1"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_reload_gives_everything_back() {
    let mut old = Switch::new(config()).await;
    old.asked(1, "4111").await;
    let legacy = old.gear.gear.hand_over().unwrap();
    let mut new = Switch::made(Mock::new(), with(json!({ "correlation_key": ["data.stan"] })));
    assert!(new.gear.gear.take_over(legacy).is_none());
    let back = new.gear.gear.hand_over().unwrap();
    assert!(old.gear.gear.take_over(back).is_none());
    old.gear.start().await.unwrap();
    assert_eq!(old.replied(1, "00").await, "out_response stan=000001 code=00 conn=t1");
}

#[test]
fn what_another_kind_of_gear_left_is_given_back() {
    let mut switch = Switch::made(Mock::new(), config());
    assert!(switch.gear.gear.take_over(Box::new("a hat")).is_some());
}
