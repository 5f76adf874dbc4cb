//! `fluxrig journal`: what is said of a clean journal, a damaged one and none, and the exit codes scripts rely on.

use std::{fs, path::Path};

use expect_test::expect;
use serde_json::Value as Json;

use crate::{alone::Ground, process::ended};

const GOLDEN: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../flux-journal/tests/golden/plain-v1/0000000000000001.journal");

const GOLDEN_ROLL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../flux-journal/tests/golden/roll-v1/ROLL");

/// A copy of a journal of four records, with one bit of the byte at `flipped` changed.
fn journal(directory: &Path, flipped: Option<usize>) -> String {
    let mut bytes = fs::read(GOLDEN).unwrap();
    if let Some(at) = flipped {
        bytes[at] ^= 1;
    }
    fs::write(directory.join("0000000000000001.journal"), bytes).unwrap();
    directory.to_str().unwrap().to_owned()
}

#[test]
fn a_clean_journal_is_checked_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let dir = journal(directory.path(), None);
    let checked = ended(&["journal", "check", &dir], "");
    assert_eq!(checked.code, Some(0), "{}", checked.stdout);
    assert!(checked.stdout.starts_with("4 records (0 to 3) in 1 segments"), "{}", checked.stdout);
    assert!(checked.stdout.ends_with("consumer wire: settled up to 1\nclean\n"), "{}", checked.stdout);
    let report: Json =
        serde_json::from_str(&ended(&["journal", "check", "--json", &dir], "").stdout).unwrap();
    assert_eq!((&report["clean"], &report["records"], &report["next"]), (&true.into(), &4.into(), &4.into()));
    let shown = ended(&["journal", "dump", "--from", "1", "--limit", "2", &dir], "");
    assert_eq!(shown.code, Some(0));
    expect![[r#"
        1 2026-01-01T00:00:00Z 3 74776f
        2 2026-01-01T00:00:00Z 0 
    "#]]
    .assert_eq(&shown.stdout);
    assert_eq!(ended(&["journal", "repair", &dir], "").stdout, "nothing to repair\n");
}

#[test]
fn a_damaged_journal_is_a_problem_until_it_is_repaired() {
    let directory = tempfile::tempdir().unwrap();
    let dir = journal(directory.path(), Some(96));
    let checked = ended(&["journal", "check", &dir], "");
    assert_eq!(checked.code, Some(1));
    assert!(checked.stdout.contains("is damaged at offset") && checked.stdout.ends_with("not clean\n"));
    let shown = ended(&["journal", "dump", &dir], "");
    assert_eq!((shown.code, shown.stdout.lines().count()), (Some(1), 3));
    assert_eq!(ended(&["journal", "repair", "--dry-run", &dir], "").code, Some(1));
    let repaired = ended(&["journal", "repair", "--json", &dir], "");
    assert_eq!(repaired.code, Some(0));
    let report: Json = serde_json::from_str(&repaired.stdout).unwrap();
    assert_eq!(report["moved"][0]["records"], 1);
    assert_eq!(ended(&["journal", "check", &dir], "").code, Some(0));
}

#[test]
fn a_segment_that_is_gone_is_missed_and_stops_a_rack_until_it_is_given_up() {
    let ground = Ground::new(
        "meta: {name: t, version: v1.0.0}\ngears:\n  - {name: src, type: generate, config: {interval: 1h}}\n  - {name: end, \
         type: 'null'}\nwires:\n  - {id: bookings, from: src.out, to: end.in, lane: durable}\n",
    );
    let directory = ground.in_state("wires/bookings");
    fs::create_dir_all(&directory).unwrap();
    let dir = journal(&directory, None);
    // It names a second segment.
    fs::copy(GOLDEN_ROLL, directory.join("ROLL")).unwrap();
    let told = "0000000000000002.journal is missing, as the file ROLL beside it tells";
    let checked = ended(&["journal", "check", &dir], "");
    assert!(checked.code == Some(1) && checked.stdout.contains(told), "{}", checked.stdout);
    let refused = ended(&["run", &ground.scenario, "--state-dir", &ground.state], "");
    assert!(refused.code == Some(2) && refused.stderr.contains(told), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("`fluxrig journal check {dir}`")), "{}", refused.stderr);
    let planned = ended(&["journal", "repair", "--dry-run", &dir], "");
    assert!(
        planned.code == Some(1) && planned.stdout.starts_with("would be given up: "),
        "{}",
        planned.stdout
    );
    let repaired = ended(&["journal", "repair", &dir], "");
    assert!(repaired.code == Some(0) && repaired.stdout.starts_with("is given up: "), "{}", repaired.stdout);
    assert_eq!(ended(&["journal", "check", &dir], "").code, Some(0));
    ground.rack(&[]);
}

#[test]
fn no_journal_is_another_matter() {
    let directory = tempfile::tempdir().unwrap();
    let none = ended(&["journal", "check", directory.path().to_str().unwrap()], "");
    assert_eq!((none.code, none.stdout.as_str()), (Some(2), ""));
    assert!(none.stderr.contains("no segment of a journal"), "{}", none.stderr);
    assert_eq!(ended(&["journal", "check"], "").code, Some(2));
}
