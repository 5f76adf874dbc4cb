//! No room: senders wait, are told why, and go on by themselves.

use std::path::Path;
use std::time::Duration;

use flux_journal::{AppendError, Config, Full, Journal, Start, WhenFull};
use flux_world::World;
use flux_world::sim::{Sim, SimDisk};

use crate::setup::{DIRECTORY, append_all, body, open, small, take_until};

#[tokio::test(start_paused = true)]
async fn a_full_journal_blocks_until_its_consumer_settles() {
    let sim = Sim::new(1);
    let world = sim.world();
    let (journal, _) = open(&world, Config { bytes_max: 192 * 1024, ..small() });
    let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
    let mut taken = 0;
    let refused = loop {
        match journal.append(&body(taken)).await {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(&refused, AppendError::Full { full: Full::Journal { bytes_max: 196_608 }, .. }));
    expect_test::expect!["no room after 5.0 s: the journal holds its 196608 bytes: let its consumers catch up, or raise `bytes_max`"]
        .assert_eq(&refused.to_string());
    assert!(journal.stats().full.is_some() && journal.stats().bytes <= 196_608);

    let settler = consumer.settler();
    let last = body(taken);
    let (appended, ()) = tokio::join!(journal.append(&last), async {
        let next = journal.stats().next;
        for record in take_until(&mut consumer, next).await {
            settler.settle(record.sequence);
        }
    });
    appended.unwrap().wait().await.unwrap();
    let rest = take_until(&mut consumer, taken + 1).await;
    assert_eq!(rest.last().unwrap().body, last, "nothing that was taken is missing");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_blocks_and_goes_on_when_there_is_space() {
    let sim = Sim::new(2);
    let (world, disk) = (sim.world(), sim.disk("local"));
    disk.set_capacity(Some(100 * 1024));
    let (journal, _) = open(&world, small());
    let mut taken = 0;
    let refused = loop {
        match journal.append(&body(taken)).await {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, AppendError::Full { full: Full::Disk, .. }), "{refused}");
    let safe = journal.stats().next;
    assert!(safe > 100 && safe <= taken);
    disk.set_capacity(None);
    journal.append(&body(taken)).await.unwrap().wait().await.unwrap();
    let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
    for (n, record) in (0..).zip(take_until(&mut consumer, taken + 1).await) {
        assert_eq!(record.body, body(n));
    }
}

/// A journal that has filled its disk; how many records are in it.
async fn filled(world: &World, capacity_bytes: u64, disk: &SimDisk) -> (Journal, u64) {
    disk.set_capacity(Some(capacity_bytes));
    let (journal, _) = open(world, small());
    drop(journal.consumer("wire", Start::Oldest).unwrap());
    let mut taken = 0;
    while journal.append(&body(taken)).await.is_ok() {
        taken += 1;
    }
    (journal, taken)
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_the_journal_filled_has_room_again_as_its_consumer_settles() {
    let sim = Sim::new(5);
    let world = sim.world();
    let (journal, taken) = filled(&world, 300 * 1024, &sim.disk("local")).await;
    assert!(matches!(journal.stats().full, Some(Full::Disk)));
    let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
    let settler = consumer.settler();
    let safe = journal.stats().next;
    for record in take_until(&mut consumer, safe).await {
        settler.settle(record.sequence);
    }
    // What was gathered and had no room has some, without anybody who frees any.
    let rest = take_until(&mut consumer, taken).await;
    assert_eq!(rest.last().unwrap().body, body(taken - 1));
    journal.append(&body(taken)).await.unwrap().wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_filled_its_disk_is_opened_and_goes_on_as_its_consumer_settles() {
    let sim = Sim::new(6);
    let (world, disk) = (sim.world(), sim.disk("local"));
    let (journal, _) = filled(&world, 300 * 1024, &disk).await;
    let acknowledged = journal.stats().next;
    drop(journal);
    disk.crash();
    // Not even the header of a segment fits, until one of the sealed ones is gone.
    let mut segments = world.disk.list(Path::new(DIRECTORY)).unwrap();
    segments.retain(|entry| entry.name.ends_with(".journal"));
    segments.pop();
    disk.set_capacity(Some(segments.iter().map(|entry| entry.bytes).sum()));
    let (journal, found) = open(&world, small());
    let safe = found.next;
    assert!(safe >= acknowledged, "{found:?}");
    let next = journal.append(b"next").await.unwrap();
    world.clock.sleep(Duration::from_secs(1)).await;
    assert!(matches!(journal.stats().full, Some(Full::Disk)) && !next.is_safe());
    let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
    let settler = consumer.settler();
    for record in take_until(&mut consumer, safe).await {
        assert_eq!(record.body, body(record.sequence));
        settler.settle(record.sequence);
    }
    next.wait().await.unwrap();
    drop(consumer);
    journal.close().await.unwrap();
    let (_, found) = open(&world, small());
    assert!(found.next > safe, "what was appended on the full disk is kept");
}

#[tokio::test(start_paused = true)]
async fn the_oldest_go_only_where_that_was_asked_for() {
    let sim = Sim::new(3);
    let world = sim.world();
    let config = Config { bytes_max: 192 * 1024, when_full: WhenFull::DropOldest, ..small() };
    let (journal, _) = open(&world, config);
    let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
    append_all(&journal, 0..3_000).await;
    let stats = journal.stats();
    assert_eq!(stats.dropped_by_size, stats.first);
    let batch = consumer.next(10).await.unwrap();
    assert_eq!((batch.skipped, batch.records[0].sequence), (stats.first, stats.first));
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_ends_the_journal_and_loses_nothing_acknowledged() {
    let sim = Sim::new(4);
    let (world, disk) = (sim.world(), sim.disk("local"));
    let (journal, _) = open(&world, small());
    append_all(&journal, 0..10).await;
    disk.fail_syncs(1);
    let failed = journal.append(b"x").await.unwrap().wait().await.unwrap_err();
    assert!(matches!(&failed, AppendError::Failed { .. }), "{failed}");
    assert!(matches!(journal.append(b"y").await, Err(AppendError::Failed { .. })));
    world.clock.sleep(Duration::from_millis(1)).await;
    drop(journal);
    disk.crash();
    let (_, found) = open(&world, small());
    assert!((10..=11).contains(&found.next));
}
