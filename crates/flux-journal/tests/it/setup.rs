//! What the tests share: small journals on a disk that can be crashed.

use std::path::Path;

use flux_journal::{Config, Consumer, Journal, Keys, Record, Recovery, Start};
use flux_world::World;

pub(crate) const DIRECTORY: &str = "/var/lib/flux/wire";

/// Segments of the smallest size, so that a test sees many.
pub(crate) fn small() -> Config {
    Config {
        segment_bytes: 64 * 1024,
        bytes_max: 1 << 20,
        gather_bytes_max: 16 * 1024,
        recent_bytes_max: 8 * 1024,
        ..Config::default()
    }
}

pub(crate) fn open(world: &World, config: Config) -> (Journal, Recovery) {
    Journal::open(world, Path::new(DIRECTORY), config, Keys::none()).unwrap()
}

/// The body of the record `n`: its number, and a length of its own.
pub(crate) fn body(n: u64) -> Vec<u8> {
    let mut body = n.to_le_bytes().to_vec();
    body.resize(8 + (n * 37 % 301) as usize, n as u8);
    body
}

pub(crate) async fn append_all(journal: &Journal, numbers: std::ops::Range<u64>) {
    let mut last = None;
    for n in numbers {
        last = Some(journal.append(&body(n)).await.unwrap());
    }
    if let Some(receipt) = last {
        receipt.wait().await.unwrap();
    }
}

/// All that a consumer of this name is given up to the sequence `until`.
pub(crate) async fn read_until(journal: &Journal, name: &str, until: u64) -> Vec<Record> {
    let mut consumer = journal.consumer(name, Start::Oldest).unwrap();
    take_until(&mut consumer, until).await
}

pub(crate) async fn take_until(consumer: &mut Consumer, until: u64) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    while records.last().is_none_or(|last| last.sequence + 1 < until) {
        records.extend(consumer.next(100).await.unwrap().records);
    }
    records
}
