//! `fluxrig run`: the example switch between a terminal and two schemes, and its end.

use std::fs;

use tempfile::TempDir;

use crate::{
    certificate,
    example::example,
    process::{Running, ended, last_json},
};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
const PAN: &str = "4111111111111111";

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

/// What a switch logs that runs by these settings until it is told to stop, which is at once.
fn logged(settings: &str, words: &[&str]) -> String {
    let (directory, scenario) = example("127.0.0.1:9", "127.0.0.1:9", |text| text);
    let file = directory.path().join("fluxrig.toml");
    fs::write(&file, settings).unwrap();
    let files = ["run", scenario.to_str().unwrap(), "--config", file.to_str().unwrap()];
    let ended = ended(&[&files[..], &["--until-stdin-ends", "--log-format", "json"], words].concat(), "");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stderr
}

#[test]
fn a_rack_logs_as_its_settings_say_unless_the_command_line_does() {
    let loud = |log: &str| ["DEBUG", "INFO"].map(|level| log.contains(&format!("\"level\":\"{level}\"")));
    assert_eq!(loud(&logged("", &[])), [false, true]);
    assert_eq!(loud(&logged("[logging]\nlevel = 'error'\n", &[])), [false, false]);
    assert_eq!(loud(&logged("[logging]\ndebug = true\n", &[])), [true, true]);
    assert_eq!(loud(&logged("[logging]\ndebug = true\n", &["--log-level", "info"])), [false, true]);
}

#[test]
fn settings_without_effect_are_named_once() {
    let log = logged("[logging]\nfilename = 'rack.log'\n\n[api]\nlisten = '127.0.0.1:8090'\n", &[]);
    for name in ["filename", "listen"] {
        assert_eq!(log.matches(&format!("`{name}` is accepted and has no effect yet")).count(), 1, "{log}");
    }
}

#[test]
fn of_several_racks_the_one_named_in_the_settings_runs() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let gear = |rack| format!("  - {{name: of_{rack}, type: generate, deploy: {rack}}}\n");
    let wire = |rack| format!("  - {{from: of_{rack}.out, to: end_{rack}.in}}\n");
    let end = |rack| format!("  - {{name: end_{rack}, type: 'null', deploy: {rack}}}\n");
    let scenario = write(
        "two.yaml",
        &format!(
            "meta: {{name: two, version: v1.0.0}}\ngears:\n{}{}{}{}wires:\n{}{}",
            gear("north"),
            end("north"),
            gear("south"),
            end("south"),
            wire("north"),
            wire("south")
        ),
    );
    let dry = |words: &[&str]| ended(&[&["run", "--dry-run", &scenario], words].concat(), "");
    assert_eq!(dry(&[]).code, Some(1));
    let settings = write("fluxrig.toml", "[base]\nname = 'south'\n");
    let south = dry(&["--config", &settings]);
    assert!(south.stdout.contains("of_south") && !south.stdout.contains("of_north"), "{}", south.stdout);
    let north = dry(&["--config", &settings, "--rack", "north"]);
    assert!(north.stdout.contains("of_north") && !north.stdout.contains("of_south"), "{}", north.stdout);
    let wrong = write("wrong.toml", "[base]\nnam = 'south'\n");
    let checked = ended(&["check", "--json", &scenario, "--rack", "north", "--config", &wrong], "");
    assert_eq!(checked.code, Some(1));
    assert!(last_json(&checked.stdout)["issues"][0]["file"].as_str().unwrap().ends_with("wrong.toml"));
}

/// Writes a scenario of these gears and wires.
fn scenario(gears: &str, wires: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("t.yaml");
    let text = format!("meta: {{name: t, version: v1.0.0}}\ngears:\n{gears}wires:\n{wires}");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (directory, file)
}

#[test]
fn dead_letters_are_told_of_at_once_and_no_drain_that_discards_them_is_clean() {
    let (_directory, file) = scenario(
        "  - {name: src, type: generate, config: {payload: junk, count: 120, interval: 0s}}\n  - {name: dec, type: \
         codec_iso8583, config: {spec: iso87ascii, direction: decode}}\n  - {name: end, type: 'null'}\n",
        "  - {from: src.out, to: dec.in}\n  - {from: dec.out, to: end.in}\n",
    );
    let settings = format!("{file}.toml");
    fs::write(&settings, "[rack]\ndead_letters_max = 150\n").unwrap();
    let words = ["--log-format", "json", "run", &file, "--config", &settings, "--until-stdin-ends"];
    let mut rack = Running::start(&words);
    rack.wait_for(|line| line.contains("dead letter store is nearly full").then_some(()));
    rack.end_input();
    assert_eq!(rack.wait().code(), Some(1), "{}", rack.printed);
    let count = |part: &str| rack.printed.matches(part).count();
    assert_eq!(count("dead letter: wire its error port"), 1, "{}", rack.printed);
    assert_eq!(count("\"letters\":120,"), 1, "told at four fifths, once: {}", rack.printed);
    let discarded = "messages were discarded\",\"gear\":\"dec\",\"reason\":\"bad_message\",\"messages\":120";
    assert_eq!((count("\"dead letters\""), count(discarded)), (2, 1), "{}", rack.printed);
    assert_eq!((count("\"clean\":false"), count("\"clean\":true")), (1, 0), "{}", rack.printed);
}

#[test]
fn a_gear_that_cannot_start_is_named_with_its_place_and_its_cause_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let gear = format!("  - {{name: line, type: io_tcp, config: {{mode: server, bind: '{address}'}}}}\n");
    let (_directory, file) = scenario(&gear, "  - {from: line.out, to: line.in}\n");
    let refused = ended(&["run", &file], "");
    let why = format!(
        "error: {file}:3:12: gear `line` did not start: cannot listen on {address}: Address already in use (os error \
         98)\n"
    );
    assert_eq!((refused.code, refused.stderr.as_str()), (Some(2), why.as_str()));
}
