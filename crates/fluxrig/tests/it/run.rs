//! `fluxrig run`: the example switch between a terminal and two schemes, and its end.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::{
    certificate,
    process::{Running, ended, last_json},
};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
const PAN: &str = "4111111111111111";

/// The example with other addresses, and a change to its text, in a directory of its own.
fn example(visa: &str, mc: &str, edit: impl Fn(String) -> String) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(format!("{EXAMPLES}/payment-switch/scenario.yaml")).unwrap();
    let text = text.replace("127.0.0.1:8583", "127.0.0.1:0");
    let text = text.replace("127.0.0.1:10001", visa).replace("127.0.0.1:10002", mc);
    for folder in ["specs", "payment-switch"] {
        fs::create_dir(directory.path().join(folder)).unwrap();
    }
    fs::copy(format!("{EXAMPLES}/specs/acquirer.yaml"), directory.path().join("specs/acquirer.yaml"))
        .unwrap();
    let scenario = directory.path().join("payment-switch/scenario.yaml");
    fs::write(&scenario, edit(text)).unwrap();
    (directory, scenario)
}

/// Two schemes, a rack between them and terminals, and where those connect.
struct Switch {
    schemes: [Running; 2],
    rack: Running,
    address: String,
    _directory: TempDir,
}

impl Switch {
    fn start(level: &str, edit: impl Fn(String) -> String) -> Switch {
        let words = ["--log-level", level];
        let (visa, visa_address) = Running::scheme(&words);
        let (mc, mc_address) = Running::scheme(&words);
        let (directory, scenario) = example(&visa_address, &mc_address, edit);
        let (mut rack, address) = Running::rack(&scenario, level);
        rack.wait_until_connected(&["visa", "mc"]);
        Switch { schemes: [visa, mc], rack, address, _directory: directory }
    }
}

#[test]
fn a_switch_answers_and_drains_on_sigterm() {
    let mut switch = Switch::start("info", |text| text);
    let load = ["iso8583", "load", "--to", &switch.address, "--connections", "8", "--count", "400", "--json"];
    let load = ended(&[&load[..], &["--warmup", "0", "--mix", "4,5", "--accept-declines"]].concat(), "");
    let report = last_json(&load.stdout);
    assert_eq!((load.code, report["answered"].as_u64()), (Some(0), Some(400)), "{report}");
    switch.rack.signal("TERM");
    assert_eq!(switch.rack.wait().code(), Some(0), "{}", switch.rack.printed);
    assert!(switch.rack.printed.contains("\"clean\":true"), "{}", switch.rack.printed);
}

#[test]
fn a_switch_drains_when_its_supervisor_goes() {
    let mut switch = Switch::start("info", |text| text);
    switch.rack.end_input();
    assert_eq!(switch.rack.wait().code(), Some(0), "{}", switch.rack.printed);
}

#[test]
fn terminals_may_come_by_tls() {
    let keys = tempfile::tempdir().unwrap();
    let [certificate, key] = certificate::issue(keys.path()).map(|file| file.to_str().unwrap().to_owned());
    let switch = Switch::start("info", |text| {
        let tls = format!("mode: server, tls: {{cert_file: {certificate}, key_file: {key}}}");
        text.replace("mode: server", &tls)
    });
    let send =
        ["iso8583", "send", "--to", &switch.address, "--field", &format!("2={PAN}"), "--expect-de39", "00"];
    let tls = ["--tls", "--ca", &certificate, "--server-name", "localhost"];
    let sent = ended(&[&send[..], &tls].concat(), "");
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let stranger = ended(&[&send[..], &["--tls", "--ca", &certificate]].concat(), "");
    assert_eq!(stranger.code, Some(2), "the certificate is for another name");
}

#[test]
fn account_numbers_are_in_no_log() {
    let mut switch = Switch::start("trace", |text| text);
    let mut printed = String::new();
    for words in [
        &["2=4111111111111111", "35=4111111111111111=2812101"][..],
        &["2=6111111111111116"],
        &["2=4111111111111111", "55.5A=4111111111111111", "48.03=4111111111111111"],
        &["2=4111111111111111", "60=ref 4111111111111111"],
    ] {
        let fields: Vec<&str> = words.iter().flat_map(|field| ["--field", field]).collect();
        let spec = format!("{EXAMPLES}/specs/acquirer.yaml");
        let send = ["--log-level", "trace", "iso8583", "send", "--to", &switch.address, "--spec", &spec];
        let sent = ended(&[&send[..], &["--timeout", "3s"], &fields].concat(), "");
        printed += &(sent.stdout + &sent.stderr);
    }
    let load = ["--log-level", "trace", "iso8583", "load", "--to", &switch.address, "--count", "20"];
    let loaded = ended(&[&load[..], &["--warmup", "0", "--connections", "2"]].concat(), "");
    printed += &(loaded.stdout + &loaded.stderr);
    switch.rack.signal("TERM");
    assert!(switch.rack.wait().success());
    for process in switch.schemes.iter_mut() {
        process.signal("TERM");
        process.wait();
        printed += &process.printed;
    }
    printed += &switch.rack.printed;
    assert!(printed.contains("411111******1111"), "the dump of an answer shows the ends of the number");
    assert!(printed.contains("\"level\":\"TRACE\"") || printed.contains("\"level\":\"DEBUG\""));
    // As text, as text in hexadecimal, and what load sends.
    for secret in ["4111111111111111", "6111111111111116", "34313131313131313131", "400000000000"] {
        let line = printed.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}
