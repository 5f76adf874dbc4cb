//! Chaos: real processes, real disks. A rack with a durable wire between two connections is killed at random moments
//! under load, and afterwards the ledgers of those at both ends are held against each other.
//!
//! ```text
//! sender ==> io_tcp (acknowledge) ==> durable wire ==> io_tcp (await_acknowledgement) ==> receiver
//!   ledger: what was acknowledged        killed, again and again           ledger: what arrived
//! ```
//!
//! *Accepted* is what the rack acknowledged to the sender. Each of those must be in the receiver's ledger, or be a dead
//! letter; else it is lost. A message may arrive twice, since whoever is killed cannot say what it had already done.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

mod ledger;
mod options;
mod proxy;
mod receiver;
mod sender;

pub(crate) use receiver::receive;
pub(crate) use sender::send;

use ledger::{Ledger, Verdict};
use options::Options;

/// Longest wait for anything to go on.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks at a ledger.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Kills as often as it is told to, and says what came of it. An error when anything was lost.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let options = Options::parse(words)?;
    let mut house = House::open(build()?, &options)?;
    let mut random = Random(options.seed);
    let mut in_flight = Vec::new();
    for kill in 1..=options.kills {
        // One in ten is killed while it recovers from the kill before.
        if random.below(10) > 0 {
            house.wait_for_progress()?;
        }
        thread::sleep(Duration::from_micros(random.below(options.longest_life.as_micros() as u64)));
        in_flight.push(house.in_flight()?);
        house.kill_rack()?;
        if random.below(20) == 0 {
            // Now and then the others find nobody for a while.
            thread::sleep(Duration::from_millis(random.below(500)));
        }
        house.start_rack()?;
        if options.stops_at == Some(kill) {
            house.stop_rack_for(options.stop_for)?;
        }
        if !options.is_json && kill % 50 == 0 {
            println!("{kill} kills");
        }
    }
    in_flight.sort_unstable();
    let median = in_flight.get(in_flight.len() / 2).copied().unwrap_or_default();
    let verdict = house.close()?;
    report(&options, &verdict, median);
    ensure!(
        verdict.lost == 0,
        "{} messages that were accepted are lost (seed {})",
        verdict.lost,
        options.seed
    );
    Ok(())
}

fn report(options: &Options, verdict: &Verdict, in_flight_median: u64) {
    let Verdict { accepted, delivered, duplicates, dead_lettered, lost } = verdict;
    let kills = options.kills;
    if options.is_json {
        println!(
            "{{\"kills\":{kills},\"accepted\":{accepted},\"delivered\":{delivered},\"duplicates\":{duplicates},\
             \"dead_lettered\":{dead_lettered},\"lost\":{lost},\"in_flight_median\":{in_flight_median},\"seed\":{}}}",
            options.seed
        );
    } else {
        println!(
            "{kills} kills (seed {}), {in_flight_median} messages in flight at the median: {accepted} accepted, \
             {delivered} delivered, {duplicates} of them more than once, {dead_lettered} dead letters, {lost} lost",
            options.seed
        );
    }
}

/// Builds the rack; it lies beside us.
fn build() -> Result<PathBuf> {
    let line = "cargo build --quiet --package fluxrig";
    crate::shell::output(line).with_context(|| format!("`{line}` failed"))?;
    Ok(std::env::current_exe()?.with_file_name("fluxrig"))
}

/// The processes, and where they keep what they know.
struct House {
    fluxrig: PathBuf,
    directory: PathBuf,
    sender: Child,
    receiver: Child,
    rack: Child,
    accepted: Ledger,
    arrived: Ledger,
    /// Arrivals when the rack was started last.
    arrived_before: u64,
}

impl House {
    fn open(fluxrig: PathBuf, options: &Options) -> Result<House> {
        let directory = options.directory.clone();
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory)?;
        let [front, back] = [free_port()?, free_port()?];
        let [mut to_front, mut to_back] = [front, back];
        if options.has_bad_network {
            [to_front, to_back] = [proxy::start(front, options.seed)?, proxy::start(back, options.seed + 1)?];
        }
        fs::write(directory.join("chaos.yaml"), scenario(front, to_back))?;
        fs::write(directory.join("fluxrig.toml"), SETTINGS)?;
        let [accepted, arrived] = ["accepted", "arrived"].map(|name| directory.join(name));
        let part = |word: &str, port: u16, ledger: &Path| {
            let mut command = Command::new(std::env::current_exe()?);
            command.args([word, &port.to_string()]).arg(ledger).stdin(Stdio::piped());
            command.spawn().with_context(|| format!("cannot start `{word}`"))
        };
        let receiver = part("chaos-receiver", back, &arrived)?;
        let rack = start_rack(&fluxrig, &directory)?;
        let sender = part("chaos-sender", to_front, &accepted)?;
        Ok(House {
            fluxrig,
            directory,
            sender,
            receiver,
            rack,
            accepted: Ledger::new(accepted),
            arrived: Ledger::new(arrived),
            arrived_before: 0,
        })
    }

    fn start_rack(&mut self) -> Result<()> {
        self.arrived_before = self.arrived.count();
        self.rack = start_rack(&self.fluxrig, &self.directory)?;
        Ok(())
    }

    /// Waits until something arrives by the rack that runs now.
    fn wait_for_progress(&mut self) -> Result<()> {
        let began = Instant::now();
        while self.arrived.count() <= self.arrived_before {
            if let Some(status) = self.rack.try_wait()? {
                bail!(
                    "the rack ended by itself: {status}; see {}",
                    self.directory.join("rack.log").display()
                );
            }
            ensure!(began.elapsed() < PATIENCE, "nothing arrives for {PATIENCE:?}");
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Messages that were sent and have not arrived.
    fn in_flight(&self) -> Result<u64> {
        Ok(self.accepted.mark()?.saturating_sub(self.arrived.mark()?))
    }

    fn kill_rack(&mut self) -> Result<()> {
        self.rack.kill()?;
        self.rack.wait()?;
        Ok(())
    }

    fn stop_rack_for(&mut self, span: Duration) -> Result<()> {
        let signal = |name: &str| {
            Command::new("kill").args(["-s", name, &self.rack.id().to_string()]).status().map(|_| ())
        };
        signal("STOP")?;
        thread::sleep(span);
        signal("CONT")?;
        Ok(())
    }

    /// Lets the sender finish, waits until nothing arrives any more, and compares.
    fn close(mut self) -> Result<Verdict> {
        // The end of its input tells it to send nothing new and to wait for what is not acknowledged.
        drop(self.sender.stdin.take());
        let began = Instant::now();
        while self.sender.try_wait()?.is_none() {
            ensure!(began.elapsed() < PATIENCE, "the sender is not acknowledged what it sent");
            thread::sleep(LOOK_EVERY);
        }
        let accepted = self.accepted.read()?;
        let mut last_change = Instant::now();
        let mut count = self.arrived.count();
        while self.arrived.mark()? < accepted.len() as u64 && last_change.elapsed() < PATIENCE {
            thread::sleep(LOOK_EVERY);
            let now = self.arrived.count();
            if now != count {
                (count, last_change) = (now, Instant::now());
            }
        }
        // What comes twice may come after the last.
        thread::sleep(Duration::from_millis(500));
        let dead_lettered = self.dead_letters()?;
        self.kill_rack()?;
        drop(self.receiver.stdin.take());
        self.receiver.wait()?;
        Ok(Verdict::of(&accepted, &self.arrived.read()?, dead_lettered))
    }

    fn dead_letters(&self) -> Result<u64> {
        let mut command = Command::new(&self.fluxrig);
        let output =
            command.args(["status", "--json", "--state-dir"]).arg(self.directory.join("state")).output()?;
        let text = String::from_utf8(output.stdout)?;
        let count = text
            .rsplit("\"dead_letters\":")
            .next()
            .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok());
        count.flatten().with_context(|| format!("the rack does not tell its dead letters: {text}"))
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

fn start_rack(fluxrig: &Path, directory: &Path) -> Result<Child> {
    let log = fs::File::options().create(true).append(true).open(directory.join("rack.log"))?;
    let mut command = Command::new(fluxrig);
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
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command.spawn().context("cannot start the rack")
}

/// A full queue waits for the receiver as long as it takes.
const SETTINGS: &str = "[rack]\nprocess_timeout = \"10m\"\n";

fn scenario(front: u16, back: u16) -> String {
    format!(
        "meta: {{name: chaos, version: 1.0.0}}\ngears:\n  - {{name: front, type: io_tcp, config: {{mode: server, bind: \
         '127.0.0.1:{front}', acknowledge: ok, delimiter_append: true}}}}\n  - {{name: back, type: io_tcp, config: {{mode: \
         client, connect: '127.0.0.1:{back}', await_acknowledgement: true, delimiter_append: true, reconnect_wait: 5ms, \
         reconnect_wait_max: 50ms}}}}\nwires:\n  - {{id: chaos, from: front.out, to: back.in, lane: durable}}\n"
    )
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A stream of numbers, the same for a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n.max(1)
    }
}
