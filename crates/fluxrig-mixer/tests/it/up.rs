//! The Mixer and a Rack in one process: up with one command, asked as any fleet is, and ended as one.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value as Json;

use crate::house::{Process, fluxrig, wait};
use crate::nats_server::{Version, free_port};

/// Sends back what comes in, behind a word.
fn scenario(version: &str, port: u16) -> String {
    format!(
        "meta: {{name: echo, version: {version}}}\ngears:\n  - {{name: line, type: io_tcp, config: {{mode: server, bind: \
         '127.0.0.1:{port}'}}}}\nwires:\n  - {{from: line.out, to: line.in}}\n"
    )
}

struct Up {
    process: Process,
    ready: Json,
}

fn command(directory: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fluxrig-mixer"));
    command
        .arg("up")
        .args(words)
        .args(["--listen", "127.0.0.1:0", "--state-dir"])
        .arg(directory.join("state"));
    command.current_dir(directory).stdin(Stdio::null());
    command
}

fn up(directory: &Path, words: &[&str]) -> Up {
    let mut command = command(directory, &[words, &["--json-ready"]].concat());
    let (mut process, line) = Process::start_and_read(&mut command, directory.join("up.log"));
    assert!(!line.is_empty(), "{:?} {}", process.wait(), process.log());
    Up { process, ready: serde_json::from_str(&line).unwrap() }
}

impl Up {
    /// What `fluxrig` says of it, whom nobody asks for a token.
    fn told(&self, directory: &Path, words: &[&str]) -> String {
        let mut command = Command::new(fluxrig());
        command.args(words).current_dir(directory).env("HOME", directory).env_remove("XDG_CONFIG_HOME");
        let output = command.env("FLUXRIG_MIXER", self.ready["api"].as_str().unwrap()).output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{words:?}: {out}{err}{}", self.process.log());
        out
    }
}

fn echoes(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = [0; 4];
    stream.write_all(b"ping\n").is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"ping"
}

fn wait_for_echo(port: u16, fleet: &Up) {
    wait(|| echoes(port).then_some(()), || format!("no echo at {port}: {}", fleet.process.log()));
}

#[test]
fn one_command_runs_a_fleet_of_one_without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let ports = [free_port(), free_port()];
    for (file, version, port) in [("1.yaml", "1.0.0", ports[0]), ("2.yaml", "2.0.0", ports[1])] {
        fs::write(directory.join(file), scenario(version, port)).unwrap();
    }
    let mut fleet = up(directory, &["1.yaml", "--server", "none", "--rack", "till"]);
    assert_eq!((&fleet.ready["rack"], &fleet.ready["bus"]), (&"till".into(), &Json::Array(Vec::new())));
    wait_for_echo(ports[0], &fleet);
    fleet.told(directory, &["scenario", "activate", "echo", "--wait", "30s"]);
    // Another release, over the bus that is in the process, while it runs.
    fleet.told(directory, &["scenario", "push", "2.yaml"]);
    fleet.told(directory, &["scenario", "activate", "echo:2.0.0", "--wait", "30s"]);
    wait_for_echo(ports[1], &fleet);
    assert!(!echoes(ports[0]));
    let topology: Json = serde_json::from_str(&fleet.told(directory, &["topology", "--json"])).unwrap();
    assert_eq!((&topology["is_synced"], &topology["racks"][0]["liveness"]), (&true.into(), &"online".into()));
    let status = fleet.told(directory, &["status", "--json", "--state-dir", "state/racks/till"]);
    assert_eq!(serde_json::from_str::<Json>(&status).unwrap()["pid"], fleet.ready["pid"]);
    assert_eq!(fleet.process.stop(), Some(0), "{}", fleet.process.log());
    assert!(!echoes(ports[1]));

    // As it was, when nothing is said; and as is said.
    let mut fleet = up(directory, &["--server", "none", "--rack", "till"]);
    wait_for_echo(ports[1], &fleet);
    assert_eq!(fleet.process.stop(), Some(0));
    let mut fleet = up(directory, &["1.yaml", "--server", "none", "--rack", "till"]);
    wait_for_echo(ports[0], &fleet);
    // A terminal tells all of its processes, once.
    assert_eq!(fleet.process.interrupt(), Some(0));
    let log = fleet.process.log();
    assert!(log.contains("draining") && log.contains("stopping"), "{log}");
}

#[test]
fn a_rack_that_cannot_start_is_an_error_of_the_whole() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    fs::write(directory.path().join("1.yaml"), scenario("1.0.0", port)).unwrap();
    fs::write(directory.path().join("bad.yaml"), scenario("1.0.0", port).replace("line.in", "nobody.in"))
        .unwrap();
    for (words, want) in [
        (&["1.yaml", "--server", "none"][..], "gear `line`"),
        (&["bad.yaml", "--server", "none"], "FR0301"),
        (&["--rack", "a.b", "--server", "none"], "is no name"),
    ] {
        let output = command(directory.path(), words).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {told}");
        assert!(told.contains(want), "{words:?}: {told}");
    }
}

#[test]
fn with_a_server_racks_of_other_processes_belong_too() {
    let Some(server) = Version::Newest.program() else { return };
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let listen = format!("127.0.0.1:{}", free_port());
    let mut fleet = up(directory, &["--server", server.to_str().unwrap(), "--bus-listen", &listen]);
    assert!(fleet.ready["bus"][0].as_str().unwrap().starts_with("tls://127.0.0.1:"), "{}", fleet.ready);
    let token = fleet.told(directory, &["racks", "invite", "--rack", "north"]);
    let mixer = fleet.ready["api"].as_str().unwrap();
    let enrol = [
        "rack",
        "enrol",
        "--mixer",
        mixer,
        "--name",
        "north",
        "--token",
        token.trim(),
        "--state-dir",
        "north",
    ];
    fleet.told(directory, &enrol);
    let mut north = Command::new(fluxrig());
    north.args(["rack", "run", "--state-dir", "north"]).current_dir(directory).stdout(Stdio::null());
    let mut north = Process::start(&mut north, directory.join("north.log"));
    let online = || {
        let racks: Json =
            serde_json::from_str(&fleet.told(directory, &["racks", "--json", "--liveness", "online"]))
                .unwrap();
        (racks["total"] == 2).then_some(())
    };
    wait(online, || format!("{}{}", north.log(), fleet.process.log()));
    assert_eq!(north.stop(), Some(0));
    assert_eq!(fleet.process.stop(), Some(0), "{}", fleet.process.log());
}
