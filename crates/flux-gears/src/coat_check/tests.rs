//! The coat check as its neighbours see it.

use std::{sync::Arc, time::Duration};

use expect_test::{Expect, expect};
use flux_gear::{
    Bytes, conformance, keys,
    mock::{Mock, MockGear},
};
use serde_json::{Value as Json, json};

use super::*;
use crate::slow_storage::Slow;

fn config() -> Json {
    json!({ "bucket": "memory", "key": ["data.stan"], "values": ["data.pan", "meta.secret"] })
}

fn with(changes: Json) -> Json {
    let mut config = config();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// A coat check under test.
struct Check(MockGear<CoatCheck>);

impl Check {
    async fn new(config: Json) -> Check {
        Check::of(Mock::new(), config).await
    }

    async fn of(mock: Mock, config: Json) -> Check {
        let mut gear = mock.build::<CoatCheck>(config).unwrap();
        gear.start().await.unwrap();
        Check(gear)
    }

    fn request(&self, stan: &str) -> FluxMsg {
        let mut msg = self.0.ctx.message("0200");
        msg.data.set("stan", stan.into()).unwrap();
        msg.data.set("pan", "4111".into()).unwrap();
        msg.metadata.set("secret", "s");
        msg.metadata.set(keys::CONN_ID, "terminal:1");
        msg.metadata.set(keys::PEER_IP, "10.0.0.1");
        msg
    }

    fn answer(&self, stan: &str) -> FluxMsg {
        let mut msg = self.0.ctx.message("0210");
        msg.data.set("stan", stan.into()).unwrap();
        msg.metadata.set(keys::CONN_ID, "scheme:7");
        msg.metadata.set(keys::PEER_PORT, "99");
        msg
    }

    async fn store(&mut self, stan: &str) -> Result<Vec<(String, FluxMsg)>, Fault> {
        let request = self.request(stan);
        self.0.process_msg("in_store", request).await
    }

    async fn restore(&mut self, stan: &str) -> Result<Vec<(String, FluxMsg)>, Fault> {
        let answer = self.answer(stan);
        self.0.process_msg("in_restore", answer).await
    }

    /// What leaves by the gear's own tasks within a time; `-` when nothing does.
    async fn leaves_within(&self, time: Duration) -> String {
        let clock = self.0.ctx.world().clock;
        match clock.timeout(time, self.0.emitted()).await {
            Ok((port, msg)) => shown(&[(port, msg)]),
            Err(_) => "-".into(),
        }
    }
}

/// Ports, payloads, metadata and data.
fn shown(out: &[(String, FluxMsg)]) -> String {
    let line = |(port, msg): &(String, FluxMsg)| {
        let metadata: Vec<String> =
            msg.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let data = ["stan", "pan"].map(|path| msg.data.get(path).and_then(|v| v.as_text().map(String::from)));
        let payload = String::from_utf8_lossy(&msg.payload).into_owned();
        format!("{port} {payload:?} {} stan={:?} pan={:?}", metadata.join(" "), data[0], data[1])
    };
    out.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn check(out: Result<Vec<(String, FluxMsg)>, Fault>, want: Expect) {
    want.assert_eq(&match out {
        Ok(out) => shown(&out),
        Err(fault) => format!("{:?} {}", fault.class(), fault.reason_word()),
    });
}

#[test]
fn it_is_a_gear() {
    conformance::check::<CoatCheck>(config(), Mock::new);
    conformance::check::<CoatCheck>(with(json!({ "bucket": "local" })), Mock::new);
}

#[test]
fn a_configuration_that_keeps_nothing_or_finds_nothing_is_refused() {
    for (changes, want) in [
        (json!({ "key": [] }), "`key` must not be empty"),
        (json!({ "restore_key": ["data.a", "data.b"] }), "as many values as `key`"),
        (json!({ "ttl": "0s" }), "leaves no time"),
        (json!({ "values": [], "return_address": false }), "nothing is kept"),
        (json!({ "values": ["flux_id"] }), "cannot be parked"),
        (json!({ "bucket": "cloud" }), "unknown variant"),
    ] {
        let why = Mock::new().build::<CoatCheck>(with(changes)).err().unwrap().to_string();
        assert!(why.contains(want), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_left_comes_back_with_the_answer_and_so_does_the_return_address() {
    let mut gear = Check::new(config()).await;
    check(
        gear.store("1").await,
        expect![[r#"out_store "0200" conn.id=terminal:1 peer.ip=10.0.0.1 stan=Some("1") pan=None"#]],
    );
    let out = gear.restore("1").await.unwrap();
    assert!(out[0].1.cause.is_some());
    check(
        Ok(out),
        expect![[
            r#"out_restore "0210" secret=s conn.id=terminal:1 peer.ip=10.0.0.1 stan=Some("1") pan=Some("4111")"#
        ]],
    );
    check(gear.restore("1").await, expect!["Invalid no_coat"]);
    check(gear.restore("2").await, expect!["Invalid no_coat"]);
}

#[tokio::test(start_paused = true)]
async fn the_answers_own_values_win_if_asked_but_never_its_connection() {
    let mut gear = Check::new(with(json!({ "merge": "answer", "remove_values": false }))).await;
    let out = gear.store("1").await.unwrap();
    assert_eq!(out[0].1.data.get("pan"), Some("4111".into()), "the message keeps its values");
    let mut answer = gear.answer("1");
    answer.data.set("pan", "5555".into()).unwrap();
    check(
        gear.0.process_msg("in_restore", answer).await,
        expect![[
            r#"out_restore "0210" secret=s conn.id=terminal:1 peer.ip=10.0.0.1 stan=Some("1") pan=Some("5555")"#
        ]],
    );
}

#[tokio::test(start_paused = true)]
async fn two_dialects_find_each_other() {
    let config = with(json!({ "restore_key": ["meta.stan"], "key_normalize": "numeric" }));
    let mut gear = Check::new(config).await;
    gear.store("000042").await.unwrap();
    let mut answer = gear.answer("x");
    answer.metadata.set("stan", " 42 ");
    assert_eq!(gear.0.process_msg("in_restore", answer).await.unwrap()[0].0, "out_restore");
    check(gear.restore("1").await, expect!["Invalid no_key"]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_is_taken_is_dealt_with_as_configured() {
    for (policy, want, answered) in [
        ("reject", expect!["Invalid key_occupied"], "terminal:1"),
        (
            "replace",
            expect![[r#"out_store "0200" conn.id=terminal:2 peer.ip=10.0.0.1 stan=Some("1") pan=None"#]],
            "terminal:2",
        ),
        (
            "keep",
            expect![[r#"out_store "0200" conn.id=terminal:2 peer.ip=10.0.0.1 stan=Some("1") pan=None"#]],
            "terminal:1",
        ),
    ] {
        let mut gear = Check::new(with(json!({ "on_occupied": policy }))).await;
        let first = gear.request("1");
        gear.0.process_msg("in_store", first.clone()).await.unwrap();
        let mut second = gear.request("1");
        second.metadata.set(keys::CONN_ID, "terminal:2");
        check(gear.0.process_msg("in_store", second).await, want);
        let out = gear.restore("1").await.unwrap();
        assert_eq!(out[0].1.metadata.get(keys::CONN_ID), Some(answered), "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_finds_its_own_coat() {
    let mut gear = Check::new(config()).await;
    let request = gear.request("1");
    for _ in 0..2 {
        assert_eq!(gear.0.process_msg("in_store", request.clone()).await.unwrap()[0].0, "out_store");
    }
    assert_eq!(gear.restore("1").await.unwrap()[0].0, "out_restore");
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_coat_is_dealt_with_as_configured() {
    for (policy, want) in [
        ("error", expect!["Invalid no_coat"]),
        ("drop", expect![""]),
        ("forward", expect![[r#"out_restore "0210" conn.id=scheme:7 peer.port=99 stan=Some("1") pan=None"#]]),
    ] {
        check(Check::new(with(json!({ "on_missing": policy }))).await.restore("1").await, want);
    }
}

#[tokio::test(start_paused = true)]
async fn each_coat_that_is_not_fetched_is_told_of_once() {
    let mut gear = Check::new(with(json!({ "ttl": "10s" }))).await;
    gear.store("1").await.unwrap();
    let clock = gear.0.ctx.world().clock;
    clock.sleep(Duration::from_secs(5)).await;
    gear.store("2").await.unwrap();
    gear.restore("2").await.unwrap();
    expect![[r#"out_timeout "" conn.id=terminal:1 peer.ip=10.0.0.1 event.gear=gear event.type=flux.event.timeout stan=None pan=None"#]]
        .assert_eq(&gear.leaves_within(Duration::from_secs(6)).await);
    assert_eq!(gear.leaves_within(Duration::from_secs(600)).await, "-");
    check(gear.restore("1").await, expect!["Invalid no_coat"]);
    gear.store("1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_event_has_the_values_if_asked() {
    let mut gear = Check::new(with(json!({ "ttl": "10s", "timeout_values": true }))).await;
    gear.store("1").await.unwrap();
    let event = gear.leaves_within(Duration::from_secs(11)).await;
    assert!(event.contains("secret=s") && event.contains(r#"pan=Some("4111")"#), "{event}");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_given_up_is_told_again_under_the_same_id() {
    let mut gear = Check::new(with(json!({ "ttl": "1s" }))).await;
    gear.store("1").await.unwrap();
    let (_, mut event) = gear.0.emitted().await;
    event.take_lease().unwrap().abandon();
    let (_, again) = gear.0.emitted().await;
    assert_eq!(again.id, event.id);
    drop(again);
    assert_eq!(gear.leaves_within(Duration::from_secs(60)).await, "-");
}

#[tokio::test(start_paused = true)]
async fn one_event_that_is_stuck_does_not_hold_up_the_others() {
    let mut gear = Check::new(with(json!({ "ttl": "1s" }))).await;
    for stan in 0..100 {
        gear.store(&stan.to_string()).await.unwrap();
    }
    let (_, stuck) = gear.0.emitted().await;
    for _ in 1..100 {
        assert!(gear.leaves_within(Duration::from_secs(9)).await.starts_with("out_timeout"));
    }
    drop(stuck);
    assert_eq!(gear.leaves_within(Duration::from_secs(60)).await, "-");
    gear.0.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_more_coats_than_there_are_hooks() {
    let mut gear = Check::new(with(json!({ "coats_max": 1 }))).await;
    gear.store("1").await.unwrap();
    check(gear.store("2").await, expect!["Invalid store_full"]);
    gear.restore("1").await.unwrap();
    gear.store("2").await.unwrap();
}

async fn local(storage: &Arc<Slow>, changes: Json) -> Check {
    let mut config = with(changes);
    config["bucket"] = "local".into();
    Check::of(Mock::new().storage(storage.clone()), config).await
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_on_once_its_coat_is_safe_and_in_order() {
    let storage = Arc::new(Slow::new());
    let mut gear = local(&storage, json!({})).await;
    for stan in ["1", "2"] {
        assert!(gear.store(stan).await.unwrap().is_empty());
        assert_eq!(gear.leaves_within(Duration::from_millis(5)).await, "-");
    }
    for stan in ["1", "2"] {
        let left = gear.leaves_within(Duration::from_millis(6)).await;
        assert!(left.starts_with("out_store") && left.contains(&format!("stan=Some({stan:?})")), "{left}");
    }
    assert!(gear.restore("1").await.unwrap().is_empty());
    // What needs no change does not overtake what waits for one.
    check(gear.restore("9").await, expect!["Invalid no_coat"]);
    assert!(gear.leaves_within(Duration::from_millis(11)).await.starts_with("out_restore"));
    gear.0.stop().await;
}

#[tokio::test(start_paused = true)]
async fn coats_are_there_after_a_restart_and_each_is_told_of_once() {
    let storage = Arc::new(Slow::new());
    let mut gear = local(&storage, json!({ "ttl": "10s" })).await;
    for stan in ["1", "2", "3"] {
        gear.store(stan).await.unwrap();
        gear.leaves_within(Duration::from_millis(11)).await;
    }
    gear.restore("2").await.unwrap();
    gear.leaves_within(Duration::from_millis(11)).await;
    drop(gear);
    let mut gear = local(&storage, json!({ "ttl": "10s" })).await;
    gear.restore("3").await.unwrap();
    let left = gear.leaves_within(Duration::from_millis(11)).await;
    assert!(left.starts_with("out_restore") && left.contains("conn.id=terminal:1"), "{left}");
    assert!(gear.leaves_within(Duration::from_secs(11)).await.starts_with("out_timeout"));
    assert_eq!(gear.leaves_within(Duration::from_secs(60)).await, "-");
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_coat_is_not_safe_leaves_at_the_error_port() {
    let storage = Arc::new(Slow::new());
    let mut gear = local(&storage, json!({})).await;
    gear.store("1").await.unwrap();
    storage.break_down();
    let left = gear.leaves_within(Duration::from_millis(11)).await;
    assert!(left.starts_with("error") && left.contains("error.reason=store_failed"), "{left}");
}

#[tokio::test(start_paused = true)]
async fn the_next_gear_takes_over_coats_times_and_what_is_on_its_way() {
    for bucket in ["memory", "local"] {
        let storage = Arc::new(Slow::new());
        let mut old = local(&storage, json!({ "ttl": "10s" })).await;
        if bucket == "memory" {
            old = Check::new(with(json!({ "ttl": "10s" }))).await;
        }
        old.store("1").await.unwrap();
        old.store("2").await.unwrap();
        let legacy = old.0.gear.hand_over().unwrap();
        let config = with(json!({ "bucket": bucket, "coats_max": 2 }));
        let mut new = Mock::new().storage(storage.clone()).build::<CoatCheck>(config).unwrap();
        assert!(new.gear.take_over(legacy).is_none());
        new.start().await.unwrap();
        let mut new = Check(new);
        old.0.stop().await;
        if bucket == "local" {
            for _ in 0..2 {
                assert!(new.leaves_within(Duration::from_millis(11)).await.starts_with("out_store"));
            }
        }
        check(new.store("3").await, expect!["Invalid store_full"]);
        new.restore("1").await.unwrap();
        if bucket == "local" {
            assert!(new.leaves_within(Duration::from_millis(11)).await.starts_with("out_restore"));
        }
        assert!(new.leaves_within(Duration::from_secs(11)).await.starts_with("out_timeout"));
        assert_eq!(new.leaves_within(Duration::from_secs(60)).await, "-");
    }
}

#[tokio::test(start_paused = true)]
async fn coats_in_memory_go_over_to_another_process_with_their_times() {
    let mut old = Check::new(with(json!({ "ttl": "10s" }))).await;
    for stan in ["1", "2"] {
        old.store(stan).await.unwrap();
    }
    old.0.gear.pause(Duration::from_secs(1)).await;
    let parcel = Gear::move_out(old.0.gear).await;
    let mut next = Mock::new().build::<CoatCheck>(with(json!({ "ttl": "10s" }))).unwrap();
    next.gear.move_in(parcel).unwrap();
    next.start().await.unwrap();
    let mut next = Check(next);
    assert!(shown(&next.restore("1").await.unwrap()).contains("4111"));
    assert_eq!(next.leaves_within(Duration::from_secs(9)).await, "-");
    let event = next.leaves_within(Duration::from_secs(2)).await;
    assert!(event.starts_with("out_timeout"), "{event}");
    assert_eq!(next.leaves_within(Duration::from_secs(60)).await, "-");
}

#[tokio::test(start_paused = true)]
async fn coats_do_not_move_between_memory_and_disk() {
    let mut old = Check::new(config()).await;
    old.store("1").await.unwrap();
    let legacy = old.0.gear.hand_over().unwrap();
    let mut new = Mock::new().build::<CoatCheck>(with(json!({ "bucket": "local" }))).unwrap();
    let refused = new.gear.take_over(legacy).unwrap();
    assert!(old.0.gear.take_over(refused).is_none());
    old.0.start().await.unwrap();
    assert_eq!(old.restore("1").await.unwrap()[0].0, "out_restore");
}

#[test]
fn no_fault_shows_a_key_or_a_value() {
    let why = coat::unfold(&Bytes::from_static(b"4111111111111111")).unwrap_err().to_string();
    assert!(!why.contains("4111"), "{why}");
}
