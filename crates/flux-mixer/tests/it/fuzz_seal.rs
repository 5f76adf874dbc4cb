//! Each replays its committed corpus; under `cargo bolero test` it is a fuzz target.

use flux_bus::Name;
use flux_mixer::Csr;
use flux_mixer::seal::{Unlock, open, seal};

#[test]
fn any_bytes_for_a_seal() {
    let unlock = Unlock::Key([7; 32]);
    bolero::check!().with_iterations(0).for_each(|bytes: &[u8]| {
        if let Ok(content) = open(&unlock, bytes) {
            assert_eq!(open(&unlock, &seal(&unlock, &content).unwrap()).unwrap(), content);
        }
    });
}

#[test]
fn any_text_for_a_request_for_a_certificate() {
    let rack = Name::new("north").unwrap();
    bolero::check!().with_iterations(0).for_each(|bytes: &[u8]| {
        let _ = Csr::read(&String::from_utf8_lossy(bytes), &rack);
    });
}

#[test]
fn the_corpora_are_there() {
    for target in ["any_bytes_for_a_seal", "any_text_for_a_request_for_a_certificate"] {
        let corpus = format!("{}/tests/it/__fuzz__/fuzz_seal__{target}/corpus", env!("CARGO_MANIFEST_DIR"));
        assert!(std::fs::read_dir(corpus).unwrap().count() >= 12, "{target}");
    }
}
