//! `fluxrig` as a process: one that ends by itself, and one that runs until it is told to stop.

use std::{
    io::{BufRead as _, BufReader, Read},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use serde_json::Value as Json;

/// Longest wait for a process. None of them needs more than a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// `fluxrig` with these words, to be run to its end.
pub(crate) fn fluxrig(words: &[&str]) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_fluxrig"));
    command.args(words).timeout(PATIENCE);
    command
}

/// What came of a process that ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `fluxrig` with these words and this input to its end.
pub(crate) fn ended(words: &[&str], input: &str) -> Ended {
    let output = fluxrig(words).write_stdin(input).output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    Ended { code: output.status.code(), stdout, stderr }
}

/// The last line of a text, which is JSON.
pub(crate) fn last_json(text: &str) -> Json {
    let line = text.lines().last().unwrap_or_else(|| panic!("no line"));
    serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"))
}

/// A process that runs in the background; it is killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Everything it printed and that was read so far.
    pub(crate) printed: String,
}

impl Running {
    /// `fluxrig` with these words, its standard input open.
    pub(crate) fn start(words: &[&str]) -> Running {
        Running::start_program(Path::new(env!("CARGO_BIN_EXE_fluxrig")), words)
    }

    /// Another binary with the same command line.
    pub(crate) fn start_program(program: &Path, words: &[&str]) -> Running {
        let mut child = Command::new(program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        forward(child.stdout.take().unwrap(), sender.clone());
        forward(child.stderr.take().unwrap(), sender);
        Running { stdin: child.stdin.take(), child, lines, printed: String::new() }
    }

    /// A scheme with these further words, and where it listens.
    pub(crate) fn scheme(words: &[&str]) -> (Running, String) {
        let mut scheme =
            Running::start(&[&["iso8583", "scheme", "--listen", "127.0.0.1:0"][..], words].concat());
        let address = scheme.wait_for(|line| Some(line.strip_prefix("listening on ")?.to_owned()));
        (scheme, address)
    }

    /// A rack that runs a scenario, as loud as `level`, and where its gear `term` listens.
    pub(crate) fn rack(scenario: &Path, level: &str) -> (Running, String) {
        Running::rack_with(scenario, level, &[])
    }

    /// The same with further words.
    pub(crate) fn rack_with(scenario: &Path, level: &str, words: &[&str]) -> (Running, String) {
        let scenario = scenario.to_str().unwrap();
        let usual = ["--log-format", "json", "--log-level", level, "run", scenario, "--until-stdin-ends"];
        let mut rack = Running::start(&[&usual[..], words].concat());
        let address = rack.wait_until_listening("term");
        (rack, address)
    }

    /// Where a gear of the rack, which logs in JSON, listens.
    pub(crate) fn wait_until_listening(&mut self, gear: &str) -> String {
        self.wait_for(|line| {
            let event: Json = serde_json::from_str(line).ok()?;
            let is_it = event["message"] == "listening" && event["gear"] == gear;
            is_it.then(|| event["addr"].as_str().unwrap().to_owned())
        })
    }

    /// Waits until each of these gears of the rack has a connection.
    pub(crate) fn wait_until_connected(&mut self, gears: &[&str]) {
        for gear in gears {
            let is_connected = |line: &str| {
                let event: Json = serde_json::from_str(line).ok()?;
                (event["message"] == "connected" && event["gear"] == *gear).then_some(())
            };
            if !self.printed.lines().any(|line| is_connected(line).is_some()) {
                self.wait_for(is_connected);
            }
        }
    }

    /// What `wanted` finds in one of the lines to come.
    pub(crate) fn wait_for<T>(&mut self, wanted: impl Fn(&str) -> Option<T>) -> T {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|why| panic!("{why}, after:\n{}", self.printed));
            self.printed += &format!("{line}\n");
            if let Some(found) = wanted(&line) {
                return found;
            }
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, `TERM` or `KILL`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends its standard input.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.printed += &format!("{line}\n");
        }
        self.child.try_wait().unwrap().unwrap_or_else(|| {
            // Both pipes are closed, so all that is left is to be collected.
            self.child.wait().unwrap()
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(pipe: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
}
