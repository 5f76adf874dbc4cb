//! A mesh wire on a real server: what it publishes beside raw async-nats, how fast a backlog drains, and what that does to a
//! wire that is live.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use async_nats::jetstream::{context::ContextBuilder, stream};
use bytes::Bytes;
use clap::Args;
use flux_journal::{Config, Consumer, Journal, Keys, Start};
use flux_mesh::{Letters, Line, MeshWire, Receiver, STAMP_BYTES, Sender, make_outbox};
use flux_nats::{NatsBus, Settings};
use flux_world::World;
use futures_util::{StreamExt, stream::FuturesUnordered};
use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;

/// Bytes of a message.
const BYTES: usize = 256;
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(300);
/// Time between messages of the wire that is live.
const LIVE_EVERY: Duration = Duration::from_millis(5);
/// Records of one append.
const APPEND: usize = 256;

#[derive(Args, Clone)]
pub(crate) struct Mesh {
    /// The server
    #[arg(long)]
    server: String,
    /// Messages of one round of publishing
    #[arg(long, default_value_t = 200_000)]
    messages: u64,
    /// Messages out at a time on the raw side: about what 16 packs of ours hold
    #[arg(long, default_value_t = 7_000)]
    window: usize,
    /// Messages of the backlog
    #[arg(long, default_value_t = 600_000)]
    backlog: u64,
    /// Rounds of both sides in turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// Whatever cannot be received fails the measurement.
#[derive(Debug)]
struct NoLetters;

impl Letters for NoLetters {
    fn keep(
        &self,
        _: Bytes,
        reason: &'static str,
        message: String,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        panic!("{reason}: {message}")
    }
}

/// One end of a wire at work.
struct End<T> {
    journal: Journal,
    what: Arc<T>,
    task: JoinHandle<()>,
}

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct House {
    world: World,
    line: Line,
    directory: tempfile::TempDir,
}

impl Mesh {
    pub(crate) async fn run(&self) -> Result<Json> {
        let (mut ours, mut raw, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=self.rounds {
            let raw_rate = self.raw(round).await?;
            let our_rate = self.published(round).await?;
            if round > 0 {
                ratios.push(our_rate / raw_rate);
                raw.push(raw_rate);
                ours.push(our_rate);
            }
        }
        let drained = Box::pin(self.drained()).await?;
        Ok(
            json!({ "publish_per_s": spread(&mut ours), "raw_per_s": spread(&mut raw), "ratio": spread(&mut ratios), "drain": drained }),
        )
    }

    /// Messages a second that async-nats stores one by one, a window of them out.
    async fn raw(&self, round: usize) -> Result<f64> {
        let client = async_nats::connect(&self.server).await?;
        let context = ContextBuilder::new().max_ack_inflight(self.window + 1).build(client);
        let (name, subject) = (format!("raw-{round}"), format!("raw.{round}"));
        let config =
            stream::Config { name: name.clone(), subjects: vec![subject.clone()], ..Default::default() };
        context.create_stream(config).await?;
        let (body, mut out) = (Bytes::from(vec![7; BYTES]), FuturesUnordered::new());
        let began = Instant::now();
        for _ in 0..self.messages {
            if out.len() >= self.window {
                let acknowledged: Option<Result<_, _>> = out.next().await;
                acknowledged.transpose()?;
            }
            out.push(context.publish(subject.clone(), body.clone()).await?.into_future());
        }
        while let Some(acknowledged) = out.next().await {
            acknowledged?;
        }
        let rate = self.messages as f64 / began.elapsed().as_secs_f64();
        context.delete_stream(name).await?;
        Ok(rate)
    }

    /// Messages a second that a mesh wire stores, from the first append to its outbox to the last pack that the bus has. They are
    /// on disk here before they are sent.
    async fn published(&self, round: usize) -> Result<f64> {
        let house = House::new(&self.server).await?;
        let north = house.sender(&format!("publish-{round}"))?;
        let south = house.receiver(&format!("publish-{round}"))?;
        until(|| north.what.status().is_connected).await?;
        let began = Instant::now();
        append(&north.journal, self.messages).await?;
        until(|| {
            let status = north.what.status();
            status.stores == 0 && status.sent + status.acknowledged == self.messages
        })
        .await?;
        let rate = self.messages as f64 / began.elapsed().as_secs_f64();
        until(|| north.what.status().acknowledged == self.messages).await?;
        ensure!(south.what.status().received == self.messages, "they are not all there");
        Ok(rate)
    }

    /// How fast a backlog drains, from the moment the receiver is there, and how long a message of another wire takes meanwhile.
    async fn drained(&self) -> Result<Json> {
        let house = House::new(&self.server).await?;
        let backlog = house.sender("backlog")?;
        append(&backlog.journal, self.backlog).await?;
        let (live, live_south) = (house.sender("live")?, house.receiver("live")?);
        let arrivals = live_south.journal.consumer("probe", Start::Oldest)?;
        let mut probe = Probe { outbox: live.journal.clone(), arrivals, sent: 0 };
        let mut steady = histogram();
        for _ in 0..1_000 {
            steady.saturating_record(probe.next().await?);
        }
        let south = house.receiver("backlog")?;
        let (began, mut during) = (Instant::now(), histogram());
        while backlog.what.status().acknowledged < self.backlog {
            ensure!(began.elapsed() < PATIENCE, "{:?} {:?}", backlog.what.status(), south.what.status());
            during.saturating_record(probe.next().await?);
        }
        let rate = self.backlog as f64 / began.elapsed().as_secs_f64();
        let status = south.what.status();
        ensure!(status.received == self.backlog, "{status:?}");
        let us = |histogram: &Histogram<u64>| json!({ "p50_us": histogram.value_at_quantile(0.5), "p99_us": histogram.value_at_quantile(0.99), "messages": histogram.len() });
        Ok(json!({
            "messages": self.backlog, "per_s": rate, "steady": us(&steady), "during": us(&during),
            "again_packs": status.again, "gaps": status.gaps, "sent_again": backlog.what.status().sent_again,
        }))
    }
}

impl House {
    async fn new(server: &str) -> Result<House> {
        let world = World::real();
        let connect = async || NatsBus::connect(&world, Settings::new(vec![server.to_owned()])).await;
        let line = Line { data: Arc::new(connect().await?), control: Arc::new(connect().await?) };
        Ok(House { world, line, directory: tempfile::tempdir_in(".")? })
    }

    fn open(&self, wire: &str, end: &str) -> Result<Journal> {
        let directory = self.directory.path().join(wire).join(end);
        let config = Config { window_records: 65_536, ..Config::default() };
        Ok(Journal::open(&self.world, Path::new(&directory), config, Keys::none())?.0)
    }

    fn sender(&self, wire: &str) -> Result<End<Sender>> {
        let journal = self.open(wire, "outbox")?;
        make_outbox(&journal, self.world.clock)?;
        let route = MeshWire::new("north", "south", wire)?;
        let what = Arc::new(Sender::new(self.world.clone(), route, self.line.clone()));
        let (sender, outbox) = (what.clone(), journal.clone());
        let task = tokio::spawn(async move { drop(sender.run(&outbox).await) });
        Ok(End { journal, what, task })
    }

    fn receiver(&self, wire: &str) -> Result<End<Receiver>> {
        let journal = self.open(wire, "inbox")?;
        let route = MeshWire::new("north", "south", wire)?;
        let (line, letters) = (self.line.clone(), Arc::new(NoLetters));
        let what = Arc::new(Receiver::new(self.world.clone(), route, line, letters, &Config::default()));
        let (receiver, inbox) = (what.clone(), journal.clone());
        let task = tokio::spawn(async move { drop(receiver.run(&inbox).await) });
        Ok(End { journal, what, task })
    }
}

async fn append(outbox: &Journal, messages: u64) -> Result<()> {
    let batch = vec![vec![7; BYTES]; APPEND];
    let mut left = messages as usize;
    while left > 0 {
        let count = left.min(APPEND);
        outbox.append_batch(&batch[..count]).await?;
        left -= count;
    }
    Ok(outbox.sync().await?)
}

/// The wire that is live: a message at a time, each awaited.
struct Probe {
    outbox: Journal,
    arrivals: Consumer,
    sent: u64,
}

impl Probe {
    /// Microseconds from the append to the outbox until the message is in the inbox, both on disk.
    async fn next(&mut self) -> Result<u64> {
        tokio::time::sleep(LIVE_EVERY).await;
        let mut body = [0; BYTES];
        self.sent += 1;
        body[..8].copy_from_slice(&self.sent.to_le_bytes());
        let began = Instant::now();
        self.outbox.append(&body).await?;
        loop {
            let batch = tokio::time::timeout(PATIENCE, self.arrivals.next(1)).await??;
            let Some(record) = batch.records.first() else { continue };
            ensure!(record.body[STAMP_BYTES..] == body, "another message than the one that was sent");
            self.arrivals.settle(record.sequence);
            return Ok(began.elapsed().as_micros() as u64);
        }
    }
}

async fn until(is_it: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    while !is_it() {
        ensure!(began.elapsed() < PATIENCE, "it takes too long");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("up to ten minutes, three digits")
}

fn spread(values: &mut [f64]) -> Json {
    values.sort_by(f64::total_cmp);
    json!({ "median": values[values.len() / 2], "min": values.first(), "max": values.last() })
}
