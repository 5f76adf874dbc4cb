//! Any bytes as what comes over the bus: refused with its place, or read and written the same.

use flux_mesh::{Pack, Report};

/// Replays the committed corpus; under `cargo bolero test fuzz_pack::corpus` it is a fuzz target.
#[test]
fn corpus() {
    bolero::check!().with_iterations(0).for_each(|input: &[u8]| hold_the_laws(input));
}

#[test]
fn the_corpus_is_there() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/__fuzz__/fuzz_pack__corpus/corpus");
    assert!(std::fs::read_dir(corpus).unwrap().count() >= 10);
}

fn hold_the_laws(input: &[u8]) {
    let bytes = bytes::Bytes::copy_from_slice(input);
    match Pack::decode(&bytes) {
        Ok(pack) => {
            assert!(pack.end() > pack.first);
            assert_eq!(pack.encode(), bytes);
        }
        Err(why) => assert!(why.at <= bytes.len()),
    }
    match Report::decode(&bytes) {
        Ok(report) => assert_eq!(report.encode(), bytes),
        Err(why) => assert!(why.at <= bytes.len()),
    }
}
