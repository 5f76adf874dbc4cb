//! A chain of three gears: fused, batched across tasks, and tokio channels with a message at a time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use flux_gear::{
    Category, Descriptor, Emitter, Fault, FluxMsg, Gear, GearContext, InPort, OutPort, Outbox, Registry,
    Step, mock::FilesInMemory,
};
use flux_rack::Rack;
use flux_scenario::{
    catalog::Terminus,
    circuit::{Circuit, CircuitGear, CircuitWire},
    scenario::Lane,
    settings::RackSettings,
};
use flux_world::World;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{Notify, mpsc};

const MESSAGES: u64 = 2_000_000;
const BATCH: usize = 64;

static SEEN: AtomicU64 = AtomicU64::new(0);
static ALL: Notify = Notify::const_new();

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

struct Source(GearContext, OutPort);
impl Gear for Source {
    const KIND: &'static str = "source";
    type Config = Nothing;
    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "emits").source("out", "messages")
    }
    fn init(_: Nothing, ctx: &GearContext) -> Result<Source, Fault> {
        Ok(Source(ctx.clone(), ctx.output("out")?))
    }
    async fn start(&mut self, emit: Emitter) -> Result<(), Fault> {
        let (ctx, out) = (self.0.clone(), self.1);
        self.0.spawn(async move {
            let msg = message(&ctx);
            let mut batch = Vec::with_capacity(BATCH);
            for _ in 0..MESSAGES / BATCH as u64 {
                batch.extend((0..BATCH).map(|_| msg.clone()));
                if emit.emit_all(out, &mut batch).await.is_err() {
                    return;
                }
            }
        });
        Ok(())
    }
    fn process(&mut self, _: InPort, _: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        Ok(Step::Done)
    }
}

fn message(ctx: &GearContext) -> FluxMsg {
    ctx.message(bytes::Bytes::from(vec![7; 256]).slice(..))
}

struct Pass(OutPort);
impl Gear for Pass {
    const KIND: &'static str = "pass";
    type Config = Nothing;
    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Logic, "passes").input("in", "any").output("out", "same")
    }
    fn init(_: Nothing, ctx: &GearContext) -> Result<Pass, Fault> {
        Ok(Pass(ctx.output("out")?))
    }
    fn process(&mut self, _: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        out.forward(self.0);
        Ok(Step::Done)
    }
}

struct Count(u64);
impl Gear for Count {
    const KIND: &'static str = "count";
    type Config = Nothing;
    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "counts").input("in", "any")
    }
    fn init(_: Nothing, _: &GearContext) -> Result<Count, Fault> {
        Ok(Count(0))
    }
    fn process(&mut self, _: InPort, msg: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        std::hint::black_box(msg);
        self.0 += 1;
        if self.0 == MESSAGES {
            ALL.notify_one();
        }
        Ok(Step::Done)
    }
}

fn circuit(fuse: bool) -> Circuit {
    let gear = |at: usize, kind: &str, inputs: &[&str], outputs: &[&str]| CircuitGear {
        name: format!("{kind}{at}"),
        kind: kind.into(),
        config: serde_json::json!({}),
        inputs: inputs.iter().map(|s| (*s).into()).collect(),
        outputs: outputs.iter().map(|s| (*s).into()).collect(),
        segment: if fuse { 0 } else { at },
        parallel: 1,
        partition_by: None,
        terminus: Terminus::Opaque,
        labels: BTreeMap::new(),
        doc: None,
    };
    let gears = vec![
        gear(0, "source", &[], &["out"]),
        gear(1, "pass", &["in"], &["out"]),
        gear(2, "pass", &["in"], &["out"]),
        gear(3, "count", &["in"], &[]),
    ];
    let wires = (0..3)
        .map(|i| CircuitWire {
            id: i.to_string(),
            from: (i, 0),
            to: (i + 1, 0),
            lane: Lane::Hot,
            fused: fuse && i > 0,
        })
        .collect();
    let segments = if fuse { vec![vec![0, 1, 2, 3]] } else { (0..4).map(|i| vec![i]).collect() };
    Circuit { gears, wires, segments, drain_order: vec![0, 1, 2, 3] }
}

async fn rack(fuse: bool) -> f64 {
    SEEN.store(0, Ordering::Relaxed);
    let registry = Arc::new(Registry::new().with::<Source>().with::<Pass>().with::<Count>());
    let began = Instant::now();
    let files = Arc::new(FilesInMemory(BTreeMap::new()));
    let rack = Rack::boot(circuit(fuse), registry, &RackSettings::default(), World::real(), files)
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    ALL.notified().await;
    let rate = MESSAGES as f64 / began.elapsed().as_secs_f64() / 1e6;
    rack.shut_down().await;
    rate
}

async fn channels() -> f64 {
    let n = MESSAGES / 4;
    let began = Instant::now();
    let msg = FluxMsg::new(flux_signal::FluxId::v7(1, 1), 0, bytes::Bytes::from(vec![7; 256]).slice(..));
    let (first, mut from) = mpsc::channel::<FluxMsg>(1024);
    for _ in 0..2 {
        let (to, next) = mpsc::channel(1024);
        let mut input = std::mem::replace(&mut from, next);
        tokio::spawn(async move {
            while let Some(msg) = input.recv().await {
                if to.send(msg).await.is_err() {
                    return;
                }
            }
        });
    }
    let sink = tokio::spawn(async move {
        while let Some(msg) = from.recv().await {
            std::hint::black_box(&msg);
        }
    });
    for _ in 0..n {
        first.send(msg.clone()).await.ok();
    }
    drop(first);
    sink.await.ok();
    n as f64 / began.elapsed().as_secs_f64() / 1e6
}

pub fn run() -> anyhow::Result<()> {
    for threads in [1, 2] {
        for _ in 0..5 {
            let runtime = if threads == 1 {
                tokio::runtime::Builder::new_current_thread().enable_all().build()?
            } else {
                tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?
            };
            runtime.block_on(async {
                let a = tokio::spawn(rack(true)).await.unwrap_or(0.0);
                let b = tokio::spawn(rack(false)).await.unwrap_or(0.0);
                let c = tokio::spawn(channels()).await.unwrap_or(0.0);
                println!("threads {threads}: fused {a:.2} M/s, batched {b:.2} M/s, channels {c:.2} M/s; ratios {:.1} {:.1}", a / c, b / c);
            });
        }
    }
    Ok(())
}
