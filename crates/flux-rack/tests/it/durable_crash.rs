//! Durable wires on a simulated disk: crashes at any moment, lost and torn pages, a full disk, syncs that fail.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use flux_gear::{FluxId, FluxMsg};
use flux_scenario::{Ack, Durability};
use flux_world::Entropy;
use flux_world::sim::{DiskLatency, Sim};
use serde_json::json;

use crate::{
    gears::Arrived,
    harness::{Plan, Running, text},
};

const STATE: &str = "/var/lib/flux";

/// A pump, a durable wire, a gear that passes on, another durable wire, a sink.
fn plan(sim: &Sim, arrived: &Arrived, numbers: std::ops::Range<u32>, window: u64, dedupe: bool) -> Plan {
    let durability = Durability { ack: Ack::Disk, dedupe };
    let mut plan = Plan::new(false)
        .gear("src", "pump", json!({"from": numbers.start, "to": numbers.end, "window": window}))
        .gear("a", "pass", json!({}))
        .gear("end", "sink", json!({}))
        .durable("src.out", "a.in", durability)
        .durable("a.out", "end.in", durability);
    plan.state_dir = Path::new(STATE).to_owned();
    plan.world = sim.world();
    plan.arrived = arrived.clone();
    plan.store.segment_bytes = "64KiB".parse().unwrap();
    plan.store.bytes_max = "1MiB".parse().unwrap();
    plan
}

fn number(msg: &FluxMsg) -> u32 {
    text(&msg.payload).parse().unwrap()
}

/// Ends when the sink has not been given anything for a while.
async fn settle_down(sim: &Sim, running: &Running) {
    let mut seen = usize::MAX;
    while seen != running.arrived.now("end").len() {
        seen = running.arrived.now("end").len();
        sim.world().clock.sleep(Duration::from_secs(2)).await;
    }
}

async fn survive(sim: Sim, seed: u64, dedupe: bool) -> (usize, usize) {
    let (arrived, chance) = (Arrived::default(), Entropy::seeded(seed ^ 0xd0));
    let disk = sim.disk("local");
    disk.set_latency(DiskLatency {
        sync: Duration::from_micros(chance.below(3_000)),
        ..DiskLatency::default()
    });
    let mut next = 0;
    for _ in 0..4 {
        let numbers = next..next + 200;
        next = numbers.end;
        let before = arrived.now("end").len();
        if let Ok(running) = plan(&sim, &arrived, numbers, 1 + chance.below(40), dedupe).try_boot().await {
            disk.stop_after(chance.below(400));
            sim.world().clock.sleep(Duration::from_micros(chance.below(60_000))).await;
            disk.crash();
            drop(running);
        } else {
            disk.crash();
        }
        sim.world().clock.sleep(Duration::from_millis(1)).await;
        let life = arrived.now("end").split_off(before);
        // What a sender repeats after a crash is repeated further on, where nobody minds.
        assert!(!dedupe || life.iter().map(number).is_sorted(), "seed {seed}: order within a life");
    }
    let running = plan(&sim, &arrived, next..next, 1, dedupe).boot().await;
    settle_down(&sim, &running).await;
    let stats = running.rack.stats();
    assert!(
        stats.wires.iter().all(|wire| wire.durable.as_ref().unwrap().unsettled == 0),
        "{:?}",
        stats.wires
    );
    assert!(running.rack.shut_down().await.is_clean());
    verify(seed, &arrived)
}

/// Everything that was accepted has arrived, as what it was, first in its order. How much was accepted, and arrived twice.
fn verify(seed: u64, arrived: &Arrived) -> (usize, usize) {
    let end = arrived.now("end");
    let mut first: BTreeMap<u32, FluxId> = BTreeMap::new();
    for msg in &end {
        let id = *first.entry(number(msg)).or_insert_with(|| msg.id);
        assert_eq!(id, msg.id, "seed {seed}: the same id each time");
    }
    let mut seen = std::collections::BTreeSet::new();
    let firsts = end.iter().map(number).filter(|number| seen.insert(*number));
    assert!(firsts.is_sorted(), "seed {seed}: messages arrive for the first time in their order");
    let accepted = arrived.now("accepted");
    for msg in &accepted {
        assert_eq!(
            first.get(&number(msg)),
            Some(&msg.id),
            "seed {seed}: {} was accepted and is lost",
            number(msg)
        );
    }
    (accepted.len(), end.len() - first.len())
}

#[test]
fn what_was_accepted_survives_every_crash() {
    let (mut accepted, mut twice) = (0, 0);
    for seed in 0..60 {
        let (some, again) = Sim::run(seed, async |sim| survive(sim, seed, false).await);
        accepted += some;
        twice += again;
    }
    // Otherwise nothing was put to the test.
    assert!(accepted > 5_000 && twice > 50, "{accepted} accepted, {twice} twice");
}

#[test]
fn a_window_of_ids_keeps_most_of_what_comes_twice_away() {
    for seed in 0..20 {
        Sim::run(seed, async |sim| survive(sim, seed, true).await);
    }
}

#[test]
fn a_seed_replays_itself() {
    let run = || {
        Sim::run(7, async |sim| {
            let end = survive(sim.clone(), 7, false).await;
            (end, sim.trace())
        })
    };
    assert_eq!(run(), run());
}

#[test]
fn a_sync_that_fails_makes_the_journal_be_opened_again_and_loses_nothing() {
    for seed in 0..20 {
        Sim::run(seed, async |sim| {
            let arrived = Arrived::default();
            let disk = sim.disk("local");
            disk.set_latency(DiskLatency { sync: Duration::from_micros(500), ..DiskLatency::default() });
            let running = plan(&sim, &arrived, 0..300, 8, false).boot().await;
            sim.world().clock.sleep(Duration::from_micros(1_000 * seed)).await;
            disk.fail_syncs(3);
            settle_down(&sim, &running).await;
            assert_eq!(arrived.now("accepted").len(), 300, "seed {seed}");
            verify(seed, &arrived);
            assert!(running.rack.shut_down().await.is_clean());
        });
    }
}

#[test]
fn a_full_disk_makes_the_sender_wait_and_goes_on_by_itself() {
    Sim::run(1, async |sim| {
        let arrived = Arrived::default();
        let disk = sim.disk("local");
        let mut plan = Plan::new(false)
            .gear("src", "pump", json!({"from": 0, "to": 3000, "window": 8}))
            .gear("end", "hoard", json!({}))
            .durable("src.out", "end.in", Durability::default());
        (plan.state_dir, plan.world, plan.arrived) =
            (Path::new(STATE).to_owned(), sim.world(), arrived.clone());
        plan.store.segment_bytes = "64KiB".parse().unwrap();
        let running = plan.boot().await;
        disk.set_capacity(Some(disk.used_bytes()));
        sim.world().clock.sleep(Duration::from_secs(30)).await;
        let stuck = running.rack.stats().wires[0].durable.as_ref().unwrap().stuck.clone();
        assert!(stuck.is_some_and(|why| why.contains("disk is full")));
        assert!((1..3000).contains(&arrived.now("accepted").len()));
        disk.set_capacity(None);
        settle_down(&sim, &running).await;
        assert_eq!((arrived.now("accepted").len(), arrived.now("end").len()), (3000, 3000));
    });
}

#[test]
fn a_journal_whose_files_go_while_it_runs_makes_the_sender_wait_until_they_are_back() {
    Sim::run(2, async |sim| {
        let arrived = Arrived::default();
        let (world, disk) = (sim.world(), sim.world().disk);
        let (mut plan, here) = (plan(&sim, &arrived, 0..300, 8, false), Path::new(STATE).join("wires"));
        plan.arrived = arrived.clone();
        sim.disk("local")
            .set_latency(DiskLatency { sync: Duration::from_micros(500), ..DiskLatency::default() });
        let running = plan.boot().await;
        world.clock.sleep(Duration::from_millis(5)).await;
        let wires = disk.directories(&here).unwrap();
        let wire = wires.iter().find(|wire| wire.starts_with("src")).expect("the first wire has a journal");
        let (here, away) = (here.join(wire), Path::new("/away"));
        let go = |from: &Path, to: &Path| {
            disk.make_dir(to).unwrap();
            for entry in disk.list(from).unwrap().iter().filter(|entry| entry.name != "LOCK") {
                disk.rename(&from.join(&entry.name), &to.join(&entry.name)).unwrap();
            }
        };
        go(&here, away);
        world.clock.sleep(Duration::from_secs(60)).await;
        let accepted = arrived.now("accepted").len();
        assert!(accepted < 300, "{accepted}");
        let stats = running.rack.stats().wires[0].durable.clone().unwrap();
        let why = stats.unreadable.expect("an alarm");
        assert!(why.contains("/wires/") && why.contains("is gone: it was removed or moved away"), "{why}");
        assert_eq!(disk.list(&here).unwrap().len(), 1, "nothing begins anew there but the lock");
        go(away, &here);
        world.clock.sleep(Duration::from_secs(120)).await;
        settle_down(&sim, &running).await;
        assert_eq!(arrived.now("accepted").len(), 300);
        verify(2, &arrived);
        assert_eq!(running.rack.stats().wires[0].durable.as_ref().unwrap().unreadable, None);
    });
}
