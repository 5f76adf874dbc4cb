//! Standard output and standard error that are closed, full, or read by nobody: no command panics, no rack stops.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write, pipe},
    net::TcpStream,
    process::{Child, ChildStderr, Command, Stdio},
};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::process::{PATIENCE, ended};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/payment-switch/scenario.yaml");
const NETWORK_MANAGEMENT: &str = "08008220000000000000040000000000000011051430150000420301";

fn fluxrig(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fluxrig"));
    command.args(words).stdin(Stdio::null());
    command
}

/// Something whose reader has left.
fn closed_pipe() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

fn full_disk() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn a_result_nobody_reads_ends_a_command_as_usual_and_a_full_disk_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken.yaml");
    fs::write(&broken, "meta: {name: broken, version: v1.0.0}\ngears: [{name: a, type: nothing}]\n").unwrap();
    let broken = broken.to_str().unwrap();
    for (words, code) in [
        (&["check", EXAMPLE][..], 0),
        (&["check", "--json", EXAMPLE], 0),
        (&["check", broken], 1),
        (&["check", "--json", broken], 1),
        (&["run", "--dry-run", EXAMPLE], 0),
        (&["gears", "list"], 0),
        (&["gears", "list", "--names"], 0),
        (&["gears", "manifest"], 0),
        (&["gears", "schema", "conductor"], 0),
        (&["gears", "doc", "conductor"], 0),
        (&["scenario", "schema"], 0),
        (&["scenario", "settings"], 0),
        (&["scenario", "graph", EXAMPLE], 0),
        (&["msg", "encode", "[1]"], 0),
        (&["msg", "decode", "8101"], 0),
        (&["iso8583", "decode", "--spec", "iso87binary", NETWORK_MANAGEMENT], 0),
        (&["iso8583", "decode", "--spec", "iso87binary", "--json", NETWORK_MANAGEMENT], 0),
        (&["iso8583", "decode", "--json", "08"], 1),
        (&["completions", "bash"], 0),
        (&["version", "--json"], 0),
    ] {
        let unread = fluxrig(words).stdout(closed_pipe()).output().unwrap();
        let said = String::from_utf8(unread.stderr).unwrap();
        assert_eq!((unread.status.code(), said.as_str()), (Some(code), ""), "{words:?}");
        let full = fluxrig(words).stdout(full_disk()).output().unwrap();
        let said = String::from_utf8(full.stderr).unwrap();
        assert_eq!(full.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains("cannot write to standard output: No space left"), "{words:?}: {said}");
    }
}

#[test]
fn a_command_that_cannot_even_complain_still_says_so_by_its_exit_status() {
    let status = fluxrig(&["check", "/nowhere.yaml"]).stderr(full_disk()).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn a_scheme_whose_log_cannot_be_written_goes_on_answering() {
    let words = ["--log-level", "trace", "iso8583", "scheme", "--listen", "127.0.0.1:0"];
    let mut scheme = Guard(fluxrig(&words).stdout(Stdio::piped()).stderr(full_disk()).spawn().unwrap());
    let mut first = String::new();
    BufReader::new(scheme.0.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let address = first.trim_end().strip_prefix("listening on ").unwrap();
    let load = ["iso8583", "load", "--to", address, "--count", "100", "--warmup", "0", "--connections", "2"];
    let load = ended(&load, "");
    assert_eq!(load.code, Some(0), "{}", load.stderr);
    assert_eq!(scheme.0.try_wait().unwrap(), None);
}

/// A process that is killed when dropped.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A rack that sends back what it gets, its log in a pipe that was read up to where it listens.
struct Echo {
    rack: Guard,
    log: Option<BufReader<ChildStderr>>,
    address: String,
    _directory: TempDir,
}

impl Echo {
    fn start() -> Echo {
        let directory = tempfile::tempdir().unwrap();
        let scenario = directory.path().join("echo.yaml");
        let text = "meta: {name: echo, version: v1.0.0}\ngears:\n  - {name: line, type: io_tcp, config: {mode: \
                    server, bind: \"127.0.0.1:0\"}}\nwires:\n  - {from: line.out, to: line.in}\n";
        fs::write(&scenario, text).unwrap();
        let words = ["--log-format", "json", "--log-level", "trace", "run", scenario.to_str().unwrap()];
        let mut rack = Guard(fluxrig(&words).stderr(Stdio::piped()).spawn().unwrap());
        let mut log = BufReader::new(rack.0.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
            let event: Json = serde_json::from_str(&line).unwrap();
            if event["message"] == "listening" {
                break event["addr"].as_str().unwrap().to_owned();
            }
        };
        Echo { rack, log: Some(log), address, _directory: directory }
    }

    /// Asserts that it answers, on so many connections after another.
    fn assert_answers(&self, connections: usize) {
        for _ in 0..connections {
            let mut line = TcpStream::connect(&self.address).unwrap();
            line.set_read_timeout(Some(PATIENCE)).unwrap();
            line.write_all(b"hi\n").unwrap();
            let mut answer = [0; 2];
            line.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"hi");
        }
    }

    fn terminate(&self) {
        let id = self.rack.0.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
    }
}

#[test]
fn a_rack_whose_log_has_no_reader_any_more_goes_on_and_drains() {
    let mut echo = Echo::start();
    echo.log = None;
    echo.assert_answers(20);
    echo.terminate();
    assert_eq!(echo.rack.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_rack_whose_log_is_not_read_goes_on_and_says_later_what_is_missing() {
    let mut echo = Echo::start();
    // Many times what the pipe and the queue in front of it hold.
    echo.assert_answers(4000);
    echo.terminate();
    let mut log = String::new();
    echo.log.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(echo.rack.0.wait().unwrap().code(), Some(0));
    let events =
        log.lines().map(|line| serde_json::from_str::<Json>(line).unwrap_or_else(|_| panic!("{line}")));
    let notices: Vec<String> = events
        .filter_map(|event| Some(event["message"].as_str()?.to_owned()))
        .filter(|message| message.ends_with(" log lines were dropped"))
        .collect();
    assert!(!notices.is_empty(), "{} lines", log.lines().count());
}
