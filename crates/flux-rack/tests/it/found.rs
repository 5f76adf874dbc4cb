//! What the simulation found, each as small as it is: reloads, drains and full journals in a simulated world.

use std::path::Path;
use std::time::Duration;

use flux_rack::{Filter, Remains, search};
use flux_scenario::Durability;
use flux_scenario::settings::DeadLetterPlace;
use flux_world::sim::{DiskLatency, Sim};
use serde_json::{Value as Json, json};

use crate::{
    gears::Arrived,
    harness::{Plan, text},
};

const STATE: &str = "/var/lib/flux";

/// A source and a gear of some kind behind it.
fn plan(sim: &Sim, source: &Json, kind: &str, is_durable: bool) -> Plan {
    let plan = Plan::new(false).gear("src", "source", source.clone()).gear("end", kind, json!({}));
    let mut plan = match is_durable {
        true => plan.durable("src.out", "end.in", Durability::default()),
        false => plan.wire("src.out", "end.in"),
    };
    (plan.state_dir, plan.world) = (Path::new(STATE).to_owned(), sim.world());
    plan.settings.dead_letters = DeadLetterPlace::Disk;
    plan.store.segment_bytes = "64KiB".parse().unwrap();
    plan.store.bytes_max = "128KiB".parse().unwrap();
    plan
}

fn texts(arrived: &Arrived) -> Vec<String> {
    arrived.now("end").iter().map(|msg| text(&msg.payload)).collect()
}

#[test]
fn a_wire_that_comes_back_sends_nothing_that_its_receiver_still_has() {
    Sim::run(1, async |sim| {
        let (clock, source) = (sim.world().clock, json!({"texts": ["a", "b", "c"]}));
        let mut running = plan(&sim, &source, "hoard", true).boot().await;
        clock.sleep(Duration::from_secs(1)).await;
        for is_durable in [false, true, false, true] {
            let next = plan(&sim, &source, "hoard", is_durable);
            running.reload_with(next, Remains::LeftOnDisk).await.unwrap();
            clock.sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(texts(&running.arrived), ["a", "b", "c"]);
        assert_eq!(running.rack.stats().wires[0].durable.as_ref().unwrap().unsettled, 3);
    });
}

#[test]
fn letters_can_be_dropped_from_a_journal_that_is_full() {
    Sim::run(2, async |sim| {
        let clock = sim.world().clock;
        let orders: Vec<String> = (0..2_000).map(|n| format!("invalid:{n:0>100}")).collect();
        let running = plan(&sim, &json!({"texts": orders}), "moody", false).boot().await;
        clock.sleep(Duration::from_secs(20)).await;
        assert!(running.rack.dead_letters().len() < 2_000, "it is full");
        let (mut dropped, all) = (0, Filter::default());
        while dropped < 2_000 {
            let drop = running.rack.drop_letters(&all, usize::MAX);
            let handled = clock.timeout(Duration::from_secs(60), drop).await.expect("it waits for itself");
            dropped += handled.unwrap().len();
            clock.sleep(Duration::from_millis(10)).await;
        }
        assert!(running.rack.dead_letters().is_empty());
    });
}

#[test]
fn a_clean_drain_forgets_no_letter() {
    for after_us in (0..12_000).step_by(300) {
        Sim::run(3, async |sim| {
            let (world, source) = (sim.world(), json!({"texts": ["invalid:a"]}));
            let sync = Duration::from_millis(2);
            sim.disk("local").set_latency(DiskLatency { sync, ..DiskLatency::default() });
            let running = plan(&sim, &source, "moody", true).boot().await;
            world.clock.sleep(Duration::from_micros(after_us)).await;
            assert!(running.rack.shut_down().await.is_clean());
            let running = plan(&sim, &json!({"texts": []}), "moody", true).boot().await;
            world.clock.sleep(Duration::from_secs(2)).await;
            let found = search(&world, STATE.as_ref(), &Filter::default(), usize::MAX).unwrap();
            assert_eq!(found.total, 1, "drained after {after_us} us");
            assert!(running.rack.shut_down().await.is_clean());
        });
    }
}

#[test]
fn a_gear_that_is_down_when_it_is_taken_out_still_does_what_waits_for_it() {
    Sim::run(4, async |sim| {
        let world = sim.world();
        let source = json!({"texts": ["a", "panic:once", "b"], "batch": 3});
        let mut with = Plan::new(false)
            .gear("src", "source", source.clone())
            .gear("moody", "moody", json!({}))
            .gear("end", "sink", json!({}))
            .wire("src.out", "moody.in")
            .wire("moody.out", "end.in");
        with.world = world.clone();
        with.settings.error_restart.backoff = "1s".parse().unwrap();
        with.settings.error_restart.backoff_max = "1s".parse().unwrap();
        with.settings.drain_timeout = "10s".parse().unwrap();
        let mut running = with.boot().await;
        world.clock.sleep(Duration::from_millis(1)).await;
        running.reload(Plan::new(false).gear("end", "sink", json!({}))).await.unwrap();
        world.clock.sleep(Duration::from_secs(5)).await;
        assert_eq!(texts(&running.arrived), ["a", "panic:once", "b"]);
        assert!(running.rack.dead_letters().is_empty());
    });
}
