//! A `fluxrig` of its own process, and what it logs.

use std::{
    cell::RefCell,
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

use serde_json::Value as Json;

use super::PATIENCE;

/// Lines of a process that wait to be read. More than any of these tests makes it print.
const LINES: usize = 4096;

/// A process that runs until it is dropped.
pub(super) struct Running {
    child: Child,
    lines: Receiver<Json>,
    /// Lines already read: things happen in any order.
    seen: RefCell<Vec<Json>>,
}

impl Running {
    /// `fluxrig run` of the scenario, read by its log.
    pub(super) fn rack(scenario: &std::path::Path) -> Running {
        let mut command = fluxrig();
        let command = command.arg("run").arg(scenario).args(["--until-stdin-ends", "--log-format", "json"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = child.stderr.take().unwrap();
        Running { child, lines: lines(log), seen: RefCell::default() }
    }

    /// `fluxrig iso8583 scheme` in a dialect, and where it listens.
    pub(super) fn scheme(spec: &str) -> (Running, String) {
        let mut command = fluxrig();
        let command = command
            .args(["iso8583", "scheme", "--until-stdin-ends", "--listen", "127.0.0.1:0", "--json"])
            .args(["--spec", spec]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let printed = child.stdout.take().unwrap();
        let scheme = Running { child, lines: lines(printed), seen: RefCell::default() };
        let address = scheme.wait_for(|line| line["listening"].as_str().map(str::to_owned));
        (scheme, address)
    }

    /// Where `gear` listens.
    pub(super) fn address(&self, gear: &str) -> String {
        self.wait_for(|line| {
            let is_it = line["message"] == "listening" && line["gear"] == gear;
            is_it.then(|| line["addr"].as_str().unwrap().to_owned())
        })
    }

    /// Waits until `gear` has a connection.
    pub(super) fn wait_until_connected(&self, gear: &str) {
        self.wait_for(|line| (line["message"] == "connected" && line["gear"] == gear).then_some(()));
    }

    fn wait_for<T>(&self, mut wanted: impl FnMut(&Json) -> Option<T>) -> T {
        let mut seen = self.seen.borrow_mut();
        if let Some(found) = seen.iter().find_map(&mut wanted) {
            return found;
        }
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("it prints what is waited for");
            let found = wanted(&line);
            seen.push(line);
            if let Some(found) = found {
                return found;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary. It ends when the test does, even one that was killed: then its standard input ends.
fn fluxrig() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fluxrig"));
    command.stdin(Stdio::piped());
    command
}

/// JSON lines as they come; the reader ends with the process.
fn lines(from: impl Read + Send + 'static) -> Receiver<Json> {
    let (sender, receiver) = sync_channel(LINES);
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let Ok(line) = serde_json::from_str(&line) else { continue };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
