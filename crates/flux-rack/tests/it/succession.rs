//! One rack ends in favour of another: whenever, every message arrives once and in order, and in vain it changes nothing.

use std::time::Duration;

use flux_gear::FluxMsg;
use flux_rack::Estate;
use flux_scenario::circuit::Durability;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Plan, Running, text, within};

const WITHIN: Duration = Duration::from_secs(5);

/// A line of counting gears, the wire before one of them durable if there is a directory for it.
fn line(fuse: bool, tallies: usize, batch: usize, directory: Option<&TempDir>) -> Plan {
    let mut plan = Plan::new(fuse).gear("from", "counter", json!({"count": 3_000, "batch": batch}));
    let names: Vec<String> = (0..tallies).map(|n| format!("t{n}")).collect();
    for name in &names {
        plan = plan.gear(name, "tally", json!({}));
    }
    plan = plan.gear("to", "sink", json!({}));
    let mut before = "from".to_owned();
    for (n, name) in names.into_iter().chain(["to".into()]).enumerate() {
        let ends = [format!("{before}.out"), format!("{name}.in")];
        plan = match directory.filter(|_| n == tallies / 2) {
            Some(_) => plan.durable(&ends[0], &ends[1], Durability::default()),
            None => plan.wire(&ends[0], &ends[1]),
        };
        before = name;
    }
    if let Some(directory) = directory {
        plan.state_dir = directory.path().to_owned();
    }
    plan
}

async fn moved_out(running: Running) -> (Estate, crate::gears::Arrived) {
    let Running { rack, arrived } = running;
    let estate = within(Box::pin(rack.move_out(WITHIN))).await;
    (estate.map_err(|(_, why)| why).unwrap(), arrived)
}

async fn from_rack_to_rack(fuse: bool, tallies: usize, batch: usize, moments: &[usize], is_durable: bool) {
    let directory = is_durable.then(|| tempfile::tempdir().unwrap());
    let plan = || line(fuse, tallies, batch, directory.as_ref());
    let mut running = plan().boot().await;
    for moment in moments {
        running.texts("to", *moment).await;
        let (estate, arrived) = moved_out(running).await;
        let mut plan = plan();
        plan.arrived = arrived;
        running = plan.boot_with(estate).await;
        running.rack.resume().await;
    }
    let all = running.texts("to", 3_000).await;
    // The counters went along, so each number is the count of those before it and itself.
    let expected = |n: usize| format!("{n}{}", format!(" {}", n + 1).repeat(tallies));
    let wrong = all.iter().enumerate().find(|(n, text)| **text != expected(*n));
    assert_eq!(wrong, None, "{fuse} {tallies} {batch} {moments:?}");
    let report = within(running.rack.shut_down()).await;
    assert!(report.is_clean(), "{report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn at_any_moment_every_message_arrives_once_and_in_order(
        (fuse, is_durable, threads) in (any::<bool>(), any::<bool>(), 1..3_usize),
        (tallies, batch) in (0..4_usize, prop::sample::select(vec![1, 7, 64, 500])),
        mut moments in prop::collection::vec(0..2_900_usize, 1..4),
    ) {
        moments.sort_unstable();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
        runtime.block_on(from_rack_to_rack(fuse, tallies, batch, &moments, is_durable));
    }
}

#[tokio::test]
async fn what_does_not_come_to_rest_goes_on_where_it_is() {
    let mut plan = Plan::new(false)
        .gear("from", "source", json!({"texts": ["x", "y"]}))
        .gear("slow", "slow", json!({}))
        .wire("from.out", "slow.in");
    plan.settings.process_timeout = "10s".parse().unwrap();
    let running = plan.boot().await;
    running.texts("slow", 1).await;
    let (rack, why) = Box::pin(running.rack.move_out(Duration::ZERO)).await.unwrap_err();
    assert!(why.to_string().contains("did not finish the messages in hand"), "{why}");
    // The next has its turn when the first has had its time.
    within(running.arrived.wait_for("slow", 2)).await;
    drop(rack);
}

#[tokio::test]
async fn what_nobody_goes_on_with_is_a_dead_letter() {
    let running = Plan::new(false).gear("to", "sink", json!({})).boot().await;
    let (mut estate, arrived) = moved_out(running).await;
    let msg = FluxMsg::new(flux_gear::FluxId::v7(1, 1), 0, "left");
    estate.gears[0].undone = vec![("in".into(), msg.clone()), ("no_such_port".into(), msg)];
    let mut plan = Plan::new(false).gear("to", "sink", json!({}));
    plan.arrived = arrived;
    let running = plan.boot_with(estate).await;
    assert_eq!(running.texts("to", 1).await, ["left"]);
    let letters = running.dead_letters(1).await;
    let told: Vec<_> =
        letters.iter().map(|letter| (text(&letter.msg.payload), letter.port.to_string())).collect();
    assert_eq!(told, [("left".to_owned(), "no_such_port".to_owned())]);
}
