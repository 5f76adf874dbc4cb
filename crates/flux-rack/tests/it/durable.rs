//! Durable wires on real files: what is taken is delivered, over restarts, in order, and once where nothing fails.

use std::path::Path;

use flux_gear::FluxMsg;
use flux_journal::{Config, Journal, Keys, Start};
use flux_rack::DurableStats;
use flux_scenario::{Ack, Durability};
use flux_world::World;
use serde_json::{Value as Json, json};

use crate::harness::{Plan, Running, text, within};

const DISK: Durability = Durability { ack: Ack::Disk, dedupe: false };

/// A source, a durable wire, and a gear of some kind.
fn plan(state_dir: &Path, source: Json, kind: &str) -> Plan {
    let mut plan = Plan::new(false)
        .gear("src", "source", source)
        .gear("end", kind, json!({}))
        .durable("src.out", "end.in", DISK);
    plan.state_dir = state_dir.to_owned();
    plan
}

fn durable(running: &Running) -> DurableStats {
    running.rack.stats().wires[0].durable.clone().unwrap()
}

/// Waits until the wire says so.
async fn until(running: &Running, is_so: impl Fn(&DurableStats) -> bool) -> DurableStats {
    within(async {
        while !is_so(&durable(running)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    durable(running)
}

fn texts(msgs: &[FluxMsg]) -> Vec<String> {
    msgs.iter().map(|msg| text(&msg.payload)).collect()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn what_is_taken_arrives_in_order_and_is_settled() {
    for ack in [Ack::Disk, Ack::Os] {
        let state = tempfile::tempdir().unwrap();
        let mut plan = Plan::new(false)
            .gear("src", "source", json!({"count": 5000, "batch": 7}))
            .gear("a", "pass", json!({}))
            .gear("end", "sink", json!({}))
            .durable("src.out", "a.in", Durability { ack, dedupe: false })
            .durable("a.out", "end.in", Durability { ack, dedupe: true });
        plan.state_dir = state.path().to_owned();
        let running = plan.boot().await;
        assert_eq!(running.texts("end", 5000).await, numbers(0..5000));
        let stats = until(&running, |stats| stats.unsettled == 0).await;
        assert_eq!((stats.ack, stats.accepted, stats.redelivered, stats.delivered), (ack, 5000, 0, 0));
        let report = running.rack.shut_down().await;
        assert!(report.is_clean() && report.on_disk.is_empty(), "{report:?}");
    }
}

#[tokio::test]
async fn what_the_receiver_has_not_finished_waits_on_disk_and_comes_again_with_the_same_id() {
    let state = tempfile::tempdir().unwrap();
    let mut first = plan(state.path(), json!({"count": 3000, "batch": 100}), "slow");
    first.settings.lane_queue_size = 10.try_into().unwrap();
    first.settings.process_timeout = "60s".parse().unwrap();
    first.settings.cleanup_timeout = "50ms".parse().unwrap();
    let first = first.boot().await;
    until(&first, |stats| stats.unsettled == 3000).await;
    let seen = within(first.arrived.wait_for("slow", 1)).await;
    let report = first.rack.shut_down().await;
    let on_disk: Vec<_> = report.on_disk.iter().map(ToString::to_string).collect();
    assert_eq!(on_disk, ["3000 messages on src.out -> end.in"]);
    assert_eq!(report.left.iter().map(ToString::to_string).collect::<Vec<_>>(), ["end still busy"]);

    let second = plan(state.path(), json!({"count": 0}), "sink").boot().await;
    assert_eq!(second.texts("end", 3000).await, numbers(0..3000));
    assert_eq!(second.arrived.now("end")[0].id, seen[0].id);
    until(&second, |stats| stats.unsettled == 0).await;
    assert!(second.rack.shut_down().await.is_clean());

    // Settled is settled.
    let third = plan(state.path(), json!({"texts": ["last"]}), "sink").boot().await;
    assert_eq!(third.texts("end", 1).await, ["last"]);
}

#[tokio::test]
async fn a_receipt_says_that_it_is_safe_and_not_that_it_arrived() {
    let state = tempfile::tempdir().unwrap();
    let running = plan(state.path(), json!({"texts": ["1", "2"], "tracked": true}), "slow")
        .gear("receipts", "sink", json!({}))
        .wire("src.receipts", "receipts.in")
        .boot()
        .await;
    assert_eq!(running.texts("receipts", 2).await, ["Settled", "Settled"]);
    assert_eq!(running.arrived.now("slow").len(), 1);
}

#[tokio::test]
async fn what_was_given_up_comes_again_before_anything_new_and_ends_as_a_dead_letter() {
    let state = tempfile::tempdir().unwrap();
    let mut plan = plan(state.path(), json!({"texts": ["a", "b", "give up", "c"], "batch": 4}), "hoard");
    plan.settings.batch_messages_max = 1.try_into().unwrap();
    plan.settings.retry.attempts = 3;
    let running = plan.boot().await;
    // "give up" ends in the hoard itself.
    let seen = within(running.arrived.wait_for("end", 6)).await;
    assert_eq!(texts(&seen), ["a", "b", "give up", "a", "b", "c"]);
    assert_eq!((seen[0].id, seen[1].id), (seen[3].id, seen[4].id));
    let stats = until(&running, |stats| stats.unsettled == 3).await;
    assert_eq!((stats.delivered, stats.redelivered), (3, 2));
}

#[tokio::test]
async fn what_is_given_up_too_often_is_a_dead_letter() {
    let state = tempfile::tempdir().unwrap();
    let orders = ["a", "give up", "give up", "give up"];
    let mut plan = plan(state.path(), json!({"texts": orders, "batch": 1}), "hoard");
    plan.settings.batch_messages_max = 1.try_into().unwrap();
    plan.settings.retry.attempts = 2;
    plan.settings.dead_letters = flux_scenario::settings::DeadLetterPlace::Memory;
    let running = plan.boot().await;
    let letters = running.dead_letters(1).await;
    let letter = &letters[0];
    assert_eq!(
        (text(&letter.msg.payload).as_str(), letter.reason.as_str(), letter.attempts),
        ("a", "given_up", 2)
    );
    assert_eq!((letter.gear.as_str(), letter.port.as_str()), ("end", "in"));
    until(&running, |stats| stats.unsettled == 0).await;
}

#[tokio::test]
async fn a_record_that_is_no_message_is_a_dead_letter_and_what_is_behind_it_arrives() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("wires").join("src.out+end.in");
    let (journal, _) = Journal::open(&World::real(), &directory, Config::default(), Keys::none()).unwrap();
    drop(journal.consumer("receiver", Start::Oldest).unwrap());
    journal.append(b"not a message").await.unwrap().wait().await.unwrap();
    journal.close().await.unwrap();
    let mut plan = plan(state.path(), json!({"texts": ["1"]}), "sink");
    plan.settings.dead_letters = flux_scenario::settings::DeadLetterPlace::Memory;
    let running = plan.boot().await;
    assert_eq!(running.texts("end", 1).await, ["1"]);
    let letters = running.dead_letters(1).await;
    assert_eq!(
        (letters[0].reason.as_str(), &letters[0].msg.payload[..]),
        ("undecodable", &b"not a message"[..])
    );
    until(&running, |stats| stats.unsettled == 0).await;
}

#[tokio::test]
async fn order_holds_per_key_in_parallel_and_over_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let plan = |source: Json, kind: &str| {
        let mut plan = Plan::new(false)
            .gear("src", "source", source)
            .parallel("work", kind, 4, "payload")
            .gear("end", "sink", json!({}))
            .durable("src.out", "work.in", DISK);
        if kind == "pass" {
            plan = plan.wire("work.out", "end.in");
        }
        plan.state_dir = state.path().to_owned();
        plan.settings.process_timeout = "60s".parse().unwrap();
        plan.settings.cleanup_timeout = "50ms".parse().unwrap();
        plan
    };
    let texts: Vec<String> = (0..400).map(|n| (n % 8).to_string()).collect();
    let first = plan(json!({"texts": texts, "batch": 50}), "slow").boot().await;
    until(&first, |stats| stats.unsettled == 400).await;
    first.rack.shut_down().await;
    let second = plan(json!({"count": 0}), "pass").boot().await;
    let arrived = within(second.arrived.wait_for("end", 400)).await;
    for key in 0..8 {
        let ids: Vec<_> =
            arrived.iter().filter(|msg| text(&msg.payload) == key.to_string()).map(|msg| msg.id).collect();
        assert!(ids.is_sorted() && ids.len() == 50, "{key}: {ids:?}");
    }
}

#[tokio::test]
async fn a_message_that_was_sent_twice_arrives_once_where_that_is_asked_for() {
    for dedupe in [true, false] {
        let state = tempfile::tempdir().unwrap();
        let plan = |source: Json| {
            let mut plan = Plan::new(false)
                .gear("src", "source", source)
                .gear("x", "twice", json!({}))
                .gear("end", "sink", json!({}))
                .wire("src.out", "x.in")
                .durable("x.out", "end.in", Durability { ack: Ack::Disk, dedupe });
            plan.state_dir = state.path().to_owned();
            plan
        };
        let running = plan(json!({"texts": ["a", "b", "c"]})).boot().await;
        let want: &[&str] = if dedupe { &["a", "b", "c"] } else { &["a", "a'", "b", "b'", "c", "c'"] };
        assert_eq!(running.texts("end", want.len()).await, want);
        let stats = within(async {
            loop {
                let stats = running.rack.stats().wires[1].durable.clone().unwrap();
                if stats.unsettled == 0 && stats.accepted == 6 {
                    return stats;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(stats.duplicates, if dedupe { 3 } else { 0 });
        running.rack.shut_down().await;
    }
}

/// What a wire promises changes in a reload: nothing is lost, nothing comes twice that did not before.
#[tokio::test]
async fn what_a_wire_promises_changes_while_it_runs() {
    let state = tempfile::tempdir().unwrap();
    let plan = |ack, dedupe| {
        let mut plan = Plan::new(false)
            .gear("src", "pump", json!({"from": 0, "to": 6000, "window": 20}))
            .gear("x", "twice", json!({}))
            .gear("end", "sink", json!({}))
            .wire("src.out", "x.in")
            .durable("x.out", "end.in", Durability { ack, dedupe });
        plan.state_dir = state.path().to_owned();
        plan
    };
    let mut running = plan(Ack::Disk, false).boot().await;
    let promises =
        [(Ack::Os, false), (Ack::Os, true), (Ack::Disk, true), (Ack::Disk, false), (Ack::Os, true)];
    for (at, (ack, dedupe)) in promises.into_iter().enumerate() {
        within(running.arrived.wait_for("end", 1000 * (at + 1))).await;
        running.reload(plan(ack, dedupe)).await.unwrap();
        assert_eq!(running.rack.stats().wires[1].durable.clone().unwrap().ack, ack);
    }
    within(running.arrived.wait_for("accepted", 6000)).await;
    within(async {
        while running.rack.stats().wires[1].durable.as_ref().unwrap().unsettled > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let stats = running.rack.stats().wires[1].durable.clone().unwrap();
    let seen = texts(&running.arrived.now("end"));
    let firsts: Vec<_> = seen.iter().filter(|text| !text.ends_with('\'')).cloned().collect();
    assert_eq!(firsts, numbers(0..6000));
    assert_eq!((seen.len() as u64 + stats.duplicates, stats.redelivered), (12_000, 0));
    assert!(stats.duplicates > 0 && seen.len() > 6000);
}

#[tokio::test]
async fn the_window_of_messages_seen_survives_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("wires").join("src.out+end.in");
    let plan = |source: Json| {
        let mut plan = Plan::new(false).gear("src", "source", source).gear("end", "sink", json!({})).durable(
            "src.out",
            "end.in",
            Durability { ack: Ack::Disk, dedupe: true },
        );
        plan.state_dir = state.path().to_owned();
        plan
    };
    let first = plan(json!({"texts": ["a", "b"]})).boot().await;
    let seen = within(first.arrived.wait_for("end", 2)).await;
    until(&first, |stats| stats.unsettled == 0).await;
    first.rack.shut_down().await;
    // As a sender does that was not told before it crashed.
    let mut again = Vec::new();
    flux_signal::cbor::encode(&seen[0], &mut again).unwrap();
    let (journal, _) = Journal::open(&World::real(), &directory, Config::default(), Keys::none()).unwrap();
    journal.append(&again).await.unwrap().wait().await.unwrap();
    journal.close().await.unwrap();
    let second = plan(json!({"texts": ["c"]})).boot().await;
    assert_eq!(second.texts("end", 1).await, ["c"]);
    let stats = until(&second, |stats| stats.unsettled == 0).await;
    assert_eq!(stats.duplicates, 1);
}

#[tokio::test]
async fn a_damaged_journal_stops_the_boot_and_says_what_to_do() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("wires").join("src.out+end.in");
    let first = plan(state.path(), json!({"count": 50}), "sink").boot().await;
    first.texts("end", 50).await;
    first.rack.shut_down().await;
    let segment = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some())
        .unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[..8].copy_from_slice(b"NOTHING!");
    std::fs::write(&segment, bytes).unwrap();
    let why = plan(state.path(), json!({"count": 0}), "sink").try_boot().await.err().unwrap().to_string();
    assert!(why.starts_with("wire `src.out -> end.in`: "), "{why}");
    assert!(why.contains("is not a segment of a journal") && why.contains("fluxrig journal check"), "{why}");
    assert!(why.contains(directory.to_str().unwrap()), "{why}");
}
