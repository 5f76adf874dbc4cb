//! A peer that is away: what a durable wire keeps waits for it, in order, and nothing else waits with it.

use std::path::Path;

use flux_rack::{DurableStats, WaitingStats};
use flux_scenario::{Ack, Durability};
use serde_json::json;

use crate::{
    gears::set_away,
    harness::{Plan, Running, within},
};

const DISK: Durability = Durability { ack: Ack::Disk, dedupe: false };

/// A peer of one test alone, who is away, and where the rack keeps its state.
struct Away {
    state: tempfile::TempDir,
    name: String,
}

impl Away {
    fn new() -> Away {
        let state = tempfile::tempdir().unwrap();
        let name = state.path().to_str().unwrap().to_owned();
        set_away(&name, true);
        Away { state, name }
    }

    fn is_back(&self) {
        set_away(&self.name, false);
    }

    /// A source, a durable wire, a gear between, a gear that sends.
    fn plan(&self, fuse: bool, count: u32) -> Plan {
        let plan = Plan::new(fuse)
            .gear("src", "source", json!({"count": count, "batch": 10}))
            .gear("a", "pass", json!({}))
            .gear("end", "peer", json!({"peer": self.name}))
            .durable("src.out", "a.in", DISK)
            .wire("a.out", "end.in");
        quick(plan, self.state.path())
    }
}

fn quick(mut plan: Plan, state: &Path) -> Plan {
    plan.state_dir = state.to_owned();
    plan.settings.retry.backoff_max = "2ms".parse().unwrap();
    plan.settings.retry.attempts = 2;
    plan
}

fn durable(running: &Running) -> DurableStats {
    running.rack.stats().wires[0].durable.clone().unwrap()
}

/// Waits until it has been tried more often than a message of a hot wire is, or may pass ports, and all is on disk.
async fn until_it_waits(running: &Running, unsettled: u64) -> WaitingStats {
    within(async {
        loop {
            let attempts: u64 = running.rack.stats().gears.iter().map(|gear| gear.transient).sum();
            if attempts > 100
                && let Some((_, waiting)) = running.rack.waiting().pop()
                && durable(running).unsettled == unsettled
            {
                return waiting;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn until_settled(running: &Running) {
    within(async {
        while durable(running).unsettled > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn what_is_for_a_peer_that_is_away_waits_and_arrives_in_order_once() {
    for fuse in [true, false] {
        let away = Away::new();
        let mut plan = away.plan(fuse, 3000);
        plan.settings.lane_queue_size = 10.try_into().unwrap();
        let running = plan.boot().await;
        let waiting = until_it_waits(&running, 3000).await;
        assert_eq!(waiting.why, "the peer is away");
        assert!(waiting.wire.is_some());
        away.is_back();
        assert_eq!(running.texts("end", 3000).await, numbers(0..3000));
        until_settled(&running).await;
        assert_eq!(running.arrived.now("end").len(), 3000);
        assert!(running.rack.dead_letters().is_empty() && running.rack.waiting().is_empty());
        assert!(running.rack.shut_down().await.is_clean());
    }
}

#[tokio::test]
async fn a_drain_leaves_what_waits_on_disk_at_once() {
    for fuse in [true, false] {
        let away = Away::new();
        let mut plan = away.plan(fuse, 3000);
        plan.settings.lane_queue_size = 10.try_into().unwrap();
        plan.settings.retry.backoff_max = "60s".parse().unwrap();
        plan.settings.drain_timeout = "60s".parse().unwrap();
        let running = plan.boot().await;
        within(async {
            while running.rack.stats().gears[2].waiting.is_none() || durable(&running).unsettled < 3000 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let report = within(running.rack.shut_down()).await;
        let on_disk: Vec<_> = report.on_disk.iter().map(ToString::to_string).collect();
        assert_eq!(on_disk, ["3000 messages on src.out -> a.in"]);
        assert!(report.is_clean(), "{report:?}");
        away.is_back();
        let again = away.plan(fuse, 0).boot().await;
        assert_eq!(again.texts("end", 3000).await, numbers(0..3000));
    }
}

#[tokio::test]
async fn a_reload_takes_what_waits_to_another_peer() {
    for fuse in [true, false] {
        let away = Away::new();
        let mut running = away.plan(fuse, 200).boot().await;
        until_it_waits(&running, 200).await;
        let mut elsewhere = Away::new();
        elsewhere.is_back();
        elsewhere.state = tempfile::tempdir().unwrap();
        within(running.reload(elsewhere.plan(fuse, 200))).await.unwrap();
        assert_eq!(running.texts("end", 200).await, numbers(0..200));
        until_settled(&running).await;
        assert_eq!((running.arrived.now("end").len(), running.rack.dead_letters().len()), (200, 0));
    }
}

#[tokio::test]
async fn a_reload_that_keeps_the_gear_lets_it_go_on_waiting() {
    let away = Away::new();
    let mut running = away.plan(true, 100).boot().await;
    let before = until_it_waits(&running, 100).await;
    let more = away.plan(true, 100).gear("more", "sink", json!({}));
    within(running.reload(more)).await.unwrap();
    let after = until_it_waits(&running, 100).await;
    assert!(after.for_ms >= before.for_ms);
    away.is_back();
    assert_eq!(running.texts("end", 100).await, numbers(0..100));
}

/// The gear that waits is taken out: what waits goes the new way.
#[tokio::test]
async fn what_waits_with_a_gear_that_is_taken_out_goes_the_new_way() {
    let away = Away::new();
    let mut running = away.plan(true, 100).boot().await;
    until_it_waits(&running, 100).await;
    let without = Plan::new(true)
        .gear("src", "source", json!({"count": 100, "batch": 10}))
        .gear("a", "pass", json!({}))
        .gear("other", "sink", json!({}))
        .durable("src.out", "a.in", DISK)
        .wire("a.out", "other.in");
    within(running.reload(without)).await.unwrap();
    assert_eq!(running.texts("other", 100).await, numbers(0..100));
    until_settled(&running).await;
    assert!(running.rack.dead_letters().is_empty());
}

/// Two ways from one gear: the peer of one is away. By a hot wire into the same segment all goes on, to either.
#[tokio::test]
async fn others_of_the_segment_go_on_and_what_no_wire_keeps_fails_as_ever() {
    let away = Away::new();
    let plan = Plan::new(true)
        .gear("src", "source", json!({"count": 50}))
        .gear("hot", "source", json!({"count": 50}))
        .gear("fork", "pass", json!({}))
        .gear("end", "peer", json!({"peer": away.name}))
        .gear("there", "sink", json!({}))
        .gear("failed", "sink", json!({}))
        .durable("src.out", "end.in", DISK)
        .wire("hot.out", "fork.in")
        .wire("fork.out", "there.in")
        .wire("fork.out", "end.in")
        .wire("end.error", "failed.in");
    let running = quick(plan, away.state.path()).boot().await;
    until_it_waits(&running, 50).await;
    assert_eq!(running.texts("there", 50).await, numbers(0..50));
    assert_eq!(running.texts("failed", 50).await, numbers(0..50));
    assert_eq!(running.arrived.now("end").len(), 0);
    away.is_back();
    assert_eq!(running.texts("end", 50).await, numbers(0..50));
}

#[tokio::test]
async fn a_gear_that_takes_too_long_is_waited_for() {
    let state = tempfile::tempdir().unwrap();
    let plan = Plan::new(false)
        .gear("src", "source", json!({"count": 3}))
        .gear("end", "slow", json!({}))
        .durable("src.out", "end.in", DISK);
    let mut plan = quick(plan, state.path());
    plan.settings.process_timeout = "1ms".parse().unwrap();
    let running = plan.boot().await;
    assert_eq!(until_it_waits(&running, 3).await.why, "the gear took too long");
    let report = within(running.rack.shut_down()).await;
    assert!(report.is_clean() && report.on_disk[0].messages == Some(3), "{report:?}");
}

/// Whoever has the message in hand gives it back through no fault of its own: that is not counted.
#[tokio::test]
async fn what_is_given_back_comes_again_however_often() {
    let state = tempfile::tempdir().unwrap();
    let texts: Vec<String> =
        std::iter::once("a".into()).chain(std::iter::repeat_n("give back".into(), 20)).collect();
    let plan = Plan::new(false)
        .gear("src", "source", json!({"texts": texts, "batch": 1}))
        .gear("end", "hoard", json!({}))
        .durable("src.out", "end.in", DISK);
    let mut plan = quick(plan, state.path());
    plan.settings.batch_messages_max = 1.try_into().unwrap();
    let running = plan.boot().await;
    let seen = within(running.arrived.wait_for("end", 41)).await;
    assert_eq!(seen.iter().filter(|msg| &msg.payload[..] == b"a").count(), 21);
    assert!(running.rack.dead_letters().is_empty());
}
