//! A workstation: on loopback nobody is asked who they are, and beyond it nothing is served so.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

fn mixer(directory: &std::path::Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fluxrig-mixer"));
    command.args(words).arg("--state-dir").arg(directory.join("mixer")).stdin(Stdio::null());
    command
}

#[test]
fn a_workstation_needs_no_server_and_says_that_it_is_insecure() {
    let directory = tempfile::tempdir().unwrap();
    let words = ["--dev", "--json-ready", "--listen", "127.0.0.1:0", "--server", "none"];
    let mut child =
        mixer(directory.path(), &words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Json = serde_json::from_str(&line).unwrap();
    assert_eq!((&ready["insecure"], &ready["bus"]), (&Json::Bool(true), &Json::Array(Vec::new())));
    assert!(ready["api"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    // Another Mixer with the same directory is told so.
    let other = mixer(directory.path(), &words).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&other.stderr).contains("in use by another Mixer"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn beyond_loopback_nothing_is_served_without_tls_and_authentication() {
    let directory = tempfile::tempdir().unwrap();
    let refused =
        mixer(directory.path(), &["--dev", "--listen", "0.0.0.0:0", "--server", "none"]).output().unwrap();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2));
    assert!(words.contains("without TLS and authentication only a loopback address is served"), "{words}");
}

#[test]
fn keys_are_sealed_with_what_was_said_and_anew() {
    let directory = tempfile::tempdir().unwrap();
    let run = |words: &[&str], passphrase: Option<&str>| {
        let mut command = mixer(directory.path(), words);
        if let Some(passphrase) = passphrase {
            command.env("FLUXRIG_MIXER_PASSPHRASE", passphrase);
        }
        command.env("NEW", "correct horse");
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Made at the first start, which fails here for its address alone.
    let start = ["--dev", "--listen", "192.0.2.1:1", "--server", "none"];
    let (_, words) = run(&start, None);
    assert!(words.contains("keyring.key") && words.contains("whoever has the disk has both"), "{words}");
    let (code, words) = run(&["reseal", "--to-passphrase-of", "NEW"], None);
    assert_eq!(code, Some(0), "{words}");
    assert!(run(&start, Some("wrong")).1.contains("it does not open"));
    assert!(run(&start, None).1.contains("keyring.key"), "the key is gone");
    assert!(run(&start, Some("correct horse")).1.contains("cannot listen on `192.0.2.1:1`"));
}

#[test]
fn a_server_that_is_too_old_or_none_is_said_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let refused =
        mixer(directory.path(), &["--listen", "127.0.0.1:0", "--server", "/bin/true"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("does not say that it is a nats-server"));
}
