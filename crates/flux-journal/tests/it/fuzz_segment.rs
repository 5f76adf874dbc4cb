//! Any bytes as the segments of a journal: looked through, dumped, repaired and opened without a panic, and without serving
//! anything whose checks do not hold.

use std::path::Path;
use std::time::Duration;

use flux_journal::{FormatError, Journal, Keys, OpenError, Start, check, dump, repair};
use flux_world::sim::Sim;

use crate::setup::{DIRECTORY, small};

/// Replays the committed corpus; under `cargo bolero test fuzz_segment::corpus` it is a fuzz target.
#[test]
fn corpus() {
    bolero::check!().with_iterations(0).for_each(|input: &[u8]| hold_the_laws(input));
}

#[test]
fn the_corpus_is_there() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/__fuzz__/fuzz_segment__corpus/corpus");
    assert!(std::fs::read_dir(corpus).unwrap().count() >= 10);
}

fn hold_the_laws(input: &[u8]) {
    Sim::run(1, async |sim| {
        let world = sim.world();
        let directory = Path::new(DIRECTORY);
        world.disk.make_dir(directory).unwrap();
        // The first byte says where the file is cut in two.
        let (at, rest) = input.split_first().map_or((0, input), |(at, rest)| (usize::from(*at) * 8, rest));
        let (first, second) = rest.split_at(rest.len().min(if at == 0 { rest.len() } else { at }));
        world.disk.write_atomic(&directory.join("0000000000000001.journal"), first).unwrap();
        if !second.is_empty() {
            world.disk.write_atomic(&directory.join("0000000000000002.journal"), second).unwrap();
        }
        let report = check(&world, directory).unwrap();
        let shown = dump(&world, directory, &Keys::none(), 0, 1_000).unwrap();
        let is_opened = Journal::open(&world, directory, small(), Keys::none());
        if report.is_clean() {
            // A check needs no key; to open does.
            let is_key = |problem: &FormatError| matches!(problem, FormatError::Key { .. });
            assert!(shown.problems.iter().all(is_key), "{:?}", shown.problems);
            assert!(
                is_opened.is_ok() || matches!(&is_opened, Err(OpenError::Format(problem)) if is_key(problem))
            );
        }
        if let Ok((journal, _)) = is_opened {
            let mut consumer = journal.consumer("fuzz", Start::Oldest).unwrap();
            let _ = world.clock.timeout(Duration::from_secs(1), consumer.next(100)).await;
            drop(consumer);
            let _ = journal.close().await;
        }
        let repaired = repair(&world, directory, false).unwrap();
        if repaired.moved.iter().any(|moved| !moved.is_replaced) {
            let (_, found) = Journal::open(&world, directory, small(), Keys::none()).unwrap();
            assert_eq!((found.segments, found.next), (0, 0), "it begins anew");
        } else if repaired.left.is_empty() {
            let report = check(&world, directory).unwrap();
            assert!(
                report.problems.iter().all(|problem| problem.to_string().contains("older than")),
                "{:?}",
                report.problems
            );
        }
    });
}
