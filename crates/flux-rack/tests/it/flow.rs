//! What arrives, and in which order.

use serde_json::json;

use crate::harness::{Plan, text};

const COUNT: usize = 5_000;

fn numbers(n: usize) -> Vec<String> {
    (0..n).map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn a_chain_keeps_order_fused_and_unfused() {
    for fuse in [true, false] {
        let running = Plan::new(fuse)
            .gear("src", "source", json!({"count": COUNT, "batch": 7}))
            .gear("a", "pass", json!({}))
            .gear("b", "pass", json!({}))
            .gear("end", "sink", json!({}))
            .wire("src.out", "a.in")
            .wire("a.out", "b.in")
            .wire("b.out", "end.in")
            .boot()
            .await;
        assert_eq!(running.texts("end", COUNT).await, numbers(COUNT));
        let stats = running.rack.stats();
        assert!(stats.wires.iter().all(|wire| wire.passed == COUNT as u64), "{:?}", stats.wires);
        assert_eq!(stats.wires[1].queued, if fuse { 0 } else { COUNT as u64 });
        assert!(running.rack.shut_down().await.is_clean());
    }
}

#[tokio::test]
async fn each_message_runs_to_its_end_before_the_next() {
    let plan = |fuse| {
        Plan::new(fuse)
            .gear("src", "source", json!({"texts": ["a", "b"]}))
            .gear("x", "twice", json!({}))
            .gear("y", "twice", json!({}))
            .gear("end", "sink", json!({}))
            .wire("src.out", "x.in")
            .wire("x.out", "y.in")
            .wire("y.out", "end.in")
    };
    for fuse in [true, false] {
        let running = plan(fuse).boot().await;
        assert_eq!(running.texts("end", 8).await, ["a", "a'", "a'", "a''", "b", "b'", "b'", "b''"]);
    }
}

#[tokio::test]
async fn fan_out_copies_and_fan_in_merges() {
    for fuse in [true, false] {
        let running = Plan::new(fuse)
            .gear("src", "source", json!({"count": 100}))
            .gear("a", "pass", json!({}))
            .gear("b", "pass", json!({}))
            .gear("end", "sink", json!({}))
            .gear("copy", "sink", json!({}))
            .wire("src.out", "a.in")
            .wire("src.out", "b.in")
            .wire("a.out", "end.in")
            .wire("b.out", "end.in")
            .wire("a.out", "copy.in")
            .boot()
            .await;
        assert_eq!(running.texts("copy", 100).await, numbers(100));
        let mut merged = running.texts("end", 200).await;
        merged.sort_by_key(|text| text.parse::<u32>().unwrap());
        merged.dedup();
        assert_eq!(merged, numbers(100));
    }
}

#[tokio::test]
async fn order_holds_per_key_in_parallel() {
    let running = Plan::new(false)
        .gear("src", "source", json!({"count": COUNT, "batch": 64}))
        .parallel("work", "pass", 4, "payload")
        .gear("end", "sink", json!({}))
        .wire("src.out", "work.in")
        .wire("work.out", "end.in")
        .boot()
        .await;
    let mut all = running.texts("end", COUNT).await;
    all.sort_by_key(|text| text.parse::<u32>().unwrap());
    assert_eq!(all, numbers(COUNT));
    // Messages that share a key share an instance.
    let running = Plan::new(false)
        .gear("src", "source", json!({"count": COUNT}))
        .parallel("work", "pass", 4, "meta.flux.nothing")
        .gear("end", "sink", json!({}))
        .wire("src.out", "work.in")
        .wire("work.out", "end.in")
        .boot()
        .await;
    assert_eq!(running.texts("end", COUNT).await, numbers(COUNT));
}

#[tokio::test]
async fn a_full_wire_holds_its_source_back() {
    let mut plan = Plan::new(false)
        .gear("src", "source", json!({"count": 1000}))
        .gear("stuck", "slow", json!({}))
        .wire("src.out", "stuck.in");
    plan.settings.lane_queue_size = 10.try_into().unwrap();
    plan.settings.batch_messages_max = 1.try_into().unwrap();
    plan.settings.process_timeout = "60s".parse().unwrap();
    plan.settings.drain_timeout = "50ms".parse().unwrap();
    plan.settings.cleanup_timeout = "50ms".parse().unwrap();
    let running = plan.boot().await;
    assert_eq!(running.texts("slow", 1).await, ["0"]);
    while running.rack.stats().wires[0].blocked == 0 {
        tokio::task::yield_now().await;
    }
    let stats = running.rack.stats();
    assert_eq!((stats.wires[0].passed, stats.wires[0].depth), (11, 10));
    let report = running.rack.shut_down().await;
    let left: Vec<_> = report.left.iter().map(ToString::to_string).collect();
    assert_eq!(left, ["src still busy", "stuck still busy", "10 messages on src.out -> stuck.in"]);
}

#[tokio::test]
async fn a_loop_is_broken_by_the_hop_limit() {
    let mut plan = Plan::new(false)
        .gear("src", "source", json!({"texts": ["round"]}))
        .gear("a", "pass", json!({}))
        .gear("b", "pass", json!({}))
        .wire("src.out", "a.in")
        .wire("a.out", "b.in")
        .wire("b.out", "a.in");
    plan.settings.max_hops = 9.try_into().unwrap();
    let letters = plan.boot().await.dead_letters(1).await;
    assert_eq!((letters[0].reason.as_str(), letters[0].msg.hops()), ("hops", 10));
    assert!(letters[0].message.contains("at most 9"), "{}", letters[0].message);
}

#[tokio::test]
async fn what_no_wire_takes_is_kept() {
    for fuse in [true, false] {
        let running = Plan::new(fuse)
            .gear("src", "source", json!({"texts": ["a", "b"]}))
            .gear("x", "twice", json!({}))
            .wire("src.out", "x.in")
            .boot()
            .await;
        let letters = running.dead_letters(4).await;
        let kept: Vec<_> = letters.iter().map(|letter| text(&letter.msg.payload)).collect();
        assert_eq!(kept, ["a", "a'", "b", "b'"]);
        assert_eq!(
            (letters[0].gear.as_str(), letters[0].port.as_str(), letters[0].reason.as_str()),
            ("x", "out", "no_wire")
        );
        assert_eq!(running.rack.stats().gears[1].dead_lettered, 4);
    }
}
