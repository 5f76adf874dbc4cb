//! Whatever lies where an edition or a passport should lie: it is read or refused, and never more than that.

use flux_scenario::{edition::Edition, passport::Passport, signed::Signed};

/// Each replays its committed corpus; under `cargo bolero test` it is a fuzz target.
#[test]
fn any_bytes_for_an_edition() {
    let passport = Passport::from_seed([7; 32]);
    bolero::check!().with_iterations(0).for_each(|bytes: &[u8]| {
        if let Ok(edition) = Edition::verify(bytes, &passport.public_key()) {
            assert_eq!(
                edition.sign(&passport).as_bytes(),
                bytes,
                "only what we wrote ourselves is an edition"
            );
        }
    });
}

/// Behind a signature that holds may be anything once the key has leaked.
#[test]
fn any_signed_line_for_an_edition() {
    let passport = Passport::from_seed([7; 32]);
    bolero::check!().with_iterations(0).for_each(|bytes: &[u8]| {
        let line = String::from_utf8_lossy(bytes).replace('\n', " ");
        let signed = format!("fluxrig edition 1\n{line}\nkey {}\n", passport.public_key());
        let text = format!("{signed}signature {}\n", passport.sign(signed.as_bytes()));
        if let Ok(edition) = Edition::verify(text.as_bytes(), &passport.public_key()) {
            assert!(edition.kept(&edition.scenario).is_some());
        }
    });
}

#[test]
fn any_bytes_for_a_passport() {
    bolero::check!().with_iterations(0).for_each(|bytes: &[u8]| {
        if let Ok(passport) = Passport::parse(&String::from_utf8_lossy(bytes)) {
            assert!(Passport::parse(&passport.to_text()).is_ok());
        }
    });
}

#[test]
fn the_corpora_are_there() {
    for target in ["any_bytes_for_an_edition", "any_signed_line_for_an_edition", "any_bytes_for_a_passport"] {
        let corpus =
            format!("{}/tests/it/__fuzz__/fuzz_edition__{target}/corpus", env!("CARGO_MANIFEST_DIR"));
        assert!(std::fs::read_dir(corpus).unwrap().count() >= 12, "{target}");
    }
}
