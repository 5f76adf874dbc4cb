//! The journal beside the floor of the disk and beside stores that could carry it: `flux-bench journal`.
//!
//! Each round prints the floor before and after it: a 300-byte write and `fdatasync` into reserved space, and a thread's
//! wake-up. Every side writes 300-byte records and waits until they are on disk, in the same directory, in turns.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use flux_journal::{Config, Journal, Keys};
use flux_world::World;
use serde_json::{Value, json};

mod floor;
#[cfg(feature = "stores")]
mod stores;

use floor::Floor;
#[cfg(feature = "stores")]
use stores::all as others;

/// The body of a record.
const RECORD_BYTES: usize = 300;
/// Records that a windowed producer has out, and that a store commits at a time.
const WINDOW: usize = 1_000;
/// Callers who each wait for their record.
const CALLERS: usize = 64;
/// Records of the journal that is recovered.
const RECOVERED: u64 = 1_000_000;

/// Runs the rounds; figures in messages a second, and as what they are of the floor of their round.
pub(crate) fn run(rounds: usize, seconds: f64) -> anyhow::Result<Value> {
    let length = Duration::from_secs_f64(seconds);
    let base = std::env::current_dir()?;
    let mut report = Vec::new();
    for round in 0..=rounds {
        let before = floor::measure(&base)?;
        let mut sides = vec![("journal", ours(&base, length)?)];
        sides.extend(others(&base, length)?);
        let after = floor::measure(&base)?;
        // The first round warms up.
        if round > 0 {
            let sides: serde_json::Map<String, Value> = sides
                .into_iter()
                .map(|(name, figures)| (name.to_owned(), figures.json(&before, &after)))
                .collect();
            let figures = json!({"floor_before": before.json(), "floor_after": after.json(), "sides": sides});
            #[allow(clippy::print_stderr, reason = "progress beside the result")]
            {
                eprintln!("round {round}: {figures}");
            }
            report.push(figures);
        }
    }
    Ok(json!({"rounds": report, "recovery_ms": recovery(&base, rounds)?}))
}

/// Messages a second in the three ways to wait.
pub(crate) struct Figures {
    /// One caller, one record at a time.
    pub(crate) one: f64,
    /// [`CALLERS`] that each wait for their record; for a store, commits of as many records.
    pub(crate) callers: f64,
    /// [`WINDOW`] records out; for a store, commits of as many records.
    pub(crate) window: f64,
}

impl Figures {
    fn json(&self, before: &Floor, after: &Floor) -> Value {
        let sync_us = (before.sync_p50_us + after.sync_p50_us) / 2.0;
        let wake_us = (before.wake_us + after.wake_us) / 2.0;
        json!({
            "one_per_s": self.one.round(),
            "callers_64_per_s": self.callers.round(),
            "window_1000_per_s": self.window.round(),
            "one_of_floor": self.one * (sync_us + wake_us) / 1e6,
            "callers_64_per_floor": self.callers * sync_us / 1e6,
            "window_1000_per_floor": self.window * sync_us / 1e6,
        })
    }
}

/// Without the stores the journal stands beside the floor alone.
#[cfg(not(feature = "stores"))]
fn others(_base: &Path, _length: Duration) -> anyhow::Result<Vec<(&'static str, Figures)>> {
    Ok(Vec::new())
}

fn ours(base: &Path, length: Duration) -> anyhow::Result<Figures> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        Ok(Figures {
            one: in_a_journal(base, length, async |journal, until| one_by_one(&journal, until).await).await?,
            callers: in_a_journal(base, length, callers).await?,
            window: in_a_journal(base, length, async |journal, until| windowed(&journal, until).await)
                .await?,
        })
    })
}

/// Runs a load on a new journal; messages a second.
async fn in_a_journal(
    base: &Path,
    length: Duration,
    load: impl AsyncFnOnce(Journal, Instant) -> anyhow::Result<u64>,
) -> anyhow::Result<f64> {
    let directory = tempfile::tempdir_in(base)?;
    let config = Config { bytes_max: 64 << 30, ..Config::default() };
    let (journal, _) = Journal::open(&World::real(), directory.path(), config, Keys::none())?;
    let began = Instant::now();
    let records = load(journal.clone(), began + length).await?;
    let rate = records as f64 / began.elapsed().as_secs_f64();
    journal.close().await?;
    Ok(rate)
}

async fn one_by_one(journal: &Journal, until: Instant) -> anyhow::Result<u64> {
    let body = [7; RECORD_BYTES];
    let mut records = 0;
    while Instant::now() < until {
        journal.append(&body).await?.wait().await?;
        records += 1;
    }
    Ok(records)
}

async fn callers(journal: Journal, until: Instant) -> anyhow::Result<u64> {
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let journal = journal.clone();
            tokio::spawn(async move { one_by_one(&journal, until).await })
        })
        .collect();
    let mut records = 0;
    for caller in callers {
        records += caller.await??;
    }
    Ok(records)
}

async fn windowed(journal: &Journal, until: Instant) -> anyhow::Result<u64> {
    let body = [7; RECORD_BYTES];
    let mut out = std::collections::VecDeque::with_capacity(WINDOW);
    let mut records = 0;
    while Instant::now() < until {
        while out.len() < WINDOW {
            out.push_back(journal.append(&body).await?);
        }
        let oldest = out.pop_front().context("the window is full")?;
        oldest.wait().await?;
        records += 1;
        while out.front().is_some_and(flux_journal::Receipt::is_safe) {
            out.pop_front();
            records += 1;
        }
    }
    Ok(records)
}

/// Milliseconds from opening a journal that was killed to its first acknowledged record.
fn recovery(base: &Path, rounds: usize) -> anyhow::Result<Vec<f64>> {
    (0..rounds)
        .map(|_| {
            let directory = tempfile::tempdir_in(base)?;
            let mut child = std::process::Command::new(std::env::current_exe()?)
                .args(["journal-fill"])
                .arg(directory.path())
                .stdout(std::process::Stdio::piped())
                .spawn()?;
            let mut line = String::new();
            let output = child.stdout.take().context("its output is ours")?;
            std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)?;
            child.kill()?;
            child.wait()?;
            anyhow::ensure!(line == "filled\n", "the journal was not filled: {line}");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let began = Instant::now();
            let (journal, found) =
                Journal::open(&World::real(), directory.path(), Config::default(), Keys::none())?;
            runtime.block_on(async { journal.append(b"first").await?.wait().await })?;
            let took = began.elapsed();
            anyhow::ensure!(found.records == RECOVERED, "{found:?}");
            Ok(took.as_secs_f64() * 1e3)
        })
        .collect()
}

/// Fills a journal, says so, and waits to be killed.
#[allow(clippy::print_stdout, reason = "it tells its parent")]
pub(crate) fn fill(directory: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (journal, _) = Journal::open(&World::real(), directory, Config::default(), Keys::none())?;
        let body = [7; RECORD_BYTES];
        let batch = [&body; WINDOW];
        let mut last = None;
        for _ in 0..RECOVERED / WINDOW as u64 {
            last = Some(journal.append_batch(&batch).await?);
        }
        last.context("there are records")?.wait().await?;
        println!("filled");
        std::future::pending::<()>().await;
        Ok(())
    })
}
