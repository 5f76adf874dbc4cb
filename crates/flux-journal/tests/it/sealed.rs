//! Records sealed at rest: nothing plain on disk, keys change with a reopening, and a changed byte does not open.

use std::path::Path;

use flux_journal::{FormatError, Journal, Key, Keys, OpenError, Start, check, dump, repair, sealed_segment};
use flux_world::World;
use flux_world::sim::Sim;

use crate::setup::{DIRECTORY, small, take_until};

const SECRET: &[u8] = b"4111 1111 1111 1111";

fn key(id: u32) -> Key {
    Key { id, secret: [id as u8; 32] }
}

async fn write(world: &World, keys: Keys, records: usize) {
    let (journal, _) = Journal::open(world, Path::new(DIRECTORY), small(), keys).unwrap();
    drop(journal.consumer("keep", Start::Oldest).unwrap());
    let mut consumer = journal.consumer("wire", Start::Latest).unwrap();
    journal.append_batch(&vec![SECRET; records]).await.unwrap().wait().await.unwrap();
    for record in consumer.next(records).await.unwrap().records {
        assert_eq!(record.body, SECRET, "from memory it is plain");
        consumer.settle(record.sequence);
    }
    drop(consumer);
    journal.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn bodies_are_sealed_and_older_keys_still_read() {
    let world = Sim::new(1).world();
    write(&world, Keys::none(), 10).await;
    write(&world, Keys::new(vec![key(1)]), 10).await;
    write(&world, Keys::new(vec![key(2), key(1)]), 10).await;
    for (id, is_plain) in [(1, true), (2, false), (3, false)] {
        let bytes =
            world.disk.read(&Path::new(DIRECTORY).join(format!("{id:016x}.journal")), 1 << 20).unwrap();
        assert_eq!(bytes.windows(SECRET.len()).any(|window| window == SECRET), is_plain);
    }
    let report = check(&world, Path::new(DIRECTORY)).unwrap();
    assert!(report.is_clean() && report.records == 30, "without a key: {report:?}");

    let missing = Journal::open(&world, Path::new(DIRECTORY), small(), Keys::new(vec![key(2)])).unwrap_err();
    assert!(matches!(missing, OpenError::Format(FormatError::Key { key_id: 1, .. })), "{missing}");
    let keys = Keys::new(vec![key(2), key(1)]);
    let (journal, _) = Journal::open(&world, Path::new(DIRECTORY), small(), keys).unwrap();
    let mut all = journal.consumer("all", Start::Oldest).unwrap();
    assert!(take_until(&mut all, 30).await.iter().all(|record| record.body == SECRET));
}

#[tokio::test(start_paused = true)]
async fn another_key_of_the_same_id_opens_nothing() {
    let world = Sim::new(2).world();
    write(&world, Keys::new(vec![key(1)]), 10).await;
    let wrong = Keys::new(vec![Key { id: 1, secret: [9; 32] }]);
    check_refused(&world, wrong);
}

/// Said of the key and not of the data, which are as they were after the opening and a repair.
pub(crate) fn check_refused(world: &World, wrong: Keys) {
    let directory = Path::new(DIRECTORY);
    let told = |problem: &FormatError| {
        assert!(matches!(problem, FormatError::OtherKey { .. }), "{problem}");
        let told = problem.to_string();
        assert!(told.contains("is not the key this was sealed with, but another of the same id"), "{told}");
    };
    let files = || -> Vec<_> {
        let listed = world.disk.list(directory).unwrap().into_iter();
        let segments = listed.filter(|entry| entry.name.ends_with(".journal"));
        segments.map(|entry| world.disk.read(&directory.join(entry.name), 1 << 20).unwrap()).collect()
    };
    let before = files();
    let shown = dump(world, directory, &wrong, 0, 100).unwrap();
    assert_eq!((shown.records.len(), shown.problems.len()), (0, 1));
    told(&shown.problems[0]);
    let OpenError::Format(refused) = Journal::open(world, directory, small(), wrong).unwrap_err() else {
        panic!("of the key")
    };
    told(&refused);
    let repaired = repair(world, directory, false).unwrap();
    assert!(repaired.moved.is_empty() && repaired.left.is_empty(), "{repaired:?}");
    assert!(files() == before, "nothing is touched");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_lost_is_named() {
    let world = Sim::new(3).world();
    assert_eq!(sealed_segment(&world.disk, Path::new(DIRECTORY)), None);
    write(&world, Keys::none(), 1).await;
    assert_eq!(sealed_segment(&world.disk, Path::new(DIRECTORY)), None);
    write(&world, Keys::new(vec![key(7)]), 1).await;
    let (file, key_id) = sealed_segment(&world.disk, Path::new(DIRECTORY)).unwrap();
    assert_eq!((file.file_name().unwrap().to_str().unwrap(), key_id), ("0000000000000002.journal", 7));
}

#[test]
fn a_key_is_never_shown() {
    assert_eq!(format!("{:?}", Keys::new(vec![key(1)])), "Keys([Key { id: 1 }])");
}
