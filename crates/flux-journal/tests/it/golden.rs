//! The format, pinned: journals and rolls that were committed read the same for as long as version 1 is read.

use std::path::{Path, PathBuf};

use flux_journal::{Config, Journal, Key, Keys, Start, check, dump};
use flux_world::sim::Sim;
use flux_world::{Disk, World};

use crate::setup::{DIRECTORY, small};

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn keys() -> Keys {
    Keys::new(vec![Key { id: 7, secret: *b"a key of 32 bytes for the golden" }])
}

/// Writes the journal whose bytes are pinned, in a world that is always the same.
async fn write(world: &World, config: Config, keys: Keys) {
    let (journal, _) = Journal::open(world, Path::new(DIRECTORY), config, keys).unwrap();
    let consumer = journal.consumer("wire", Start::Oldest).unwrap();
    journal.append(b"one").await.unwrap().wait().await.unwrap();
    consumer.settle(0);
    let batch: [&[u8]; 3] = [b"two", b"", b"twenty-four bytes long ."];
    journal.append_batch(&batch).await.unwrap().wait().await.unwrap();
    consumer.settle(2);
    drop(consumer);
    journal.close().await.unwrap();
}

async fn check_golden(name: &str, keys: Keys) {
    let world = Sim::new(2_026).world();
    write(&world, small(), keys.clone()).await;
    let written = world.disk.read(&Path::new(DIRECTORY).join("0000000000000001.journal"), 1 << 20).unwrap();
    let path = committed(name).join("0000000000000001.journal");
    let real = world_of_files();
    assert!(
        real.disk.read(&path, 1 << 20).unwrap() == written,
        "{name}: the format changed; that needs a new version"
    );

    let roll = world.disk.read(&Path::new(DIRECTORY).join("ROLL"), 1 << 20).unwrap();
    check_read(&written, Some(&roll), &keys);
}

/// What it holds is read.
fn check_read(written: &[u8], roll: Option<&[u8]>, keys: &Keys) {
    let real = world_of_files();
    let directory = tempfile::tempdir().unwrap();
    if let Some(roll) = roll {
        real.disk.write_atomic(&directory.path().join("ROLL"), roll).unwrap();
    }
    real.disk.write_atomic(&directory.path().join("0000000000000001.journal"), written).unwrap();
    let report = check(&real, directory.path()).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.records, report.consumers), (4, vec![("wire".to_owned(), 1)]));
    let records = dump(&real, directory.path(), keys, 0, 10).unwrap().records;
    let bodies: Vec<&[u8]> = records.iter().map(|record| &record.body[..]).collect();
    assert_eq!(bodies, [&b"one"[..], b"two", b"", b"twenty-four bytes long ."]);
}

#[tokio::test(start_paused = true)]
async fn roll() {
    let world = Sim::new(2_026).world();
    write(&world, small(), Keys::none()).await;
    // Opened again, so that both entries are there.
    drop(Journal::open(&world, Path::new(DIRECTORY), small(), Keys::none()).unwrap());
    let written = world.disk.read(&Path::new(DIRECTORY).join("ROLL"), 1 << 20).unwrap();
    let pinned = world_of_files().disk.read(&committed("roll-v1").join("ROLL"), 1 << 20).unwrap();
    assert!(pinned == written, "the format of the roll changed; that needs a new version");
}

fn world_of_files() -> World {
    World { disk: Disk::real(), ..Sim::new(1).world() }
}

#[tokio::test(start_paused = true)]
async fn plain() {
    check_golden("plain-rolled-v1", Keys::none()).await;
}

#[test]
fn plain_before_there_was_a_roll() {
    let path = committed("plain-v1").join("0000000000000001.journal");
    check_read(&world_of_files().disk.read(&path, 1 << 20).unwrap(), None, &Keys::none());
}

#[tokio::test(start_paused = true)]
async fn sealed() {
    check_golden("sealed-rolled-v1", keys()).await;
}

#[tokio::test(start_paused = true)]
async fn sealed_before_a_segment_said_anything_of_its_key() {
    let path = committed("sealed-v1").join("0000000000000001.journal");
    let written = world_of_files().disk.read(&path, 1 << 20).unwrap();
    check_read(&written, None, &keys());
    let world = Sim::new(1).world();
    world.disk.make_dir(Path::new(DIRECTORY)).unwrap();
    world.disk.write_atomic(&Path::new(DIRECTORY).join("0000000000000001.journal"), &written).unwrap();
    crate::sealed::check_refused(&world, Keys::new(vec![Key { id: 7, secret: [9; 32] }]));
    let (journal, found) = Journal::open(&world, Path::new(DIRECTORY), small(), keys()).unwrap();
    assert_eq!((found.records, found.next), (4, 4));
    journal.close().await.unwrap();
}
