//! Secrets by reference: a gear has them, and nothing that is shown or kept does.

use std::{
    fs,
    io::Read,
    net::{TcpListener, TcpStream},
    path::Path,
};

use serde_json::Value as Json;

use crate::{
    alone::Ground,
    process::{PATIENCE, Running, ended, fluxrig, last_json},
};

const SECRET: &str = "tiger-in-the-night";

/// Sends a secret to a port, over and over.
fn scenario(port: u16) -> String {
    format!(
        "meta: {{name: t, version: v1.0.0}}\ngears:\n  - {{name: src, type: generate, config: {{interval: 20ms, payload: \
         'key=${{secret:TOKEN}};'}}}}\n  - {{name: out, type: io_tcp, config: {{mode: client, connect: '127.0.0.1:{port}'}}}}\nwires:\n  \
         - {{from: src.out, to: out.in}}\n"
    )
}

/// Reads until a text has come.
fn read_until(stream: &mut TcpStream, wanted: &str) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut told, mut buffer) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&told).contains(wanted) {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the line ends after {}", String::from_utf8_lossy(&told));
        told.extend_from_slice(&buffer[..count]);
    }
}

/// Every file below a directory that has a text in it.
fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match fs::symlink_metadata(&path).unwrap().file_type() {
            kind if kind.is_dir() => found.extend(files_with(&path, text)),
            kind if kind.is_file() && String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(text) => {
                found.push(path.display().to_string());
            }
            _ => {}
        }
    }
    found
}

fn prepared(port: u16) -> Ground {
    let ground = Ground::new(&scenario(port));
    fs::write(ground.settings(), "[secrets]\ndirectory = 'secrets'\n").unwrap();
    fs::create_dir(ground.directory.path().join("secrets")).unwrap();
    ground
}

fn put(ground: &Ground, secret: &str) {
    fs::write(ground.directory.path().join("secrets/TOKEN"), format!("{secret}\n")).unwrap();
}

#[test]
fn a_gear_has_its_secret_and_nothing_that_is_shown_or_kept_does() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ground = prepared(listener.local_addr().unwrap().port());
    let settings = ground.settings();
    put(&ground, SECRET);
    let with = ["--config", settings.as_str()];
    for words in [
        &["check", "--json"][..],
        &["scenario", "graph", "--format", "json"],
        &["scenario", "graph", "--format", "svg"],
        &["run", "--dry-run"],
        &["plan", "--json", &ground.scenario],
    ] {
        let shown = ended(&[words, &[&ground.scenario], &with].concat(), "");
        assert_eq!(shown.code, Some(0), "{words:?}: {}{}", shown.stdout, shown.stderr);
        assert!(!(shown.stdout + &shown.stderr).contains(SECRET), "{words:?}");
    }
    let usual = ["--log-format", "json", "--log-level", "trace", "run", "--until-stdin-ends", "--state-dir"];
    let run = |more: &[&str]| Running::start(&[&usual, &[ground.state.as_str()][..], more].concat());
    let mut rack = run(&[&with[..], &[&ground.scenario]].concat());
    let mut stream = listener.accept().unwrap().0;
    read_until(&mut stream, &format!("key={SECRET};"));
    rack.wait_for(|line| line.contains("\"rack is up\"").then_some(()));
    assert!(!ground.status().to_string().contains(SECRET));

    // Another secret is another gear, by a reload, which says for what and shows neither.
    let unchanged = last_json(&ground.ask("reload", &[]).stdout);
    assert_eq!(unchanged["outcome"], "unchanged");
    put(&ground, "panther");
    let reloaded = ground.ask("reload", &[]).stdout;
    assert!(!reloaded.contains(SECRET) && !reloaded.contains("panther"), "{reloaded}");
    let reloaded: Json = last_json(&reloaded);
    assert_eq!(reloaded["outcome"], "reloaded");
    assert_eq!(reloaded["plan"]["gears"][0]["because"][0], "${secret:TOKEN}");
    read_until(&mut stream, "key=panther;");
    rack.end_input();
    rack.wait();
    drop(stream);

    // What ran last is run with the secret as it is now, and not without it.
    let mut again = run(&[]);
    read_until(&mut listener.accept().unwrap().0, "key=panther;");
    again.end_input();
    again.wait();
    for secret in [SECRET, "panther"] {
        assert!(!rack.printed.contains(secret) && !again.printed.contains(secret));
        assert_eq!(files_with(Path::new(&ground.state), secret), [""; 0], "nothing on disk has it");
    }
    fs::remove_file(ground.directory.path().join("secrets/TOKEN")).unwrap();
    let without = ended(&["run", "--state-dir", &ground.state], "");
    assert_eq!(without.code, Some(3), "{}", without.stderr);
    assert!(without.stderr.contains("what ran last needs a secret that is not there"), "{}", without.stderr);
}

#[test]
fn a_secret_that_is_missing_is_named_with_its_place_and_what_to_do() {
    let ground = prepared(1);
    let settings = ground.settings();
    let words = ["check", &ground.scenario, "--config", &settings, "--json"];
    let checked = ended(&words, "");
    assert_eq!(checked.code, Some(1));
    let report: Json = serde_json::from_str(&checked.stdout).unwrap();
    let issues = report["issues"].as_array().unwrap();
    let errors: Vec<&Json> = issues.iter().filter(|issue| issue["severity"] == "error").collect();
    let [issue] = errors[..] else { panic!("{report}") };
    assert_eq!((&issue["code"], &issue["line"]), (&"FR0702".into(), &3.into()));
    assert!(issue["message"].as_str().unwrap().contains("gear `src`: there is no secret `TOKEN`"));
    assert_eq!(issue["help"], "put it into the file `secrets/TOKEN`");
    // The environment has it.
    let checked = fluxrig(&words).env("FLUXRIG_SECRET_TOKEN", SECRET).output().unwrap();
    assert_eq!(checked.status.code(), Some(0));
    assert!(!String::from_utf8_lossy(&checked.stdout).contains(SECRET));
    // One that does not do is not shown by whoever refuses it, and what refers to none is refused.
    let text = fs::read_to_string(&ground.scenario).unwrap();
    fs::write(&ground.scenario, text.replace("interval: 20ms", "interval: '${secret:TOKEN}'")).unwrap();
    let checked = fluxrig(&words).env("FLUXRIG_SECRET_TOKEN", SECRET).output().unwrap();
    let shown = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.code() == Some(1) && shown.contains("FR0701"), "{shown}");
    assert!(!shown.contains(SECRET) && shown.contains("***"), "{shown}");
    fs::write(&ground.scenario, text.replace("{secret:TOKEN}", "{secret:../TOKEN}")).unwrap();
    assert!(ended(&words, "").stdout.contains("FR0407"));
}
