//! Records sealed at rest: nothing plain on disk, keys change with a reopening, and a changed byte does not open.

use std::path::Path;

use flux_journal::{FormatError, Journal, Key, Keys, OpenError, Start, check, dump};
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
    let shown = dump(&world, Path::new(DIRECTORY), &wrong, 0, 100).unwrap();
    assert_eq!((shown.records.len(), shown.problems.len()), (0, 10));
    assert!(shown.problems[0].to_string().contains("the seal of a record does not open"));
}

#[test]
fn a_key_is_never_shown() {
    assert_eq!(format!("{:?}", Keys::new(vec![key(1)])), "Keys([Key { id: 1 }])");
}
