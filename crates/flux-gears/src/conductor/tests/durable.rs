//! Tickets on disk: what a crash leaves, and that nothing leaves before it is safe.

use std::sync::Arc;

use flux_gear::storage::{Storage, StorageInMemory};
use flux_world::Clock;

use super::*;
use crate::slow_storage::Slow;

fn durable(changes: Json) -> Json {
    let mut config = with(changes);
    config["valet"]["store"] = "local_durable".into();
    config
}

async fn switch(storage: &Arc<Slow>, changes: Json) -> Switch {
    Switch::of(Mock::new().storage(storage.clone()), durable(changes)).await
}

impl Switch {
    /// What leaves by the gear's own tasks within a time; `-` when nothing does.
    pub(super) async fn leaves_within(&self, time: Duration) -> String {
        match self.gear.ctx.world().clock.timeout(time, self.gear.emitted()).await {
            Ok((port, msg)) => shown(&port, &msg),
            Err(_) => "-".into(),
        }
    }

    /// What leaves once it is safe, and nothing before.
    async fn leaves_when_safe(&self) -> String {
        assert_eq!(self.leaves_within(Duration::from_millis(9)).await, "-");
        self.leaves_within(Duration::from_millis(2)).await
    }
}

#[test]
fn it_is_a_gear() {
    conformance::check::<Conductor>(durable(json!({})), Mock::new);
}

#[tokio::test(start_paused = true)]
async fn a_request_leaves_once_its_ticket_is_safe_and_an_answer_once_it_is_redeemed() {
    let mut switch = switch(&Arc::new(Slow::new()), json!({})).await;
    assert_eq!(switch.asked(1, "4111").await, "nothing");
    assert_eq!(switch.leaves_when_safe().await, "out_visa stan=000001 conn=t1");
    assert_eq!(switch.replied(1, "00").await, "nothing");
    assert_eq!(switch.leaves_when_safe().await, "out_response stan=000001 code=00 conn=t1");
    assert_eq!(switch.replied(1, "00").await, "invalid unmatched_reply");
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_finds_its_ticket_after_a_crash() {
    let storage = Arc::new(Slow::new());
    let mut before =
        switch(&storage, json!({ "park_fields": ["data.pan"], "fingerprint": ["data.pan"] })).await;
    before.asked(1, "4111").await;
    before.asked(2, "5111").await;
    before.leaves_when_safe().await;
    drop(before);
    let mut after =
        switch(&storage, json!({ "park_fields": ["data.pan"], "fingerprint": ["data.pan"] })).await;
    assert_eq!(after.asked(1, "4111").await, "nothing", "a repeat is absorbed");
    assert_eq!(after.asked(1, "4222").await, "invalid key_conflict");
    assert_eq!(after.gear.gear.desk.counter().valet.in_flight(), [1, 1]);
    let reply = after.reply(1, "00");
    after.told("in_reply", reply).await;
    let (port, answer) = after.gear.emitted().await;
    assert_eq!(shown(&port, &answer), "out_response stan=000001 code=00 conn=t1");
    assert_eq!(answer.data.get("pan"), Some("4111".into()), "what stayed here comes back too");
}

#[tokio::test(start_paused = true)]
async fn a_ticket_whose_time_is_up_is_told_of_once_across_crashes() {
    let storage = Arc::new(Slow::new());
    let mut before = switch(&storage, json!({})).await;
    for stan in [1, 2, 3] {
        before.asked(stan, "5111").await;
        before.leaves_when_safe().await;
    }
    before.replied(2, "00").await;
    before.leaves_when_safe().await;
    drop(before);
    let mut after = switch(&storage, json!({})).await;
    after.pass(Duration::from_secs(5)).await;
    after.replied(3, "00").await;
    after.leaves_when_safe().await;
    assert_eq!(
        after.leaves_within(Duration::from_secs(6)).await,
        "error stan=000001 conn=t1 reason=timeout gear=gear"
    );
    assert_eq!(after.leaves_within(Duration::from_secs(60)).await, "-");
    drop(after);
    let mut last = switch(&storage, json!({})).await;
    assert_eq!(last.leaves_within(Duration::from_secs(60)).await, "-");
    assert_eq!(last.replied(1, "00").await, "invalid unmatched_reply");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_was_given_up_is_told_again() {
    let switch = &mut switch(&Arc::new(Slow::new()), json!({})).await;
    switch.asked(1, "5111").await;
    switch.leaves_when_safe().await;
    let (_, mut told) = switch.gear.emitted().await;
    told.take_lease().unwrap().abandon();
    assert!(switch.leaves_within(Duration::from_secs(3)).await.contains("reason=timeout"));
    assert_eq!(switch.leaves_within(Duration::from_secs(60)).await, "-");
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_replayed_after_a_crash_for_as_long_as_it_is_retained() {
    let storage = Arc::new(Slow::new());
    let mut before =
        switch(&storage, json!({ "valet": { "retain_after_close": "20s" }, "fingerprint": ["data.pan"] }))
            .await;
    before.asked(1, "4111").await;
    before.leaves_when_safe().await;
    before.replied(1, "00").await;
    // The answer is lost with the process.
    before.pass(Duration::from_millis(5)).await;
    drop(before);
    let mut after =
        switch(&storage, json!({ "valet": { "retain_after_close": "20s" }, "fingerprint": ["data.pan"] }))
            .await;
    after.asked(1, "4111").await;
    assert_eq!(
        after.leaves_within(Duration::from_millis(1)).await,
        "out_response stan=000001 code=00 conn=t1"
    );
    assert_eq!(after.asked(1, "4222").await, "invalid key_conflict");
    after.pass(Duration::from_secs(20)).await;
    after.asked(1, "4222").await;
    assert_eq!(after.leaves_when_safe().await, "out_visa stan=000001 conn=t1");
}

#[tokio::test(start_paused = true)]
async fn a_new_request_under_the_key_of_one_that_timed_out_keeps_its_ticket() {
    let storage = Arc::new(Slow::new());
    let mut switch = switch(&storage, json!({})).await;
    switch.asked(1, "5111").await;
    switch.leaves_when_safe().await;
    let (_, told) = switch.gear.emitted().await;
    switch.asked(1, "5111").await;
    drop(told);
    assert_eq!(switch.leaves_when_safe().await, "out_mc stan=000001 conn=t1");
    drop(switch);
    let mut after = self::switch(&storage, json!({})).await;
    after.replied(1, "00").await;
    assert_eq!(after.leaves_when_safe().await, "out_response stan=000001 code=00 conn=t1");
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_made_safe_leaves_at_the_error_port() {
    let storage = Arc::new(Slow::new());
    let mut switch = switch(&storage, json!({})).await;
    switch.asked(1, "4111").await;
    storage.break_down();
    let left = switch.leaves_within(Duration::from_millis(11)).await;
    assert_eq!(left, "error stan=000001 conn=t1 reason=store_failed gear=gear");
}

#[tokio::test(start_paused = true)]
async fn an_answer_goes_to_the_connection_that_its_terminal_has_now() {
    let return_by = json!({ "return_by": ["data.terminal"] });
    let asked_by = |switch: &Switch, stan: u64, conn: &str| {
        let mut request = switch.request(stan, "4111");
        request.metadata.set(keys::CONN_ID, conn);
        request.metadata.set(keys::SOURCE, "terminals");
        request
    };
    for (config, up, want) in [
        (return_by.clone(), &["t2"][..], "t2"),
        (return_by.clone(), &["t1", "t2"], "t1"),
        (return_by, &[], "t1"),
        (json!({}), &["t2"], "t1"),
    ] {
        let storage = Arc::new(Slow::new());
        let mut before = switch(&storage, config.clone()).await;
        let request = asked_by(&before, 1, "t1");
        before.told("in", request).await;
        before.leaves_when_safe().await;
        drop(before);
        let mut after = switch(&storage, config).await;
        up.iter().for_each(|conn| after.control.conn_up("terminals", conn));
        let request = asked_by(&after, 2, "t2");
        after.told("in", request).await;
        after.leaves_when_safe().await;
        after.replied(1, "00").await;
        assert_eq!(after.leaves_when_safe().await, format!("out_response stan=000001 code=00 conn={want}"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_ticket_does_not_stop_the_others() {
    let storage = Arc::new(StorageInMemory::new(Clock::real()));
    let bounds = flux_gear::storage::Bounds { entries_max: 99, bytes_max: 1 << 20 };
    let table = storage.table("gear", "tickets", bounds).await.unwrap();
    table.put(b"\x014", "rubbish", Some(Duration::from_secs(1))).unwrap().wait().await.unwrap();
    let mut switch = Switch::of(Mock::new().storage(storage), durable(json!({}))).await;
    switch.asked(1, "4111").await;
    assert_eq!(switch.leaves_within(Duration::from_millis(1)).await, "out_visa stan=000001 conn=t1");
    switch.pass(Duration::from_secs(2)).await;
    assert!(table.get(b"\x014").is_none());
}
