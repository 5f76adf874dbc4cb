//! The processes of a run, and where they keep what they know.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value as Json;

use super::{
    janitor::Janitor,
    ledger::{Ledger, Verdict},
    network::Network,
    signal,
};

/// Longest wait for anything to go on.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks at a ledger.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Time between two questions to the rack.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// What comes twice may come after the last.
const AFTERMATH: Duration = Duration::from_millis(500);

/// What a house is to be.
pub(super) struct Site {
    pub(super) fluxrig: PathBuf,
    /// Emptied first.
    pub(super) directory: PathBuf,
    /// The seed of the network, where that is no good.
    pub(super) bad_network: Option<u64>,
    /// The size of the disk of the state directory, where it has one of its own.
    pub(super) disk_mib: Option<u64>,
}

/// See above.
pub(super) struct House {
    site: Site,
    pub(super) sender: Child,
    pub(super) receiver: Child,
    rack: Child,
    pub(super) accepted: Ledger,
    pub(super) arrived: Ledger,
    /// Arrivals when the rack was started last.
    arrived_before: u64,
    pub(super) network: Network,
    /// Last, so that everybody is gone when it cleans up.
    _janitor: Janitor,
}

impl House {
    pub(super) fn open(site: Site) -> Result<House> {
        let directory = &site.directory;
        if directory.exists() {
            let shown = directory.display();
            fs::remove_dir_all(directory)
                .with_context(|| format!("cannot empty `{shown}`: is another run there? --dir names one"))?;
        }
        fs::create_dir_all(directory.join("state"))?;
        let mut janitor = Janitor::hire()?;
        if let Some(mib) = site.disk_mib {
            mount(&directory.join("state"), mib, &mut janitor)?;
        }
        let network = match site.bad_network {
            Some(seed) => Network::bad(seed, &mut janitor)?,
            None => Network::good()?,
        };
        fs::write(directory.join("chaos.yaml"), scenario(&network.front[0], &network.back[1]))?;
        fs::write(directory.join("fluxrig.toml"), SETTINGS)?;
        let [accepted, arrived] = ["accepted", "arrived"].map(|name| directory.join(name));
        let part = |party: &str, address: &str, ledger: &Path| {
            let mut command = network.command(party, std::env::current_exe()?);
            command.args([&format!("chaos-{party}"), address]).arg(ledger).stdin(Stdio::piped());
            command.spawn().with_context(|| format!("cannot start the {party}"))
        };
        let receiver = part("receiver", &network.back[0], &arrived)?;
        let rack = start_rack(&site, &network)?;
        let sender = part("sender", &network.front[1], &accepted)?;
        Ok(House {
            sender,
            receiver,
            rack,
            accepted: Ledger::new(accepted),
            arrived: Ledger::new(arrived),
            arrived_before: 0,
            network,
            site,
            _janitor: janitor,
        })
    }

    pub(super) fn start_rack(&mut self) -> Result<()> {
        self.arrived_before = self.arrived.count();
        self.rack = start_rack(&self.site, &self.network)?;
        Ok(())
    }

    pub(super) fn kill_rack(&mut self) -> Result<()> {
        self.rack.kill()?;
        self.rack.wait()?;
        Ok(())
    }

    /// Whether it ended by itself.
    pub(super) fn has_rack_ended(&mut self) -> Result<bool> {
        Ok(self.rack.try_wait()?.is_some())
    }

    pub(super) fn stop_rack_for(&self, span: Duration) -> Result<()> {
        signal(&self.rack, "STOP")?;
        thread::sleep(span);
        signal(&self.rack, "CONT")
    }

    /// The journal of the wire.
    pub(super) fn journal(&self) -> PathBuf {
        self.site.directory.join("state").join("wires").join("chaos")
    }

    /// What the racks have logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(log_of(&self.site.directory)).unwrap_or_default()
    }

    /// Waits until something arrives by the rack that runs now.
    pub(super) fn wait_for_progress(&mut self) -> Result<()> {
        let (arrived, before) = (self.arrived.clone(), self.arrived_before);
        self.wait_until("anything arrives", LOOK_EVERY, |_| Ok(arrived.count() > before))
    }

    /// Waits until the rack, which has to live, is in a certain state.
    pub(super) fn wait_for_status(&mut self, what: &str, is_so: impl Fn(&Json) -> bool) -> Result<()> {
        self.wait_until(what, ASK_EVERY, |house| Ok(house.status()?.is_some_and(|status| is_so(&status))))
    }

    pub(super) fn wait_until(
        &mut self,
        what: &str,
        look_every: Duration,
        mut is_so: impl FnMut(&mut House) -> Result<bool>,
    ) -> Result<()> {
        let began = Instant::now();
        let mut arrivals = (self.arrived.count(), began);
        while !is_so(self)? {
            self.ensure_all_run()?;
            let count = self.arrived.count();
            if count != arrivals.0 {
                arrivals = (count, Instant::now());
            }
            ensure!(
                arrivals.1.elapsed() < PATIENCE,
                "in {PATIENCE:?} it did not come to this: {what}; {}",
                self.place()
            );
            thread::sleep(look_every);
        }
        Ok(())
    }

    fn ensure_all_run(&mut self) -> Result<()> {
        if let Some(status) = self.rack.try_wait()? {
            bail!("the rack ended by itself: {status}; {}", self.place());
        }
        let receiver = self.receiver.try_wait()?;
        ensure!(
            receiver.is_none(),
            "the receiver ended by itself: something arrived that nobody sent; {}",
            self.place()
        );
        Ok(())
    }

    fn place(&self) -> String {
        format!("see {}", log_of(&self.site.directory).display())
    }

    /// Messages that were sent and have not arrived.
    pub(super) fn in_flight(&self) -> Result<u64> {
        Ok(self.accepted.mark()?.saturating_sub(self.arrived.mark()?))
    }

    /// What the rack says of itself, if it does.
    pub(super) fn status(&self) -> Result<Option<Json>> {
        let state = self.site.directory.join("state");
        let output =
            Command::new(&self.site.fluxrig).args(["status", "--json", "--state-dir"]).arg(state).output()?;
        Ok(serde_json::from_slice(&output.stdout).ok())
    }

    /// Runs `fluxrig journal`; its exit code and what it printed.
    pub(super) fn journal_command(&self, word: &str) -> Result<(Option<i32>, String)> {
        let mut command = Command::new(&self.site.fluxrig);
        let output = command.args(["journal", word]).arg(self.journal()).output()?;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    /// Lets the sender finish, waits until nothing arrives any more, and compares. `reported` were damaged.
    pub(super) fn close(mut self, reported: &[u64]) -> Result<Verdict> {
        // The end of its input tells it to send nothing new and to wait for what is not acknowledged.
        drop(self.sender.stdin.take());
        self.wait_until("the sender is acknowledged what it sent", LOOK_EVERY, |house| {
            Ok(house.sender.try_wait()?.is_some())
        })?;
        let accepted = self.accepted.read()?;
        let mut last_change = Instant::now();
        let mut count = self.arrived.count();
        while self.arrived.mark()? < accepted.len() as u64 && last_change.elapsed() < PATIENCE {
            self.ensure_all_run()?;
            thread::sleep(LOOK_EVERY);
            let now = self.arrived.count();
            if now != count {
                (count, last_change) = (now, Instant::now());
            }
        }
        thread::sleep(AFTERMATH);
        self.ensure_all_run()?;
        let status = self.status()?.context("the rack does not say how it does")?;
        let dead_lettered = status["dead_letters"].as_u64().context("it does not tell its dead letters")?;
        self.kill_rack()?;
        let (code, told) = self.journal_command("check")?;
        ensure!(code == Some(0), "the journal is not clean: {told}");
        drop(self.receiver.stdin.take());
        self.receiver.wait()?;
        Ok(Verdict::of(&accepted, &self.arrived.read()?, dead_lettered, reported))
    }
}

impl Drop for House {
    fn drop(&mut self) {
        for process in [&mut self.sender, &mut self.rack, &mut self.receiver] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn start_rack(site: &Site, network: &Network) -> Result<Child> {
    let log = fs::File::options().create(true).append(true).open(log_of(&site.directory))?;
    let mut command = network.command("rack", &site.fluxrig);
    command
        .args([
            "--log-level",
            "warn",
            "run",
            "chaos.yaml",
            "--config",
            "fluxrig.toml",
            "--state-dir",
            "state",
        ])
        // So that it does not outlive us.
        .arg("--until-stdin-ends")
        .current_dir(&site.directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log);
    command.spawn().context("cannot start the rack")
}

fn mount(at: &Path, mib: u64, janitor: &mut Janitor) -> Result<()> {
    let path = at.to_str().context("the directory is not UTF-8 text")?;
    janitor.expect_mount(path)?;
    let mut command = Command::new("mount");
    let output = command.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs", path]).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot mount a tmpfs at `{path}`, which needs root: {}", told.trim());
    Ok(())
}

fn log_of(directory: &Path) -> PathBuf {
    directory.join("rack.log")
}

/// A full queue waits for the receiver as long as it takes; short segments, so that there are many.
const SETTINGS: &str = "[rack]\nprocess_timeout = \"10m\"\n\n[store]\nsegment_bytes = \"1MiB\"\n";

fn scenario(front: &str, back: &str) -> String {
    format!(
        "meta: {{name: chaos, version: 1.0.0}}\ngears:\n  - {{name: front, type: io_tcp, config: {{mode: server, bind: \
         '{front}', acknowledge: ok, delimiter_append: true}}}}\n  - {{name: back, type: io_tcp, config: {{mode: \
         client, connect: '{back}', await_acknowledgement: true, delimiter_append: true, reconnect_wait: 5ms, \
         reconnect_wait_max: 50ms}}}}\nwires:\n  - {{id: chaos, from: front.out, to: back.in, lane: durable}}\n"
    )
}
