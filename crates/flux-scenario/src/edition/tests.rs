//! What an edition says comes back as it was; anything else is told apart, and precisely.

use proptest::prelude::*;

use super::*;
use crate::passport::Passport;

fn passport() -> Passport {
    Passport::from_seed([7; 32])
}

fn edition() -> Edition {
    let file = |name: &str, byte, is_kept| EditionFile {
        name: name.into(),
        content: ContentHash([byte; 32]),
        is_kept,
    };
    Edition {
        number: 7,
        saved_unix_ms: 1_795_242_117_000,
        program: "0.1.0".into(),
        directory: "/srv/switch".into(),
        scenario: "switch.yaml".into(),
        settings: Some("fluxrig.toml".into()),
        rack: None,
        files: vec![
            file("switch.yaml", 1, true),
            file("fluxrig.toml", 2, true),
            file("/etc/key.pem", 3, false),
        ],
    }
}

/// What is written today is what was written when the format was fixed.
#[test]
fn the_format_is_pinned() {
    let golden = include_str!("../../tests/it/golden/edition-1.flux");
    assert_eq!(edition().sign(&passport()), golden);
    assert_eq!(Edition::verify(golden.as_bytes(), &passport().public_key()), Ok(edition()));
}

fn check(text: impl AsRef<[u8]>, want: &str) {
    let why = Edition::verify(text.as_ref(), &passport().public_key()).unwrap_err();
    assert_eq!(why.to_string(), want);
}

#[test]
fn what_is_not_to_be_run_is_told_apart() {
    let good = edition().sign(&passport());
    check("", "it is no edition: it does not begin with `fluxrig edition`");
    check(b"\x7fELF", "it is no edition: it does not begin with `fluxrig edition`");
    check(good.replace("edition 1\n", "edition 2\n"), "it has format 2, and this version reads 1 at most");
    check(good.replace("edition 1\n", "edition 0\n"), "it is damaged: there is no such version");
    check("fluxrig edition one", "it is damaged: its version is no number");
    check(&good[..good.len() - 1], "it is damaged: line 4 is not `signature` and 128 digits");
    check(&good[..good.len() / 2], "it is damaged: it has not four lines");
    check(format!("{good}\n"), "it is damaged: it has not four lines");
    check(good.replace("key ", "kay "), "it is damaged: line 3 is not `key` and 64 digits");
    check([good.as_bytes(), b"\xff"].concat(), "it is damaged: it is no text");
    check(
        good.replace("switch.yaml", "stitch.yaml"),
        "its signature does not match: it was changed after it was signed",
    );
    let other = Passport::from_seed([8; 32]);
    let [by, ours] = [&other, &passport()].map(|passport| passport.public_key().fingerprint());
    check(
        edition().sign(&other),
        &format!("it is signed by another key: by {by}, and the passport here is {ours}"),
    );
}

#[test]
fn what_is_signed_and_makes_no_sense_is_refused_too() {
    let twice = Edition { files: [edition().files, edition().files].concat(), ..edition() };
    check(twice.sign(&passport()), "it is damaged: `switch.yaml` is listed twice");
    let without = Edition { settings: Some("/etc/key.pem".into()), ..edition() };
    check(without.sign(&passport()), "it is damaged: `/etc/key.pem` is not among its files");
}

prop_compose! {
    fn any_edition()(
        number: u64, saved_unix_ms: u64, program: String, directory: String, names in prop::collection::btree_set(".*", 2..6),
        hashes in prop::collection::vec(any::<[u8; 32]>(), 6), rack: Option<String>, has_settings: bool,
    ) -> Edition {
        let files: Vec<_> = names
            .iter()
            .zip(hashes)
            .enumerate()
            .map(|(at, (name, hash))| EditionFile { name: name.clone(), content: ContentHash(hash), is_kept: at < 2 })
            .collect();
        let settings = has_settings.then(|| files[1].name.clone());
        Edition { number, saved_unix_ms, program, directory, scenario: files[0].name.clone(), settings, rack, files }
    }
}

proptest! {
    #[test]
    fn every_edition_comes_back(edition in any_edition()) {
        let text = edition.sign(&passport());
        prop_assert_eq!(Edition::verify(text.as_bytes(), &passport().public_key()), Ok(edition));
    }

    /// One changed byte, wherever it is, is noticed.
    #[test]
    fn no_change_goes_unnoticed(edition in any_edition(), at: prop::sample::Index, to: u8) {
        let mut text = edition.sign(&passport()).into_bytes();
        let at = at.index(text.len());
        prop_assume!(text[at] != to);
        text[at] = to;
        prop_assert!(Edition::verify(&text, &passport().public_key()).is_err());
    }
}
