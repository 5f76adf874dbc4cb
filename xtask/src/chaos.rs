//! Chaos: real processes, real disks. A rack with a durable wire between two connections is done harm under load, and
//! afterwards the ledgers of those at both ends are held against each other.
//!
//! ```text
//! sender ==> io_tcp (acknowledge) ==> durable wire ==> io_tcp (await_acknowledgement) ==> receiver
//!   ledger: what was acknowledged        killed, again and again           ledger: what arrived
//! ```
//!
//! *Accepted* is what the rack acknowledged to the sender. Each of those must be in the receiver's ledger, or be a dead
//! letter; else it is lost. A message may arrive twice, since whoever is killed cannot say what it had already done.

use std::{
    path::PathBuf,
    process::{Child, Command},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

mod house;
mod janitor;
mod ledger;
mod network;
mod options;
mod parts;
mod proxy;
mod receiver;
mod segments;
mod sender;
mod tear;

pub(crate) use janitor::clean_up;
pub(crate) use proxy::run as pass_on;
pub(crate) use receiver::receive;
pub(crate) use sender::send;

use house::Site;
use ledger::Verdict;
use options::{HELP, Options};

/// Some of everything, in about a minute: what the test command runs.
const MINUTE: [&str; 3] =
    ["--kills 20 --torn --flip-bits 2", "--kills 10 --fault-proxy", "--kills 0 --full-disk 1"];

/// What was done.
#[derive(Default)]
struct Report {
    in_flight_median: u64,
    torn: u64,
    partitions: u64,
    full_disks: u64,
    flips: u64,
}

/// Does harm as often as it is told to, and says what came of it. An error when anything was lost.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let Some(options) = Options::parse(words)? else {
        print!("{HELP}");
        return Ok(());
    };
    let fluxrig = build()?;
    let mut random = Random(options.seed);
    let (mut report, mut verdict) = (Report::default(), Verdict::default());
    let site = || Site {
        fluxrig: fluxrig.clone(),
        directory: options.directory.clone(),
        bad_network: options.has_bad_network.then_some(options.seed),
        disk_mib: None,
    };
    let seed = options.seed;
    let with_seed = || format!("seed {seed}");
    if options.kills > 0 {
        verdict.add(parts::kills(site(), &options, &mut random, &mut report).with_context(with_seed)?);
    }
    if options.full_disks > 0 && parts::can_mount()? {
        verdict.add(parts::full_disks(site(), &options, &mut random, &mut report).with_context(with_seed)?);
    }
    if options.flips > 0 {
        verdict.add(parts::flips(site(), &options, &mut random, &mut report).with_context(with_seed)?);
    }
    tell(&options, &report, &verdict);
    ensure!(verdict.lost == 0, "{} messages that were accepted are lost (seed {seed})", verdict.lost);
    Ok(())
}

/// See [`MINUTE`].
pub(crate) fn minute() -> Result<()> {
    for words in MINUTE {
        println!("$ cargo xtask chaos {words}");
        run(&words.split(' ').collect::<Vec<_>>())?;
    }
    Ok(())
}

fn tell(options: &Options, report: &Report, verdict: &Verdict) {
    let Verdict { accepted, delivered, duplicates, dead_lettered, damaged, lost } = verdict;
    let Report { in_flight_median, torn, partitions, full_disks, flips } = report;
    let Options { kills, seed, .. } = options;
    if options.is_json {
        let told = json!({
            "kills": kills, "accepted": accepted, "delivered": delivered, "duplicates": duplicates,
            "dead_lettered": dead_lettered, "lost": lost, "in_flight_median": in_flight_median, "torn": torn,
            "partitions": partitions, "full_disks": full_disks, "flipped_bits": flips, "damaged": damaged, "seed": seed,
        });
        println!("{told}");
        return;
    }
    let mut harm = Vec::new();
    if *kills > 0 {
        harm.push(format!("{kills} kills, {in_flight_median} messages in flight at the median"));
    }
    for (times, what) in [
        (torn, "torn files"),
        (partitions, "partitions"),
        (full_disks, "full disks"),
        (flips, "flipped bits"),
    ] {
        if *times > 0 {
            harm.push(format!("{times} {what}"));
        }
    }
    println!(
        "{} (seed {seed}): {accepted} accepted, {delivered} delivered, {duplicates} of them more than once, \
         {dead_lettered} dead letters, {lost} lost",
        harm.join(", ")
    );
    if !damaged.is_empty() {
        println!("reported as damaged, and not delivered: {damaged:?}");
    }
}

/// Builds the rack; it lies beside us.
fn build() -> Result<PathBuf> {
    let line = "cargo build --quiet --package fluxrig";
    crate::shell::output(line).with_context(|| format!("`{line}` failed"))?;
    Ok(std::env::current_exe()?.with_file_name("fluxrig"))
}

/// Sends a signal to a process.
fn signal(process: &Child, name: &str) -> Result<()> {
    let status = Command::new("kill").args(["-s", name, &process.id().to_string()]).status()?;
    ensure!(status.success(), "cannot send SIG{name}");
    Ok(())
}

/// A stream of numbers, the same for a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn millis(&mut self, n: u64) -> Duration {
        Duration::from_millis(self.below(n))
    }

    fn span(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.below(longest.as_micros() as u64))
    }

    fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    /// At least one, and at most so many.
    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        (0..=self.index(longest)).map(|_| self.next() as u8).collect()
    }

    /// Another stream.
    fn fork(&mut self) -> Random {
        Random(self.next())
    }
}
