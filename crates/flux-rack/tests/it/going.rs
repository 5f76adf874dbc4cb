//! Durable wires that a reload takes out or makes hot: what they hold is delivered first, or left on disk and told of.

use std::path::Path;

use flux_rack::{DurableStats, Remains};
use flux_scenario::{Ack, Durability};
use serde_json::json;

use crate::{
    gears::set_away,
    harness::{Plan, Running, text, within},
};

const DISK: Durability = Durability { ack: Ack::Disk, dedupe: false };
const WIRE: &str = "src.out -> end.in";

#[derive(Clone, Copy, PartialEq)]
enum Lane {
    Durable,
    Hot,
    None,
}

/// A source, a wire, and a gear whose peer is known by the state directory.
fn plan(state: &Path, count: u32, lane: Lane) -> Plan {
    let plan = Plan::new(false).gear("src", "source", json!({"count": count, "batch": 3})).gear(
        "end",
        "peer",
        json!({"peer": state.to_str().unwrap()}),
    );
    let mut plan = match lane {
        Lane::Durable => plan.durable("src.out", "end.in", DISK),
        Lane::Hot => plan.wire("src.out", "end.in"),
        Lane::None => plan.gear("other", "sink", json!({})).wire("src.out", "other.in"),
    };
    plan.state_dir = state.to_owned();
    plan.settings.retry.backoff_max = "2ms".parse().unwrap();
    plan.settings.process_timeout = "50ms".parse().unwrap();
    plan
}

fn durable(running: &Running) -> DurableStats {
    running.rack.stats().wires[0].durable.clone().unwrap()
}

async fn until_all_is_safe(running: &Running, messages: u64) {
    within(async {
        while durable(running).unsettled < messages {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn a_wire_that_holds_something_does_not_go_unless_it_is_to_be_left() {
    for lane in [Lane::Hot, Lane::None] {
        let state = tempfile::tempdir().unwrap();
        let (path, peer) = (state.path(), state.path().to_str().unwrap());
        set_away(peer, true);
        let mut running = plan(path, 200, Lane::Durable).boot().await;
        until_all_is_safe(&running, 200).await;
        let held = running.rack.held_by_wires_not_in(&plan(path, 200, lane).circuit());
        assert_eq!(
            held.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [format!("200 messages on {WIRE}")]
        );
        let why = running.reload(plan(path, 200, lane)).await.expect_err("it holds 200").to_string();
        assert!(why.contains(WIRE) && why.contains("200 messages") && why.contains("--leave"), "{why}");
        assert!(running.rack.left_on_disk().is_empty());

        running.reload_with(plan(path, 200, lane), Remains::LeftOnDisk).await.unwrap();
        let left = running.rack.left_on_disk();
        assert_eq!((left[0].name.as_str(), left[0].messages), (WIRE, Some(200)));
        assert!(running.rack.shut_down().await.is_clean());

        // It is known to the next rack, too, and delivered when the wire is back.
        let again = plan(path, 0, lane).boot().await;
        assert_eq!(again.rack.left_on_disk()[0].messages, Some(200));
        assert!(again.rack.shut_down().await.is_clean());
        set_away(peer, false);
        let back = plan(path, 0, Lane::Durable).boot().await;
        assert_eq!(back.texts("end", 200).await, numbers(0..200));
        assert!(back.rack.left_on_disk().is_empty());
    }
}

#[tokio::test]
async fn a_busy_wire_runs_empty_and_who_sends_goes_the_new_way() {
    let state = tempfile::tempdir().unwrap();
    let mut first = plan(state.path(), 5_000, Lane::Durable);
    first.settings.process_timeout = "20s".parse().unwrap();
    let mut running = first.boot().await;
    running.texts("end", 50).await;
    running.reload(plan(state.path(), 5_000, Lane::Hot)).await.unwrap();
    running.texts("end", 1_000).await;
    running.reload(plan(state.path(), 5_000, Lane::Durable)).await.unwrap();
    running.texts("end", 2_000).await;
    running.reload(plan(state.path(), 5_000, Lane::None)).await.unwrap();
    let arrived = running.arrived.clone();
    let report = running.finish_after(5_000).await;
    assert!(report.is_clean() && report.on_disk.is_empty(), "{report:?}");
    let all = ["end", "other"].into_iter().flat_map(|sink| arrived.now(sink));
    assert_eq!(all.map(|msg| text(&msg.payload)).collect::<Vec<_>>(), numbers(0..5_000));
}

/// Gears in a row, each wire durable or hot: `src -> p -> a -> b -> end`.
fn row(state: &Path, count: u32, b: &str, lanes: [bool; 2]) -> Plan {
    let mut plan = Plan::new(false).gear("src", "source", json!({"count": count, "batch": 3}));
    for (name, kind) in [("p", "pass"), ("a", "pass"), (b, "pass"), ("end", "sink")] {
        plan = plan.gear(name, kind, json!({}));
    }
    plan = plan.wire("src.out", "p.in").wire(&format!("{b}.out"), "end.in");
    let ends = [("p.out", "a.in".to_owned()), ("a.out", format!("{b}.in"))];
    for ((from, to), is_durable) in ends.iter().zip(lanes) {
        plan = if is_durable { plan.durable(from, to, DISK) } else { plan.wire(from, to) };
    }
    plan.state_dir = state.to_owned();
    plan
}

/// The receiver of one is the sender of the next, and whoever sends has always something in hand.
#[tokio::test]
async fn busy_wires_in_a_row_go_together_or_one_alone_at_the_first_attempt() {
    let all = [true, true];
    for (b, lanes) in [
        ("b", [false, false]),
        ("b", [true, false]),
        ("b", [false, true]),
        ("other", [true, false]),
        ("other", [false, false]),
    ] {
        const COUNT: u32 = 12_000;
        let state = tempfile::tempdir().unwrap();
        let mut running = row(state.path(), COUNT, "b", all).boot().await;
        for n in 1..=4 {
            running.texts("end", n * 500).await;
            running.reload(row(state.path(), COUNT, b, lanes)).await.unwrap_or_else(|why| panic!("{why}"));
            running.texts("end", n * 500 + 250).await;
            running.reload(row(state.path(), COUNT, "b", all)).await.unwrap_or_else(|why| panic!("{why}"));
        }
        assert_eq!(running.texts("end", COUNT as usize).await, numbers(0..COUNT), "{b} {lanes:?}");
        let report = running.rack.shut_down().await;
        assert!(report.is_clean() && report.on_disk.is_empty(), "{report:?}");
    }
}
