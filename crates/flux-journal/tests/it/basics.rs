//! Append, consume, settle, reopen, trim: the ordinary day.

use std::path::Path;
use std::time::Duration;

use flux_journal::{
    Ack, AppendError, Config, ConsumerError, Journal, Keys, OpenError, ReadError, Start, check,
};
use flux_world::{World, sim::DiskLatency, sim::Sim};

use crate::setup::{DIRECTORY, append_all, body, open, read_until, small, take_until};

#[tokio::test]
async fn a_real_journal_keeps_what_it_took() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::real();
    let config = Config {
        segment_bytes: 256 * 1024,
        gather_bytes_max: 64 * 1024,
        window_records: 10_000,
        ..Config::default()
    };
    for opening in 0..3 {
        let (journal, found) = Journal::open(&world, directory.path(), config.clone(), Keys::none()).unwrap();
        assert_eq!((found.next, found.torn, found.damages.len()), (opening * 3_000, None, 0));
        append_all(&journal, opening * 3_000..(opening + 1) * 3_000).await;
        journal.close().await.unwrap();
    }
    let report = check(&world, directory.path()).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.records, report.first, report.next), (9_000, 0, 9_000));
    let (journal, _) = Journal::open(&world, directory.path(), config, Keys::none()).unwrap();
    for (n, record) in (0..).zip(read_until(&journal, "all", 9_000).await) {
        assert_eq!((record.sequence, &record.body[..]), (n, &body(n)[..]));
    }
}

#[tokio::test]
async fn what_nobody_was_told_of_is_given_up_and_goes_to_its_old_place() {
    let directory = tempfile::tempdir().unwrap();
    let (world, path) = (World::real(), directory.path());
    let check = |unsafe_from: u64, next: u64| {
        let (journal, found) =
            Journal::reopen(&world, path, Config::default(), Keys::none(), unsafe_from).unwrap();
        assert_eq!((found.next, found.torn, found.damages.len()), (next, None, 0), "from {unsafe_from}");
        journal
    };
    let journal = check(u64::MAX, 0);
    append_all(&journal, 0..10).await;
    journal.close().await.unwrap();
    let journal = check(7, 7);
    append_all(&journal, 7..9).await;
    journal.close().await.unwrap();
    // What lies in a segment before the last was safe before that began.
    let journal = check(3, 7);
    append_all(&journal, 7..8).await;
    journal.close().await.unwrap();
    let journal = check(8, 8);
    for (n, record) in (0..).zip(read_until(&journal, "all", 8).await) {
        assert_eq!((record.sequence, &record.body[..]), (n, &body(n)[..]));
    }
}

#[tokio::test]
async fn many_callers_share_a_sync() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) =
        Journal::open(&World::real(), directory.path(), Config::default(), Keys::none()).unwrap();
    let callers = (0..64).map(|caller: u64| {
        let journal = journal.clone();
        tokio::spawn(async move {
            for n in 0..50 {
                journal.append(&body(caller * 50 + n)).await.unwrap().wait().await.unwrap();
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let stats = journal.stats();
    assert_eq!(stats.next, 3_200);
    assert!(stats.syncs < 1_600, "{} syncs for 3200 records of 64 callers", stats.syncs);
}

#[tokio::test(start_paused = true)]
async fn while_the_disk_syncs_the_next_group_gathers() {
    let sim = Sim::new(1);
    sim.disk("local").set_latency(DiskLatency { sync: Duration::from_millis(4), ..DiskLatency::default() });
    let world = sim.world();
    let (journal, _) = open(&world, small());
    let began = world.clock.now();
    let mut receipts = Vec::new();
    for n in 0..40 {
        receipts.push(journal.append(&body(n)).await.unwrap());
        world.clock.sleep(Duration::from_millis(1)).await;
    }
    for receipt in receipts {
        receipt.wait().await.unwrap();
    }
    assert!(world.clock.now() - began <= Duration::from_millis(56));
    let stats = journal.stats();
    assert!(stats.groups <= 14, "{} groups", stats.groups);
}

#[tokio::test(start_paused = true)]
async fn a_record_is_read_only_when_it_is_safe() {
    let sim = Sim::new(1);
    sim.disk("local").set_latency(DiskLatency { sync: Duration::from_millis(4), ..DiskLatency::default() });
    let world = sim.world();
    let (journal, _) = open(&world, small());
    let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
    let receipt = journal.append(b"x").await.unwrap();
    assert!(!receipt.is_safe());
    assert!(world.clock.timeout(Duration::from_millis(3), consumer.next(1)).await.is_err());
    let batch = consumer.next(1).await.unwrap();
    assert!(receipt.is_safe());
    assert_eq!(batch.records[0].body, "x");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_goes_on_where_it_stood() {
    let sim = Sim::new(2);
    let world = sim.world();
    let (journal, _) = open(&world, small());
    append_all(&journal, 0..100).await;
    let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
    assert_eq!(take_until(&mut consumer, 100).await.len(), 100);
    assert!(matches!(journal.consumer("wire", Start::Oldest), Err(ConsumerError::InUse { .. })));
    assert!(matches!(journal.consumer("", Start::Oldest), Err(ConsumerError::Name)));
    for sequence in (0..60).chain([70, 80, 99]) {
        consumer.settle(sequence);
    }
    assert_eq!(consumer.low(), 60);
    consumer.rewind();
    assert_eq!(take_until(&mut consumer, 99).await.len(), 37);
    drop(consumer);
    journal.close().await.unwrap();

    let (journal, _) = open(&world, small());
    assert_eq!(journal.consumers(), [("wire".to_owned(), 60)]);
    let mut consumer = journal.consumer("wire", Start::Latest).unwrap();
    let again: Vec<u64> = take_until(&mut consumer, 99).await.iter().map(|record| record.sequence).collect();
    let expected: Vec<u64> = (60..99).filter(|sequence| ![70, 80].contains(sequence)).collect();
    assert_eq!(again, expected);
    drop(consumer);
    assert!(journal.forget("wire"));
    journal.close().await.unwrap();
    assert_eq!(open(&world, small()).0.consumers(), []);
}

#[tokio::test(start_paused = true)]
async fn a_settled_record_is_remembered_without_an_append() {
    let sim = Sim::new(3);
    let world = sim.world();
    let (journal, _) = open(&world, small());
    append_all(&journal, 0..10).await;
    let consumer = journal.consumer("wire", Start::Oldest).unwrap();
    consumer.settle(0);
    world.clock.sleep(Duration::from_millis(150)).await;
    consumer.settle(1);
    sim.disk("local").crash();
    drop((journal, consumer));
    let (journal, found) = open(&world, small());
    assert_eq!((journal.consumers(), found.next), (vec![("wire".to_owned(), 1)], 10));
}

#[tokio::test(start_paused = true)]
async fn the_window_holds_a_consumer_back_until_it_settles() {
    let sim = Sim::new(4);
    let world = sim.world();
    let (journal, _) = open(&world, Config { window_records: 10, ..small() });
    append_all(&journal, 0..30).await;
    let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
    assert_eq!(take_until(&mut consumer, 10).await.len(), 10);
    let settler = consumer.settler();
    settler.settle(1);
    assert!(world.clock.timeout(Duration::from_secs(1), consumer.next(10)).await.is_err());
    let (batch, ()) = tokio::join!(consumer.next(10), async { settler.settle(0) });
    assert_eq!(batch.unwrap().records.iter().map(|record| record.sequence).collect::<Vec<_>>(), [10, 11]);
}

#[tokio::test(start_paused = true)]
async fn what_all_have_settled_is_trimmed() {
    let sim = Sim::new(5);
    let world = sim.world();
    let (journal, _) = open(&world, small());
    append_all(&journal, 0..2_000).await;
    assert!(journal.stats().segments > 4, "{:?}", journal.stats());
    let mut slow = journal.consumer("slow", Start::Oldest).unwrap();
    let mut quick = journal.consumer("quick", Start::Oldest).unwrap();
    for record in take_until(&mut quick, 2_000).await {
        quick.settle(record.sequence);
    }
    world.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(journal.stats().first, 0, "the slow one still needs them");
    for record in take_until(&mut slow, 2_000).await {
        slow.settle(record.sequence);
    }
    world.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(journal.stats().segments, 1);
    assert!(check(&world, Path::new(DIRECTORY)).unwrap().is_clean());
}

#[tokio::test(start_paused = true)]
async fn old_segments_go_by_age_and_are_counted() {
    let sim = Sim::new(6);
    let world = sim.world();
    let config = Config { age_max: Some(Duration::from_secs(60)), ..small() };
    let (journal, _) = open(&world, config);
    let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
    append_all(&journal, 0..1_000).await;
    world.clock.sleep(Duration::from_secs(70)).await;
    let stats = journal.stats();
    assert!(stats.segments == 1 && stats.dropped_by_age == stats.first && stats.first > 500, "{stats:?}");
    let batch = consumer.next(1).await.unwrap();
    assert_eq!(batch.skipped, stats.first);
    assert_eq!(consumer.low(), stats.first);
}

#[tokio::test(start_paused = true)]
async fn a_closed_journal_gives_out_what_it_has_and_takes_no_more() {
    let sim = Sim::new(7);
    let world = sim.world();
    let (journal, _) = open(&world, small());
    let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
    let clone = journal.clone();
    let receipt = journal.append(b"last").await.unwrap();
    assert!(matches!(
        Journal::open(&world, Path::new(DIRECTORY), small(), Keys::none()),
        Err(OpenError::InUse { .. })
    ));
    journal.close().await.unwrap();
    assert!(receipt.is_safe());
    assert!(matches!(clone.append(b"late").await, Err(AppendError::Closed)));
    assert_eq!(consumer.next(9).await.unwrap().records.len(), 1);
    assert!(matches!(consumer.next(9).await, Err(ReadError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn at_the_level_os_a_sync_can_be_asked_for() {
    let sim = Sim::new(8);
    let world = sim.world();
    let (journal, _) = open(&world, Config { ack: Ack::Os, ..small() });
    let receipt = journal.append(b"x").await.unwrap();
    receipt.wait().await.unwrap();
    assert_eq!((receipt.level(), journal.stats().syncs), (Ack::Os, 0));
    journal.sync().await.unwrap();
    assert_eq!(journal.stats().syncs, 1);
    journal.append(b"y").await.unwrap().wait().await.unwrap();
    world.clock.sleep(Duration::from_millis(1_100)).await;
    assert_eq!(journal.stats().syncs, 2);
}

#[tokio::test(start_paused = true)]
async fn settings_that_contradict_themselves_are_refused() {
    let world = Sim::new(9).world();
    let bad = [
        Config { segment_bytes: 1, ..small() },
        Config { bytes_max: 64 * 1024, ..small() },
        Config { gather_bytes_max: 64 * 1024, ..small() },
        Config { window_records: 0, ..small() },
    ];
    for config in bad {
        let refused = Journal::open(&world, Path::new(DIRECTORY), config, Keys::none());
        assert!(matches!(refused, Err(OpenError::Config { .. })));
    }
    let (journal, _) = open(&world, small());
    assert!(matches!(journal.try_append(&[0; 17_000]), Err(AppendError::TooLong { .. })));
}

#[tokio::test(start_paused = true)]
async fn time_never_goes_back() {
    let sim = Sim::new(10);
    let world = sim.world();
    world.clock.sleep(Duration::from_secs(3_600)).await;
    let (journal, _) = open(&world, small());
    append_all(&journal, 0..1).await;
    journal.close().await.unwrap();
    // A world of the same disk whose clock is an hour behind.
    let earlier = World { clock: Sim::new(11).world().clock, ..sim.world() };
    assert_eq!(check(&earlier, Path::new(DIRECTORY)).unwrap().clock_behind, Some(Duration::from_secs(3_600)));
    let (journal, found) = open(&earlier, small());
    assert_eq!(found.clock_behind, Some(Duration::from_secs(3_600)));
    append_all(&journal, 1..2).await;
    let records = read_until(&journal, "all", 2).await;
    assert_eq!(records[0].time_ns, records[1].time_ns);
}
