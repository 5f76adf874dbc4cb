//! Faults by class: each message ends once, on a wire or as a dead letter, and the rack lives.

use flux_gear::keys;
use flux_rack::Discarded;
use serde_json::json;

use crate::harness::Plan;

fn plan(fuse: bool, texts: &[&str]) -> Plan {
    Plan::new(fuse)
        .gear("src", "source", json!({"texts": texts}))
        .gear("moody", "moody", json!({}))
        .gear("end", "sink", json!({}))
        .wire("src.out", "moody.in")
        .wire("moody.out", "end.in")
}

#[tokio::test]
async fn an_invalid_message_becomes_a_dead_letter_and_work_goes_on() {
    for fuse in [true, false] {
        let running = plan(fuse, &["1", "invalid", "2"]).boot().await;
        assert_eq!(running.texts("end", 2).await, ["1", "2"]);
        let letters = running.dead_letters(1).await;
        let letter = &letters[0];
        assert_eq!(
            (letter.gear.as_str(), letter.port.as_str(), letter.reason.as_str()),
            ("moody", "in", "ordered")
        );
        assert_eq!(letter.message, "as ordered");
        assert_eq!(running.rack.stats().gears[1].invalid, 1);
    }
}

#[tokio::test]
async fn a_wired_error_port_gets_the_message_with_its_reason() {
    for fuse in [true, false] {
        let running = plan(fuse, &["invalid", "panic"])
            .gear("errors", "sink", json!({}))
            .wire("moody.error", "errors.in")
            .boot()
            .await;
        assert_eq!(running.texts("errors", 2).await, ["invalid", "panic"]);
        let failed = running.arrived.now("errors");
        let reason = |i: usize| failed[i].metadata.get(keys::ERROR_REASON);
        assert_eq!((reason(0), reason(1)), (Some("ordered"), Some("panic")));
        assert_eq!(failed[0].metadata.get(keys::ERROR_GEAR), Some("moody"));
        assert!(failed[1].metadata.iter().all(|(_, value)| !value.contains("4111")));
        assert!(running.rack.dead_letters().is_empty());
    }
}

#[tokio::test]
async fn a_transient_fault_is_retried_in_place_and_what_a_failed_attempt_emitted_is_thrown_away() {
    for fuse in [true, false] {
        let running = plan(fuse, &["1", "transient:3", "2"]).boot().await;
        assert_eq!(running.texts("end", 3).await, ["1", "transient:3", "2"]);
        assert_eq!(running.rack.stats().gears[1].retried, 3);
    }
}

#[tokio::test]
async fn retries_run_out() {
    let mut plan = plan(true, &["transient:1000", "1"]);
    plan.settings.retry.attempts = 3.try_into().unwrap();
    let running = plan.boot().await;
    assert_eq!(running.texts("end", 1).await, ["1"]);
    let letters = running.dead_letters(1).await;
    assert_eq!((letters[0].reason.as_str(), letters[0].attempts), ("transient", 3));
    assert_eq!(running.rack.stats().gears[1].transient, 3, "each attempt counts once");
}

#[tokio::test]
async fn a_failed_gear_is_restarted_and_its_message_tried_again() {
    for fuse in [true, false] {
        let running = plan(fuse, &["1", "fatal", "2", "panic:once", "3"]).boot().await;
        assert_eq!(running.texts("end", 5).await, ["1", "fatal", "2", "panic:once", "3"]);
        let moody = &running.rack.stats().gears[1];
        assert_eq!((moody.fatal, moody.restarted), (2, 2));
    }
}

#[tokio::test]
async fn a_message_that_kills_its_gear_twice_is_at_fault() {
    for fuse in [true, false] {
        let running = plan(fuse, &["1", "panic", "2", "fatal:always", "3"]).boot().await;
        assert_eq!(running.texts("end", 3).await, ["1", "2", "3"]);
        let letters = running.dead_letters(2).await;
        let reasons: Vec<_> =
            letters.iter().map(|letter| (letter.reason.as_str(), letter.attempts)).collect();
        assert_eq!(reasons, [("panic", 2), ("fatal", 2)]);
        assert_eq!(running.rack.stats().gears[1].fatal, 4, "each failure counts once");
    }
}

/// Copies of a message share its id: that one of them was in hand when the gear failed says nothing of the other.
#[tokio::test]
async fn a_copy_is_not_blamed_for_the_failure_of_another() {
    for fuse in [true, false] {
        let running = Plan::new(fuse)
            .gear("src", "source", json!({"texts": ["panic:odd"]}))
            .gear("x", "twice", json!({}))
            .gear("moody", "moody", json!({}))
            .gear("end", "sink", json!({}))
            .wire("src.out", "x.in")
            .wire("x.out", "moody.in")
            .wire("moody.out", "end.in")
            .boot()
            .await;
        assert_eq!(running.texts("end", 2).await, ["panic:odd", "panic:odd'"]);
        assert!(running.rack.dead_letters().is_empty());
    }
}

#[tokio::test]
async fn a_drain_waits_for_a_gear_that_is_down_while_messages_wait_for_it() {
    for fuse in [true, false] {
        let mut plan = plan(fuse, &["1", "panic:once", "2"]);
        plan.settings.error_restart.backoff = "100ms".parse().unwrap();
        plan.settings.error_restart.backoff_max = "200ms".parse().unwrap();
        let running = plan.boot().await;
        while running.rack.stats().gears[1].fatal == 0 {
            tokio::task::yield_now().await;
        }
        let arrived = running.arrived.clone();
        let report = running.finish_after(3).await;
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(arrived.now("end").len(), 3);
    }
}

#[tokio::test]
async fn a_gear_that_waits_keeps_order_and_has_a_deadline() {
    let mut plan = plan(true, &["wait:20", "1", "wait:100000", "2"]);
    plan.settings.process_timeout = "100ms".parse().unwrap();
    let running = plan.boot().await;
    assert_eq!(running.texts("end", 3).await, ["wait:20", "1", "2"]);
    assert_eq!(running.dead_letters(1).await[0].reason, "timeout");
}

#[tokio::test]
async fn when_the_dead_letter_store_is_full_the_gear_waits_and_nothing_is_dropped() {
    let mut plan = plan(false, &["invalid", "invalid", "invalid", "1"]);
    plan.settings.dead_letters_max = 2;
    let running = plan.boot().await;
    assert_eq!(running.dead_letters(2).await.len(), 2);
    assert_eq!(running.texts("end", 1).await, ["1"]);
    assert_eq!(running.dead_letters(1).await.len(), 1);
}

#[tokio::test]
async fn dead_letters_are_bounded_in_bytes_too() {
    let long = format!("invalid:{}", "x".repeat(60));
    let mut plan = plan(false, &["invalid", long.as_str(), long.as_str(), "1"]);
    plan.settings.dead_letters_bytes_max = "128B".parse().unwrap();
    let running = plan.boot().await;
    assert_eq!(running.dead_letters(2).await.len(), 2);
    assert_eq!(running.texts("end", 1).await, ["1"]);
    assert_eq!(running.dead_letters(1).await.len(), 1);
    // One that is larger than the whole store has its turn as well.
    let mut plan = self::plan(false, &[long.as_str(), "1"]);
    plan.settings.dead_letters_bytes_max = "10B".parse().unwrap();
    let running = plan.boot().await;
    assert_eq!(running.texts("end", 1).await, ["1"]);
    assert_eq!(running.dead_letters(1).await.len(), 1);
}

#[tokio::test]
async fn a_rack_that_takes_dead_letters_with_it_does_not_leave_clean() {
    for fuse in [true, false] {
        let running = plan(fuse, &["1", "invalid", "invalid"]).boot().await;
        running.texts("end", 1).await;
        let report = running.finish_after(3).await;
        let invalid = Discarded { gear: "moody".into(), reason: "ordered".into(), messages: 2 };
        assert_eq!((report.left.len(), report.discarded.as_slice()), (0, &[invalid][..]));
        assert!(!report.is_clean());
    }
}

#[tokio::test]
async fn a_receipt_tells_the_end_of_everything_derived() {
    for fuse in [true, false] {
        let running = Plan::new(fuse)
            .gear("src", "source", json!({"texts": ["1", "invalid", "stray"], "tracked": true}))
            .gear("x", "twice", json!({}))
            .gear("moody", "moody", json!({}))
            .gear("end", "sink", json!({}))
            .gear("receipts", "sink", json!({}))
            .wire("src.out", "x.in")
            .wire("x.out", "moody.in")
            .wire("moody.out", "end.in")
            .wire("src.receipts", "receipts.in")
            .boot()
            .await;
        assert_eq!(running.texts("receipts", 3).await, ["Settled", "Settled", "Settled"]);
    }
}
