//! A segment file that is gone, at the begin or the end or with all others: missed at the opening and by a check.

use std::path::{Path, PathBuf};
use std::time::Duration;

use expect_test::{Expect, expect};
use flux_journal::{Ack, Config, Journal, Keys, ReadError, Start, check, repair};
use flux_world::sim::{Sim, SimDisk};
use flux_world::{Disk, World};

use crate::setup::{DIRECTORY, append_all, body, open, small, take_until};

const RECORDS: u64 = 1_200;

fn file(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

fn segment(id: u64) -> PathBuf {
    file(&format!("{id:016x}.journal"))
}

/// A journal of four segments, whose records nobody has settled.
async fn unsettled(seed: u64) -> (Sim, World) {
    let sim = Sim::new(seed);
    let world = sim.world();
    let (journal, _) = open(&world, small());
    drop(journal.consumer("wire", Start::Oldest).unwrap());
    append_all(&journal, 0..RECORDS).await;
    assert_eq!(journal.stats().segments, 4);
    journal.close().await.unwrap();
    (sim, world)
}

/// It is not opened, a check says the same, nothing is touched; a repair goes on with what there is.
async fn check_missed(world: &World, expected: Expect) {
    let before = world.disk.list(Path::new(DIRECTORY)).unwrap();
    let refused = Journal::open(world, Path::new(DIRECTORY), small(), Keys::none()).unwrap_err();
    expected.assert_eq(&refused.to_string());
    let report = check(world, Path::new(DIRECTORY)).unwrap();
    assert_eq!(report.problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [refused.to_string()]);
    let planned = repair(world, Path::new(DIRECTORY), true).unwrap();
    assert_eq!((planned.given_up.len(), planned.moved.len(), planned.left.len()), (1, 0, 0), "{planned:?}");
    assert_eq!(world.disk.list(Path::new(DIRECTORY)).unwrap(), before, "no data is touched");
    let repaired = repair(world, Path::new(DIRECTORY), false).unwrap();
    assert_eq!((repaired.given_up.len(), repaired.left.len()), (1, 0), "{repaired:?}");
    let (journal, found) = open(world, small());
    let first = journal.append(&body(found.next)).await.unwrap();
    first.wait().await.unwrap();
    let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
    for record in take_until(&mut consumer, found.next + 1).await {
        assert_eq!(record.body, body(record.sequence));
    }
    drop(consumer);
    journal.close().await.unwrap();
    assert!(check(world, Path::new(DIRECTORY)).unwrap().is_clean());
}

#[tokio::test(start_paused = true)]
async fn the_first() {
    let (_sim, world) = unsettled(1).await;
    world.disk.remove(&segment(1)).unwrap();
    check_missed(&world, expect!["/var/lib/flux/wire/0000000000000001.journal is missing, as the file ROLL beside it tells: restore what is missing, or let `repair` go on without it"]).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_two() {
    let (_sim, world) = unsettled(2).await;
    world.disk.remove(&segment(4)).unwrap();
    world.disk.remove(&segment(3)).unwrap();
    check_missed(&world, expect!["/var/lib/flux/wire/0000000000000003.journal is missing, and so is the segment after it, as the file ROLL beside it tells: restore what is missing, or let `repair` go on without it"]).await;
}

#[tokio::test(start_paused = true)]
async fn all_of_them() {
    let (_sim, world) = unsettled(3).await;
    (1..=4).for_each(|id| world.disk.remove(&segment(id)).unwrap());
    check_missed(&world, expect!["/var/lib/flux/wire/0000000000000001.journal is missing, and so are the 3 segments after it, as the file ROLL beside it tells: restore what is missing, or let `repair` go on without it"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_roll_of_which_nothing_can_be_read() {
    let (sim, world) = unsettled(4).await;
    let damage = |disk: &SimDisk, offset| assert!(disk.corrupt(&file("ROLL"), offset, 1));
    damage(&sim.disk("local"), 30);
    assert!(check(&world, Path::new(DIRECTORY)).unwrap().is_clean(), "the other entry stands");
    damage(&sim.disk("local"), 4_096 + 30);
    check_missed(&world, expect!["/var/lib/flux/wire/ROLL is damaged (offset 0), so that a missing segment would not be missed: restore the file, or let `repair` make it anew"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_trimmed_is_not_missed() {
    let (_sim, world) = unsettled(5).await;
    let (journal, _) = open(&world, small());
    let consumer = journal.consumer("wire", Start::Oldest).unwrap();
    consumer.settle_until(RECORDS);
    append_all(&journal, RECORDS..RECORDS + 400).await;
    assert!(journal.stats().first > 0);
    drop(consumer);
    journal.close().await.unwrap();
    assert!(check(&world, Path::new(DIRECTORY)).unwrap().is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_roll_that_is_gone() {
    for (seed, segments) in
        [(9, vec![]), (10, vec![1]), (11, vec![4]), (12, vec![1, 2, 3]), (13, vec![2, 3, 4])]
    {
        let (_sim, world) = unsettled(seed).await;
        segments.iter().for_each(|id| world.disk.remove(&segment(*id)).unwrap());
        world.disk.remove(&file("ROLL")).unwrap();
        check_missed(&world, expect!["/var/lib/flux/wire/ROLL is missing, so that a missing segment would not be missed: restore the file, or let `repair` make it anew"]).await;
    }
    // Only segments that nothing is in yet may be on none: crashes leave them so.
    let world = Sim::new(14).world();
    for _ in 0..3 {
        open(&world, small()).0.close().await.unwrap();
        world.disk.remove(&file("ROLL")).unwrap();
        assert!(check(&world, Path::new(DIRECTORY)).unwrap().is_clean());
    }
}

#[test]
fn what_has_the_name_of_a_segment_and_is_no_file_is_refused() {
    let real = World { disk: Disk::real(), ..Sim::new(6).world() };
    let make: [fn(&Path); 3] = [
        |path| std::os::unix::fs::symlink("elsewhere", path).unwrap(),
        |path| std::fs::create_dir(path).unwrap(),
        |path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()),
    ];
    for make in make {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(format!("{:016x}.journal", 1));
        make(&path);
        let refused = Journal::open(&real, directory.path(), small(), Keys::none()).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!(
                "{} is no file as such, but a link, a pipe or a directory, and is not followed: put the file itself there",
                path.display()
            )
        );
        let report = check(&real, directory.path()).unwrap();
        assert_eq!(report.problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [&*refused]);
        let repaired = repair(&real, directory.path(), false).unwrap();
        assert_eq!(repaired.left.iter().map(ToString::to_string).collect::<Vec<_>>(), [&*refused]);
        assert!(repaired.moved.is_empty() && std::fs::symlink_metadata(&path).is_ok());
        std::os::unix::fs::symlink("elsewhere", directory.path().join("ROLL")).unwrap();
        let told = check(&real, directory.path()).unwrap().problems;
        assert_eq!(told.len(), 2, "the roll too: {told:?}");
    }
}

/// Whatever goes on, nothing more is acknowledged once the files are gone.
async fn check_noticed(world: &World, config: Config, go: impl FnOnce()) {
    let (journal, _) = open(world, config);
    append_all(&journal, 0..10).await;
    go();
    let told = loop {
        let receipt = match journal.append(&body(0)).await {
            Ok(receipt) => receipt,
            Err(why) => break why,
        };
        world.clock.sleep(Duration::from_millis(300)).await;
        if let Err(why) = receipt.wait().await {
            break why;
        }
        assert_eq!(receipt.level(), Ack::Os, "not on disk");
    };
    let told = told.to_string();
    assert!(
        told.contains(&format!("{} is gone: it was removed or moved away", segment(1).display())),
        "{told}"
    );
}

#[tokio::test(start_paused = true)]
async fn files_that_go_while_it_is_open_are_noticed() {
    let gone: [fn(&World); 3] = [
        |world| world.disk.remove(&segment(1)).unwrap(),
        |world| world.disk.rename(&segment(1), &file("elsewhere")).unwrap(),
        |world| world.disk.write_atomic(&segment(1), b"another").unwrap(),
    ];
    for go in gone {
        for ack in [Ack::Disk, Ack::Os] {
            let sim = Sim::new(7);
            let world = sim.world();
            check_noticed(&world, Config { ack, ..small() }, || go(&world)).await;
        }
        let world = Sim::new(8).world();
        let (journal, _) = open(&world, small());
        go(&world);
        let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
        let idle = world.clock.timeout(Duration::from_secs(6), consumer.next(1)).await.unwrap();
        assert!(matches!(idle, Err(ReadError::Closed)), "{idle:?}");
    }
}

#[tokio::test]
async fn a_directory_that_is_moved_away_while_it_is_open_is_noticed() {
    let world = World { disk: Disk::real(), ..World::real() };
    let directory = tempfile::tempdir().unwrap();
    for (at, goes) in ["wires/x", "wires", "."].into_iter().enumerate() {
        let state = directory.path().join(at.to_string());
        let (journal, _) = Journal::open(&world, &state.join("wires/x"), small(), Keys::none()).unwrap();
        journal.append(b"one").await.unwrap().wait().await.unwrap();
        std::fs::rename(
            state.join(goes).components().collect::<PathBuf>(),
            directory.path().join("elsewhere"),
        )
        .unwrap();
        let why = journal.append(b"two").await.unwrap().wait().await.unwrap_err().to_string();
        assert!(why.contains("is gone: it was removed or moved away"), "{goes}: {why}");
        std::fs::remove_dir_all(directory.path().join("elsewhere")).unwrap();
    }
}
