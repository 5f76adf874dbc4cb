//! Live reload: whatever changes, and whenever, every message arrives once and in order.

use flux_scenario::plan::Step;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::harness::{Plan, Running, text, within};

/// A line of gears from the source to the sink.
fn line(fuse: bool, source: &Json, gears: &[(&str, &str, Json)]) -> Plan {
    let mut plan = Plan::new(fuse).gear("from", "source", source.clone());
    for (name, kind, config) in gears {
        plan = plan.gear(name, kind, config.clone());
    }
    plan = plan.gear("to", "sink", json!({}));
    let names: Vec<_> = gears.iter().map(|(name, ..)| *name).chain(["to"]).collect();
    let mut before = "from";
    for name in names {
        plan = plan.wire(&format!("{before}.out"), &format!("{name}.in"));
        before = name;
    }
    plan
}

fn arrived(running: &Running) -> Vec<String> {
    running.arrived.now("to").iter().map(|msg| text(&msg.payload)).collect()
}

#[tokio::test]
async fn a_gear_that_changes_leaves_its_state_to_the_one_in_its_place() {
    let three = json!({"texts": ["a", "b", "c"]});
    let tally = |version| json!({"version": version});
    let mut running = line(true, &three, &[("tally", "tally", tally(1))]).boot().await;
    running.texts("to", 3).await;
    // Another source is another gear: it begins anew.
    let reloaded =
        running.reload(line(true, &json!({"texts": ["d"]}), &[("tally", "tally", tally(2))])).await.unwrap();
    let steps: Vec<_> = reloaded.plan.gears.iter().map(|gear| (gear.gear.as_str(), gear.step)).collect();
    assert_eq!(steps, [("from", Step::Replace), ("tally", Step::Replace), ("to", Step::Keep)]);
    assert_eq!(running.texts("to", 4).await, ["a 1", "b 2", "c 3", "d 4"]);
    assert!(running.rack.shut_down().await.is_clean());
}

#[tokio::test]
async fn a_version_that_cannot_be_leaves_everything_as_it_is() {
    for fails_at in ["init", "start"] {
        let source = json!({"count": 20_000, "batch": 7});
        let tally = |fails_at| json!({"fails_at": fails_at});
        let mut running = line(false, &source, &[("tally", "tally", tally(""))]).boot().await;
        running.texts("to", 10).await;
        for _ in 0..5 {
            let why = running.reload(line(true, &source, &[("tally", "tally", tally(fails_at))])).await;
            let why = why.expect_err("it fails").to_string();
            assert!(why.contains("tally") && why.contains(fails_at), "{why}");
            // A new gear beside the others fails in the same way.
            let added = [("tally", "tally", tally("")), ("more", "tally", tally(fails_at))];
            running.reload(line(false, &source, &added)).await.expect_err("it fails");
        }
        let all = running.texts("to", 20_000).await;
        let expected: Vec<_> = (0..20_000).map(|n| format!("{n} {}", n + 1)).collect();
        assert!(all == expected, "{fails_at}");
        assert!(running.rack.shut_down().await.is_clean());
    }
}

#[tokio::test]
async fn a_legacy_nobody_wants_stays_with_the_old_gear_until_it_stops() {
    let source = json!({"count": 5_000, "batch": 3});
    let tally = |inherits| json!({"inherits": inherits});
    let mut running = line(false, &source, &[("tally", "tally", tally(true))]).boot().await;
    running.texts("to", 100).await;
    running.reload(line(false, &source, &[("tally", "tally", tally(false))])).await.unwrap();
    let all = running.texts("to", 5_000).await;
    let numbers: Vec<_> = all.iter().map(|text| text.split_once(' ').unwrap().0.to_owned()).collect();
    assert!(numbers == (0..5_000).map(|n| n.to_string()).collect::<Vec<_>>());
    // It counts anew, once.
    let restarts = all.iter().filter(|text| text.ends_with(" 1")).count();
    assert_eq!(restarts, 2);
}

#[tokio::test]
async fn a_gear_that_is_taken_out_finishes_what_it_has() {
    let source = json!({"count": 300, "batch": 300});
    let slow = [("slow", "moody", json!({})), ("tally", "tally", json!({}))];
    let mut running = line(false, &source, &slow).boot().await;
    running.texts("to", 1).await;
    // Source and all between it and the sink go; what they have still comes.
    running.reload(Plan::new(false).gear("to", "sink", json!({}))).await.unwrap();
    let report = running.rack.shut_down().await;
    assert!(report.is_clean(), "{report:?}");
    let all: Vec<_> = running.arrived.now("to").iter().map(|msg| text(&msg.payload)).collect();
    assert!(all == (0..300).map(|n| format!("{n} {}", n + 1)).collect::<Vec<_>>(), "{all:?}");
}

#[tokio::test]
async fn a_gear_that_does_not_finish_is_not_waited_for_beyond_its_deadline() {
    let texts = json!({"texts": ["x", "y", "z"], "batch": 3});
    let mut plan = Plan::new(false)
        .gear("from", "source", texts.clone())
        .gear("slow", "slow", json!({}))
        .wire("from.out", "slow.in");
    plan.settings.process_timeout = "100ms".parse().unwrap();
    let mut running = plan.boot().await;
    running.texts("slow", 1).await;
    running.reload(Plan::new(false).gear("from", "source", texts)).await.unwrap();
    // Those after it have their turn, too.
    let letters = running.dead_letters(3).await;
    let told: Vec<_> =
        letters.iter().map(|letter| (text(&letter.msg.payload), letter.reason.to_string())).collect();
    assert_eq!(told, ["x", "y", "z"].map(|text| (text.to_owned(), "timeout".to_owned())));
    assert!(running.rack.shut_down().await.is_clean());
}

/// A version of the line: which gears are in it, and whether they share a task.
#[derive(Debug, Clone)]
struct Version {
    fuse: bool,
    gears: Vec<(u8, u32)>,
}

fn versions() -> impl Strategy<Value = Vec<Version>> {
    let gear = (0..4_u8, 0..3_u32);
    let version = (any::<bool>(), prop::collection::vec(gear, 0..4)).prop_map(|(fuse, mut gears)| {
        gears.sort_unstable();
        gears.dedup_by_key(|gear| gear.0);
        Version { fuse, gears }
    });
    prop::collection::vec(version, 2..12)
}

fn plan(version: &Version, source: &Json) -> Plan {
    const NAMES: [&str; 4] = ["g0", "g1", "g2", "g3"];
    let gears: Vec<_> = version
        .gears
        .iter()
        .map(|&(name, version)| (NAMES[usize::from(name)], "tally", json!({"version": version})))
        .collect();
    line(version.fuse, source, &gears)
}

async fn run_through(versions: &[Version]) {
    const MESSAGES: usize = 4_000;
    let source = json!({"count": MESSAGES, "batch": 5});
    let mut running = plan(&versions[0], &source).boot().await;
    for (done, version) in versions.iter().enumerate().skip(1) {
        running.texts("to", done * MESSAGES / (2 * versions.len())).await;
        running.reload(plan(version, &source)).await.unwrap();
    }
    running.texts("to", MESSAGES).await;
    let all = arrived(&running);
    let numbers = all.iter().map(|text| text.split(' ').next().unwrap().parse::<usize>().unwrap());
    if let Some(wrong) = numbers.zip(0..).position(|(number, expected)| number != expected) {
        let missing = all.iter().position(|text| text.split(' ').next() == Some(&wrong.to_string()));
        let there = missing.map(|at| &all[at..all.len().min(at + 3)]);
        panic!(
            "{wrong} at {missing:?} {there:?}: {:?}",
            &all[wrong.saturating_sub(3)..all.len().min(wrong + 8)]
        );
    }
    assert_eq!(all.len(), MESSAGES);
    let report = within(running.rack.shut_down()).await;
    assert!(report.is_clean(), "{report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_way_through_any_versions_keeps_every_message_and_the_order(versions in versions(), threads in 1..3_usize) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
        runtime.block_on(run_through(&versions));
    }
}
