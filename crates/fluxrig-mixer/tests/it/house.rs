//! A Mixer in a directory of its own, and Racks beside it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::nats_server::{Version, free_port};

/// Within this everything happens.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process, ended with the test.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

pub(crate) struct House {
    pub(crate) directory: TempDir,
    /// Where the API listens.
    port: u16,
    /// How the Mixer is told which bus it is on.
    bus: Vec<String>,
    /// What is added to the settings of the Mixer.
    settings: String,
    mixer: Option<Process>,
    pub(crate) ready: Json,
}

impl Process {
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Process {
        let out = File::create(&log).unwrap();
        command.stderr(out).stdin(Stdio::null());
        Process { child: command.spawn().unwrap(), log }
    }

    /// The same, and the first line that it prints.
    pub(crate) fn start_and_read(command: &mut Command, log: PathBuf) -> (Process, String) {
        let mut process = Process::start(command.stdout(Stdio::piped()), log);
        let mut line = String::new();
        BufReader::new(process.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (process, line)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The exit status, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().unwrap().map(|status| status.code())
    }

    /// As a person would, by SIGTERM; returns the exit status.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        kill(&self.child, Signal::TERM);
        self.wait()
    }

    /// As a person would at the keyboard.
    pub(crate) fn interrupt(&mut self) -> Option<i32> {
        kill(&self.child, Signal::INT);
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl House {
    /// A Mixer with TLS, tokens and a real server; none where there is no server to run.
    pub(crate) fn start(settings: &str) -> Option<House> {
        let server = Version::Newest.program()?.display().to_string();
        let listen = format!("127.0.0.1:{}", free_port());
        Some(House::on(&["--server", &server, "--bus-listen", &listen], settings))
    }

    /// The same with a bus of these words.
    pub(crate) fn on(bus: &[&str], settings: &str) -> House {
        let (directory, bus) =
            (tempfile::tempdir().unwrap(), bus.iter().map(|word| (*word).to_owned()).collect());
        let (port, settings) = (free_port(), settings.to_owned());
        let mut house = House { directory, port, bus, settings, mixer: None, ready: Json::Null };
        house.start_mixer();
        house
    }

    pub(crate) fn start_mixer(&mut self) {
        let config = self.directory.path().join("fluxrig-mixer.toml");
        fs::write(&config, format!("[enrolment]\nheartbeat = \"1s\"\n{}", self.settings)).unwrap();
        let api = format!("127.0.0.1:{}", self.port);
        let mut command = Command::new(env!("CARGO_BIN_EXE_fluxrig-mixer"));
        command
            .args(["--json-ready", "--name", "127.0.0.1", "--listen", &api])
            .args(&self.bus)
            .arg("--config")
            .arg(config)
            .arg("--state-dir")
            .arg(self.directory.path().join("mixer"));
        let log = self.directory.path().join("mixer.log");
        let (process, line) = Process::start_and_read(&mut command, log);
        assert!(!line.is_empty(), "{}", process.log());
        let ready: Json = serde_json::from_str(&line).unwrap();
        if self.ready.is_null() {
            self.ready = ready;
        }
        self.mixer = Some(process);
    }

    pub(crate) fn mixer(&mut self) -> &mut Process {
        self.mixer.as_mut().unwrap()
    }

    pub(crate) fn kill_mixer(&mut self) {
        self.mixer().kill();
    }

    pub(crate) fn api(&self) -> &str {
        self.ready["api"].as_str().unwrap()
    }

    pub(crate) fn fingerprint(&self) -> &str {
        self.ready["ca_fingerprint"].as_str().unwrap()
    }

    /// `fluxrig` in the name of whoever has the first token.
    pub(crate) fn fluxrig(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// The same in the name of whoever has another.
    pub(crate) fn fluxrig_as(&self, token: &str, words: &[&str]) -> Output {
        self.command(words).env("FLUXRIG_API_TOKEN", token).output().unwrap()
    }

    /// The same, and it goes on: what it prints is in the file that is returned.
    pub(crate) fn follow(&self, name: &str, words: &[&str]) -> (Process, PathBuf) {
        let out = self.directory.path().join(format!("{name}.out"));
        let mut command = self.command(words);
        command.stdout(File::create(&out).unwrap());
        (Process::start(&mut command, self.directory.path().join(format!("{name}.log"))), out)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(fluxrig());
        command.args(words).env("HOME", self.directory.path()).env_remove("XDG_CONFIG_HOME");
        command.current_dir(self.directory.path());
        command.env("FLUXRIG_MIXER", self.api()).stdin(Stdio::null());
        if let Some(token) = self.ready["token"].as_str() {
            command.env("FLUXRIG_API_TOKEN", token);
        }
        command
    }

    /// What it prints, when it succeeds.
    pub(crate) fn told(&self, words: &[&str]) -> String {
        let output = self.fluxrig(words);
        let [out, err] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert!(output.status.success(), "{words:?}: {out}{err}");
        out.trim().to_owned()
    }

    /// What it complains of, when it fails.
    pub(crate) fn refused(&self, words: &[&str]) -> String {
        let output = self.fluxrig(words);
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{words:?}: {}{err}",
            String::from_utf8_lossy(&output.stdout)
        );
        err
    }

    pub(crate) fn state_dir(&self, rack: &str) -> String {
        self.directory.path().join(rack).display().to_string()
    }

    /// Enrols by a token that is made for it.
    pub(crate) fn enrol(&self, rack: &str) {
        self.enrol_with(rack, "site=lisbon");
    }

    pub(crate) fn enrol_with(&self, rack: &str, label: &str) {
        let token = self.told(&["racks", "invite", "--rack", rack, "--label", label]);
        self.told(&[
            "rack",
            "enrol",
            "--name",
            rack,
            "--token",
            &token,
            "--state-dir",
            &self.state_dir(rack),
        ]);
    }

    /// Begins something that takes its time.
    pub(crate) fn begin(&self, rack: &str, words: &[&str]) -> Process {
        let mut command = Command::new(fluxrig());
        command.args(words).args(["--state-dir", &self.state_dir(rack)]).current_dir(self.directory.path());
        command.env("FLUXRIG_MIXER", self.api()).stdout(Stdio::null());
        Process::start(&mut command, self.directory.path().join(format!("{rack}.log")))
    }

    pub(crate) fn run(&self, rack: &str) -> Process {
        self.begin(rack, &["rack", "run"])
    }

    /// The rack as the Mixer shows it.
    pub(crate) fn rack(&self, rack: &str) -> Json {
        let listed: Json = serde_json::from_str(&self.told(&["racks", "--json"])).unwrap();
        listed["racks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|listed| listed["name"] == rack)
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn wait_for(&self, rack: &str, liveness: &str) -> Json {
        wait(
            || Some(self.rack(rack)).filter(|rack| rack["liveness"] == liveness),
            || format!("{rack} is not {liveness}: {}", self.rack(rack)),
        )
    }
}

/// Sends a signal.
pub(crate) fn kill(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Waits until there is one.
pub(crate) fn wait<T>(mut look: impl FnMut() -> Option<T>, why: impl Fn() -> String) -> T {
    let until = now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < until, "{}", why());
        thread::sleep(Duration::from_millis(50));
    }
}

#[allow(clippy::disallowed_methods, reason = "a test of processes lives in real time")]
fn now() -> Instant {
    Instant::now()
}

/// The Rack's program, built with this one; where only this package was built, it is built now.
pub(crate) fn fluxrig() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_fluxrig-mixer")).with_file_name("fluxrig");
    if !path.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "-q", "--offline", "-p", "fluxrig"]).status();
        assert!(built.unwrap().success() && path.exists(), "no {}", path.display());
    }
    path
}
