//! A rack that is given no file runs what ran last, if that is what it signed; else what ran before it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    alone::Ground,
    certificate,
    process::{Ended, Running, ended, last_json},
};

/// A scenario that reads a spec and sends every so often.
fn scenario(interval: &str) -> String {
    format!(
        "meta: {{name: t, version: v1.0.0}}\ngears:\n  - {{name: src, type: generate, config: {{interval: {interval}}}}}\n  \
         - {{name: dec, type: codec_iso8583, config: {{spec_path: spec.yaml, direction: decode}}}}\n  - {{name: end, type: \
         'null'}}\nwires:\n  - {{from: src.out, to: dec.in}}\n  - {{from: dec.out, to: end.in}}\n  - {{from: dec.error, to: \
         end.in}}\n"
    )
}

/// A state directory in which each of these versions ran, one after the other, and nothing else.
fn after(versions: &[&str]) -> Ground {
    let ground = Ground::new("");
    let spec = Path::new(&ground.scenario).with_file_name("spec.yaml");
    fs::write(&spec, "id: t\nname: t\nversion: 1.0.0\nextends: iso87ascii\n").unwrap();
    for version in versions {
        fs::write(&ground.scenario, scenario(version)).unwrap();
        let mut rack = ground.rack(&[]);
        rack.end_input();
        assert_eq!(rack.wait().code(), Some(0), "{}", rack.printed);
    }
    fs::remove_file(&ground.scenario).unwrap();
    fs::remove_file(spec).unwrap();
    ground
}

fn run_last(ground: &Ground) -> Running {
    let words = ["--log-format", "json", "run", "--until-stdin-ends", "--state-dir", &ground.state];
    let mut rack = Running::start(&words);
    rack.wait_for(|line| line.contains("\"rack is up\"").then_some(()));
    rack
}

/// What the plan says would run, and its exit status.
fn would_run(ground: &Ground) -> Ended {
    ended(&["run", "--dry-run", "--state-dir", &ground.state], "")
}

fn passport(ground: &Ground, command: &str) -> Ended {
    ended(&["passport", command, "--state-dir", &ground.state, "--json"], "")
}

/// Everything in the state directory that is kept, with its content.
fn kept(ground: &Ground) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = [PathBuf::from(&ground.state), ground.in_state("scenario")]
        .iter()
        .flat_map(|directory| fs::read_dir(directory).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("lock"))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    all.sort();
    all
}

fn content_that_says(ground: &Ground, text: &str) -> PathBuf {
    let found = kept(ground).into_iter().find(|(_, content)| String::from_utf8_lossy(content).contains(text));
    found.unwrap().0
}

#[test]
fn what_ran_last_runs_again_without_its_files() {
    let ground = after(&["1h", "2h"]);
    let before = kept(&ground);
    assert_eq!(before.len(), 6, "a passport, two editions, two scenarios, one spec: {before:?}");
    let rack = run_last(&ground);
    let status = ground.status();
    assert_eq!(
        (&status["scenario"], status["gears"].as_array().unwrap().len()),
        (&ground.scenario.clone().into(), 3)
    );
    assert_eq!(status["alarms"], serde_json::json!([]));
    drop(rack);
    assert_eq!(
        kept(&ground),
        before.iter().filter(|(path, _)| !path.ends_with("control.sock")).cloned().collect::<Vec<_>>()
    );
    let verified = passport(&ground, "verify");
    let edition = last_json(&verified.stdout);
    assert_eq!((verified.code, edition["number"].as_u64()), (Some(0), Some(2)), "{}", verified.stderr);
    let shown = last_json(&passport(&ground, "show").stdout);
    assert_eq!(shown["fingerprint"].as_str().unwrap().len(), 39);
    // Back where it was, the file is reloaded by the name it had.
    let rack = run_last(&ground);
    fs::write(&ground.scenario, scenario("3h")).unwrap();
    fs::write(
        Path::new(&ground.scenario).with_file_name("spec.yaml"),
        fs::read(content_that_says(&ground, "extends")).unwrap(),
    )
    .unwrap();
    let report = last_json(&ground.ask("reload", &[]).stdout);
    assert_eq!(
        (&report["outcome"], &report["plan"]["gears"][1]["step"]),
        (&"reloaded".into(), &"keep".into()),
        "{report}"
    );
    drop(rack);
    assert_eq!(last_json(&passport(&ground, "verify").stdout)["number"].as_u64(), Some(3));
}

#[test]
fn what_was_changed_is_refused_and_what_ran_before_it_runs() {
    type Spoil = fn(&Ground);
    let spoil: [(&str, Spoil); 5] = [
        ("was changed after it was signed", |ground| {
            let path = ground.in_state("scenario.flux");
            fs::write(&path, fs::read_to_string(&path).unwrap().replace("\"number\":2", "\"number\":3"))
                .unwrap();
        }),
        ("is damaged: it has not four lines", |ground| {
            let path = ground.in_state("scenario.flux");
            let text = fs::read(&path).unwrap();
            fs::write(&path, &text[..text.len() / 2]).unwrap();
        }),
        ("it has format 9, and this version reads 1 at most", |ground| {
            let path = ground.in_state("scenario.flux");
            fs::write(&path, fs::read_to_string(&path).unwrap().replace("edition 1", "edition 9")).unwrap();
        }),
        ("is damaged: `", |ground| {
            let path = content_that_says(ground, "interval: 2h");
            fs::write(&path, fs::read_to_string(&path).unwrap().replace("2h", "9h")).unwrap();
        }),
        ("cannot be read", |ground| fs::remove_file(ground.in_state("scenario.flux")).unwrap()),
    ];
    for (why, spoil) in spoil {
        let ground = after(&["1h", "2h"]);
        spoil(&ground);
        let before = kept(&ground);
        let verified = passport(&ground, "verify");
        assert!(verified.code == Some(3) && verified.stderr.contains(why), "{why}: {}", verified.stderr);
        let mut rack = run_last(&ground);
        let alarm = &ground.status()["alarms"][0];
        assert_eq!(alarm["alarm"], "last_good");
        assert!(alarm["why"].as_str().unwrap().contains(why), "{why}: {alarm}");
        rack.signal("TERM");
        rack.wait();
        assert_eq!(kept(&ground), before, "{why}: no data is touched");
    }
}

#[test]
fn what_another_key_signed_is_not_run() {
    let [ours, theirs] = [after(&["1h", "2h"]), after(&["1h"])];
    fs::copy(theirs.in_state("rack.flux"), ours.in_state("rack.flux")).unwrap();
    let before = kept(&ours);
    let refused = would_run(&ours);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert_eq!(
        refused.stderr.matches("is refused: it is signed by another key: by ").count(),
        2,
        "{}",
        refused.stderr
    );
    assert_eq!(kept(&ours), before);
    fs::write(ours.in_state("rack.flux"), "fluxrig passport 1\nsecret 00\n").unwrap();
    let damaged = would_run(&ours);
    assert!(
        damaged.code == Some(3) && damaged.stderr.contains("the passport is damaged"),
        "{}",
        damaged.stderr
    );
    assert_eq!(passport(&ours, "show").code, Some(2));
    fs::remove_file(ours.in_state("rack.flux")).unwrap();
    assert!(would_run(&ours).stderr.contains("there is no passport at"));
}

#[test]
fn a_key_is_not_copied() {
    let ground = Ground::new("");
    let keys = tempfile::tempdir().unwrap();
    let [certificate, key] = certificate::issue(keys.path()).map(|file| file.to_str().unwrap().to_owned());
    let text = format!(
        "meta: {{name: t, version: v1.0.0}}\ngears:\n  - {{name: line, type: io_tcp, config: {{mode: server, bind: \
         '127.0.0.1:0', tls: {{cert_file: {certificate}, key_file: {key}}}}}}}\nwires:\n  - {{from: line.out, to: line.in}}\n"
    );
    fs::write(&ground.scenario, text).unwrap();
    drop(ground.rack(&[]));
    assert!(
        kept(&ground).iter().all(|(_, content)| !String::from_utf8_lossy(content).contains("-----BEGIN"))
    );
    assert_eq!(would_run(&ground).code, Some(0), "both are read where they are");
    fs::remove_file(key).unwrap();
    let without = would_run(&ground);
    assert!(without.code == Some(3) && without.stderr.contains("own.key"), "{}", without.stderr);
}

#[test]
fn where_nothing_ran_there_is_nothing_to_run() {
    let ground = Ground::new("");
    let refused = would_run(&ground);
    assert!(refused.code == Some(2) && refused.stderr.contains("no FILE is named"), "{}", refused.stderr);
    assert!(!ground.in_state("").exists());
}
