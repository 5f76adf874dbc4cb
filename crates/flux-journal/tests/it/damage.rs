//! Flipped bits, foreign files, holes: seen, told, never served, never cut in silence; and repaired without losing the rest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use expect_test::{Expect, expect};
use flux_journal::{FormatError, Journal, Keys, OpenError, ReadError, Start, check, dump, repair};
use flux_world::World;
use flux_world::sim::Sim;

use crate::setup::{DIRECTORY, append_all, body, open, small, take_until};

fn segment(id: u64) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{id:016x}.journal"))
}

/// Damages the header of a segment so that nothing mends it.
fn break_header(sim: &Sim, id: u64) {
    assert!(
        sim.disk("local").corrupt(&segment(id), 44, 0x55) && sim.disk("local").corrupt(&segment(id), 20, 1)
    );
}

/// A journal of one segment with `records` records, closed in order.
async fn closed(seed: u64, records: u64) -> (Sim, World) {
    let sim = Sim::new(seed);
    let world = sim.world();
    let (journal, _) = open(&world, small());
    append_all(&journal, 0..records).await;
    journal.close().await.unwrap();
    (sim, world)
}

/// What the journal serves must be what was appended, in order; returns how many of `records` are missing.
async fn served(world: &World, records: u64) -> u64 {
    let Ok((journal, _)) = Journal::open(world, Path::new(DIRECTORY), small(), Keys::none()) else {
        return records;
    };
    // Holds what the other has settled.
    drop(journal.consumer("keep", Start::Oldest).unwrap());
    let mut consumer = journal.consumer("all", Start::Oldest).unwrap();
    let (mut seen, mut next) = (0, 0);
    let missing = loop {
        match world.clock.timeout(Duration::from_secs(1), consumer.next(100)).await {
            Err(_) => break records - seen,
            Ok(Ok(batch)) => {
                for record in batch.records {
                    assert!(record.sequence >= next && record.body == body(record.sequence));
                    (seen, next) = (seen + 1, record.sequence + 1);
                    consumer.settle(record.sequence);
                }
            }
            Ok(Err(ReadError::Format(FormatError::Damaged(damage)))) => {
                assert_eq!(consumer.skip_damage().await.unwrap(), damage.records);
            }
            Ok(Err(other)) => panic!("{other}"),
        }
    };
    drop(consumer);
    journal.forget("all");
    journal.close().await.unwrap();
    missing
}

#[tokio::test(start_paused = true)]
async fn a_flip_of_any_byte_is_seen_and_costs_one_record_at_most() {
    let (sim, world) = closed(1, 12).await;
    let length = world.disk.read(&segment(1), 1 << 20).unwrap().len() as u64;
    drop((sim, world));
    let mut torn = 0;
    for offset in 0..length {
        let (sim, world) = closed(1, 12).await;
        assert!(sim.disk("local").corrupt(&segment(1), offset, 1 << (offset % 8)));
        let report = check(&world, Path::new(DIRECTORY)).unwrap();
        if report.is_clean() {
            // The mark of the orderly end itself: without it the end looks torn, and no record is lost.
            torn += 1;
            assert!(report.torn.is_some() && report.records == 12, "offset {offset}: {report:?}");
        }
        let before = world.disk.read(&segment(1), 1 << 20).unwrap();
        let missing = served(&world, 12).await;
        let is_header = offset < 64;
        assert!(missing == if is_header { 12 } else { missing.min(1) }, "offset {offset}: {missing} missing");
        if missing > 0 {
            assert_eq!(
                world.disk.read(&segment(1), 1 << 20).unwrap(),
                before,
                "offset {offset}: no data is touched"
            );
            let plan = repair(&world, Path::new(DIRECTORY), true).unwrap();
            assert_eq!(world.disk.read(&segment(1), 1 << 20).unwrap(), before, "a dry run changes nothing");
            assert!(is_header || plan.moved.len() == 1, "offset {offset}: {plan:?}");
        }
    }
    assert_eq!(torn, 32, "the head of the last record");
}

#[tokio::test(start_paused = true)]
async fn a_repair_keeps_the_rest_and_what_was_damaged() {
    let (sim, world) = closed(2, 800).await;
    let disk = sim.disk("local");
    let damaged = world.disk.read(&segment(2), 1 << 20).unwrap();
    disk.corrupt(&segment(2), 10_000, 1);
    disk.corrupt(&segment(2), 30_000, 1);
    let broken = world.disk.read(&segment(2), 1 << 20).unwrap();
    let report = check(&world, Path::new(DIRECTORY)).unwrap();
    assert_eq!((report.problems.len(), report.records), (2, 798));
    let repaired = repair(&world, Path::new(DIRECTORY), false).unwrap();
    assert_eq!((repaired.moved.len(), repaired.moved[0].records, repaired.left.len()), (1, Some(2), 0));
    assert_eq!(world.disk.read(&repaired.moved[0].kept_as, 1 << 20).unwrap(), broken);
    assert_ne!(world.disk.read(&segment(2), 1 << 20).unwrap(), damaged);
    let report = check(&world, Path::new(DIRECTORY)).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.records, report.records_gone, report.next), (798, 2, 800));
    assert_eq!(served(&world, 800).await, 2);
    assert!(repair(&world, Path::new(DIRECTORY), false).unwrap().moved.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_out_when_a_gap_is_passed_comes_again_after_a_crash() {
    let (sim, world) = closed(10, 100).await;
    sim.disk("local").corrupt(&segment(1), 10_000, 1);
    let repaired = repair(&world, Path::new(DIRECTORY), false).unwrap();
    assert_eq!(repaired.moved[0].records, Some(1));
    let (journal, _) = open(&world, small());
    let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
    let (mut out, mut skipped) = (Vec::new(), 0);
    while out.last() != Some(&99) {
        let batch = consumer.next(10).await.unwrap();
        skipped += batch.skipped;
        out.extend(batch.records.iter().map(|record| record.sequence));
    }
    assert_eq!((skipped, out.len()), (1, 99));
    // All but the first, which is still worked on.
    out[1..].iter().for_each(|&sequence| consumer.settle(sequence));
    drop(consumer);
    journal.close().await.unwrap();
    let (journal, _) = open(&world, small());
    let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
    let again = take_until(&mut consumer, 1).await;
    assert_eq!(again.iter().map(|record| record.sequence).collect::<Vec<_>>(), [0]);
    consumer.settle(0);
    drop(consumer);
    // The gap is behind what was settled, and holds nothing up.
    journal.append(b"next").await.unwrap().wait().await.unwrap();
    let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
    let rest = take_until(&mut consumer, 101).await;
    assert_eq!((rest.len(), consumer.low()), (1, 100));
}

/// After the repair all is served, and what was damaged is kept and noted.
async fn check_mended(world: &World, records: u64, what: &str) {
    assert!(!check(world, Path::new(DIRECTORY)).unwrap().is_clean(), "{what}");
    let repaired = repair(world, Path::new(DIRECTORY), false).unwrap();
    assert_eq!((repaired.moved.len(), repaired.left.len()), (1, 0), "{what}: {repaired:?}");
    assert_eq!((repaired.moved[0].records, repaired.moved[0].is_mended), (Some(0), true), "{what}");
    let report = check(world, Path::new(DIRECTORY)).unwrap();
    assert!(report.is_clean(), "{what}: {report:?}");
    assert_eq!((report.records, report.records_gone, report.kept_aside), (records, 0, 1), "{what}");
    assert_eq!(served(world, records).await, 0, "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_flip_of_any_bit_of_a_header_is_mended_and_costs_nothing() {
    for bit in 0..8 * 64 {
        let (sim, world) = closed(1, 12).await;
        assert!(sim.disk("local").corrupt(&segment(1), bit / 8, 1 << (bit % 8)));
        check_mended(&world, 12, &format!("bit {bit}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_of_which_only_the_salt_and_the_key_are_whole_is_mended() {
    for id in 1_u64..=3 {
        let (sim, world) = closed(id + 40, 800).await;
        let of_the_key = 12..16;
        let of_the_salt = 40..56;
        for offset in (0..64).filter(|at| !of_the_key.contains(at) && !of_the_salt.contains(at)) {
            assert!(sim.disk("local").corrupt(&segment(id), offset, 0xa5));
        }
        check_mended(&world, 800, &format!("segment {id}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_segment_without_a_readable_header_becomes_a_gap() {
    let (sim, world) = closed(3, 800).await;
    break_header(&sim, 2);
    assert!(check(&world, Path::new(DIRECTORY)).unwrap().problems.len() == 1);
    let repaired = repair(&world, Path::new(DIRECTORY), false).unwrap();
    assert_eq!(repaired.moved.len(), 1);
    let report = check(&world, Path::new(DIRECTORY)).unwrap();
    assert!(report.is_clean() && report.records + report.records_gone == 800, "{report:?}");
    assert_eq!(Some(served(&world, 800).await), repaired.moved[0].records);
}

#[tokio::test(start_paused = true)]
async fn segments_in_a_row_without_a_readable_header_are_one_gap() {
    let damaged = [[1, 2], [2, 3], [3, 4]];
    for (seed, ids) in (20..).zip(damaged) {
        let (sim, world) = closed(seed, 1_200).await;
        ids.iter().for_each(|id| break_header(&sim, *id));
        let repaired = repair(&world, Path::new(DIRECTORY), false).unwrap();
        assert_eq!((repaired.moved.len(), repaired.left.len()), (2, 0), "{ids:?}: {repaired:?}");
        let report = check(&world, Path::new(DIRECTORY)).unwrap();
        assert!(report.is_clean(), "{ids:?}: {report:?}");
        let gone: u64 = repaired.moved.iter().filter_map(|moved| moved.records).sum();
        assert_eq!((report.records_gone, report.records > 300), (gone, true), "{ids:?}: {report:?}");
        let served = served(&world, 1_200).await;
        assert_eq!(served, 1_200 - report.records, "{ids:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_of_which_no_header_can_be_read_is_kept_aside_and_begins_anew() {
    let (sim, world) = closed(30, 12).await;
    break_header(&sim, 1);
    let broken = world.disk.read(&segment(1), 1 << 20).unwrap();
    let planned = repair(&world, Path::new(DIRECTORY), true).unwrap();
    assert_eq!(world.disk.read(&segment(1), 1 << 20).unwrap(), broken, "a dry run changes nothing");
    let repaired = repair(&world, Path::new(DIRECTORY), false).unwrap();
    assert_eq!((&planned.moved, repaired.left.len()), (&repaired.moved, 0));
    assert!(!repaired.moved[0].is_replaced);
    assert_eq!(world.disk.read(&repaired.moved[0].kept_as, 1 << 20).unwrap(), broken);
    let (journal, found) = open(&world, small());
    assert_eq!((found.segments, found.next), (0, 0));
    append_all(&journal, 0..12).await;
    journal.close().await.unwrap();
    assert_eq!(served(&world, 12).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_sealed_segment_cut_short_is_a_hole() {
    let (_sim, world) = closed(4, 800).await;
    let file = world.disk.open(&segment(1)).unwrap();
    let bytes = file.bytes().unwrap();
    file.set_bytes(bytes - 2_000).unwrap();
    let problems = check(&world, Path::new(DIRECTORY)).unwrap().problems;
    assert!(matches!(&problems[..], [FormatError::Damaged(damage)] if damage.records > 2), "{problems:?}");
    let missing = served(&world, 800).await;
    assert!(missing > 2 && missing < 40);
    let shown = dump(&world, Path::new(DIRECTORY), &Keys::none(), 5, 10_000).unwrap();
    assert_eq!((shown.records.len() as u64, shown.problems.len()), (795 - missing, 1));
    repair(&world, Path::new(DIRECTORY), false).unwrap();
    assert!(check(&world, Path::new(DIRECTORY)).unwrap().is_clean());
    assert_eq!(served(&world, 800).await, missing);
}

fn check_refused(world: &World, expected: Expect) {
    let before: Vec<_> = world.disk.list(Path::new(DIRECTORY)).unwrap();
    let refused = Journal::open(world, Path::new(DIRECTORY), small(), Keys::none()).unwrap_err();
    assert!(matches!(refused, OpenError::Format(_)));
    expected.assert_eq(&refused.to_string());
    assert_eq!(world.disk.list(Path::new(DIRECTORY)).unwrap(), before, "no data is touched");
    let problems = check(world, Path::new(DIRECTORY)).unwrap().problems;
    assert_eq!(problems[0].to_string(), refused.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_a_foreign_file_and_a_hole_are_named() {
    let (_sim, world) = closed(5, 10).await;
    let mut newer = world.disk.read(&segment(1), 1 << 20).unwrap().to_vec();
    newer[8] = 2;
    let crc = crc32c::crc32c(&newer[..60]);
    newer[60..64].copy_from_slice(&crc.to_le_bytes());
    world.disk.write_atomic(&segment(1), &newer).unwrap();
    check_refused(
        &world,
        expect![
            "/var/lib/flux/wire/0000000000000001.journal has format version 2 (offset 8) and this program reads version 1: use the newer program, or move the journal away"
        ],
    );

    let (_sim, world) = closed(6, 10).await;
    world.disk.write_atomic(&segment(1), b"hello").unwrap();
    check_refused(
        &world,
        expect![
            "/var/lib/flux/wire/0000000000000001.journal is not a segment of a journal: it does not begin with FLUXJRNL (offset 0)"
        ],
    );

    let (_sim, world) = closed(7, 800).await;
    world.disk.remove(&segment(2)).unwrap();
    check_refused(
        &world,
        expect![[
            r#"/var/lib/flux/wire/0000000000000003.journal begins at record 674 of segment 0000000000000003 (offset 24), and does not follow the segment before it: a file is missing"#
        ]],
    );

    let (_sim, world) = closed(8, 10).await;
    world.disk.rename(&segment(1), &segment(9)).unwrap();
    check_refused(
        &world,
        expect![
            "/var/lib/flux/wire/0000000000000009.journal holds segment 0000000000000001 (offset 16): it was renamed"
        ],
    );

    let world = Sim::new(9).world();
    let nothing = check(&world, Path::new(DIRECTORY)).unwrap_err();
    assert!(nothing.to_string().ends_with("entity not found"), "{nothing}");
}
