//! Standard output and standard error that are closed, full, or read by nobody: no command panics, no rack stops.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write, pipe},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStderr, Command, Stdio},
};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::process::PATIENCE;

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
fn a_rack_whose_log_is_on_a_full_disk_goes_on() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fluxrig"));
    command.stderr(full_disk());
    Echo::start(command, &free_address()).assert_answers_and_drains(100);
}

#[test]
fn a_rack_whose_log_may_not_grow_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -f 4; exec \"$@\"", "bash", env!("CARGO_BIN_EXE_fluxrig")]);
    command.stderr(File::create(&log).unwrap());
    Echo::start(command, &free_address()).assert_answers_and_drains(100);
    assert_eq!(fs::metadata(&log).unwrap().len(), 4096, "the limit was reached");
}

/// A process that is killed when dropped.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A rack that sends back what it gets.
struct Echo {
    rack: Guard,
    address: String,
    _directory: TempDir,
}

/// An address nobody listens at.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The log in a pipe, read up to where the rack listens.
fn log_until_listening(rack: &mut Child) -> (BufReader<ChildStderr>, String) {
    let mut log = BufReader::new(rack.stderr.take().unwrap());
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
        let event: Json = serde_json::from_str(&line).unwrap();
        if event["message"] == "listening" {
            return (log, event["addr"].as_str().unwrap().to_owned());
        }
    }
}

impl Echo {
    /// Runs a rack at an address; the command has the program and its standard error.
    fn start(mut command: Command, address: &str) -> Echo {
        let directory = tempfile::tempdir().unwrap();
        let scenario = directory.path().join("echo.yaml");
        let text = format!(
            "meta: {{name: echo, version: v1.0.0}}\ngears:\n  - {{name: line, type: io_tcp, config: {{mode: server, \
             bind: '{address}'}}}}\nwires:\n  - {{from: line.out, to: line.in}}\n"
        );
        fs::write(&scenario, text).unwrap();
        command.args(["--log-format", "json", "run", scenario.to_str().unwrap()]).stdin(Stdio::null());
        let rack = Guard(command.spawn().unwrap());
        Echo { rack, address: address.to_owned(), _directory: directory }
    }

    /// Its log in a pipe.
    fn piped() -> (Echo, BufReader<ChildStderr>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fluxrig"));
        command.stderr(Stdio::piped());
        let mut echo = Echo::start(command, "127.0.0.1:0");
        let (log, address) = log_until_listening(&mut echo.rack.0);
        echo.address = address;
        (echo, log)
    }

    /// Asserts that it answers on so many connections, one after another.
    fn assert_answers(&mut self, connections: usize) {
        for _ in 0..connections {
            let mut line = loop {
                match TcpStream::connect(&self.address) {
                    Ok(line) => break line,
                    // It does not listen yet.
                    Err(_) => assert_eq!(self.rack.0.try_wait().unwrap(), None, "it ended"),
                }
            };
            line.set_read_timeout(Some(PATIENCE)).unwrap();
            line.write_all(b"hi\n").unwrap();
            let mut answer = [0; 2];
            line.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"hi");
        }
    }

    fn assert_answers_and_drains(&mut self, connections: usize) {
        self.assert_answers(connections);
        let id = self.rack.0.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
        assert_eq!(self.rack.0.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_rack_whose_log_has_no_reader_any_more_goes_on_and_drains() {
    let (mut echo, log) = Echo::piped();
    drop(log);
    echo.assert_answers_and_drains(20);
}

#[test]
fn a_rack_whose_log_is_not_read_goes_on_and_says_later_what_is_missing() {
    let (mut echo, mut log) = Echo::piped();
    // More than the pipe and the queue behind it hold.
    echo.assert_answers(8000);
    let mut line = String::new();
    while !line.contains(" log lines were dropped") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "nothing is missing");
        serde_json::from_str::<Json>(&line).unwrap_or_else(|_| panic!("{line}"));
    }
    drop(log);
    echo.assert_answers_and_drains(1);
}
