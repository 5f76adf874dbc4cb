//! A chain of three gears: fused, batched across tasks, and tokio channels with a message at a time.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use anyhow::Context;
use flux_gear::mock::FilesInMemory;
use flux_rack::{Rack, Surroundings};
use flux_scenario::{
    Fuse, load,
    settings::{self, RackSettings},
};
use flux_signal::{FluxId, FluxMsg};
use flux_world::World;
use serde_json::{Value as Json, json};
use tokio::{runtime::Builder, sync::mpsc};

use crate::gears::{ARRIVED, MESSAGES, payload, registry};

const SCENARIO: &str = "
meta: {name: chain, version: v1.0.0}
gears: [{name: a, type: source}, {name: b, type: pass}, {name: c, type: pass}, {name: d, type: count}]
wires: [{from: a.out, to: b.in}, {from: b.out, to: c.in}, {from: c.out, to: d.in}]
";

/// Messages through the slow baseline: a quarter does.
const BASELINE_MESSAGES: u64 = MESSAGES / 4;
/// Room in a channel, as in a wire.
const CHANNEL_MESSAGES: usize = 1024;

/// Rounds of all three in turn, on one thread and on two.
pub(crate) fn run(rounds: usize) -> anyhow::Result<Json> {
    let mut report = serde_json::Map::new();
    for threads in [1, 2] {
        let mut figures: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for _ in 0..rounds {
            let runtime = match threads {
                1 => Builder::new_current_thread().enable_all().build()?,
                n => Builder::new_multi_thread().worker_threads(n).enable_all().build()?,
            };
            let (fused, batched, channels) = runtime.block_on(async {
                let fused = tokio::spawn(rack(Fuse::On)).await??;
                let batched = tokio::spawn(rack(Fuse::Off)).await??;
                anyhow::Ok((fused, batched, tokio::spawn(channels()).await?))
            })?;
            let ratios = [("fused_ratio", fused / channels), ("batched_ratio", batched / channels)];
            let rates = [("fused_mps", fused), ("batched_mps", batched), ("channels_mps", channels)];
            for (name, value) in rates.into_iter().chain(ratios) {
                figures.entry(name).or_default().push(value);
            }
        }
        let spreads = figures.into_iter().map(|(name, values)| (name.to_owned(), spread(values)));
        report.insert(format!("threads_{threads}"), spreads.collect());
    }
    Ok(report.into())
}

fn spread(mut values: Vec<f64>) -> Json {
    values.sort_by(f64::total_cmp);
    json!({ "min": values.first(), "median": values.get(values.len() / 2), "max": values.last() })
}

/// Millions of messages a second through a rack.
async fn rack(fuse: Fuse) -> anyhow::Result<f64> {
    let registry = registry();
    let loaded = load("chain.yaml", SCENARIO);
    let circuit = loaded
        .compile(None, &registry.catalog(), fuse)
        .map_err(|report| anyhow::anyhow!("{}", report.render(false)))?;
    let files = Arc::new(FilesInMemory(BTreeMap::new()));
    let began = Instant::now();
    let surroundings = Surroundings {
        registry,
        settings: RackSettings::default(),
        world: World::real(),
        files,
        state_dir: std::env::temp_dir().join("fluxrig-chain"),
        store: settings::Store::default(),
        mesh: None,
    };
    let rack = Rack::boot(circuit, surroundings).await.context("boot")?;
    ARRIVED.notified().await;
    let rate = MESSAGES as f64 / began.elapsed().as_secs_f64() / 1e6;
    rack.shut_down().await;
    Ok(rate)
}

/// The same through three tasks and two channels.
async fn channels() -> f64 {
    let began = Instant::now();
    let msg = FluxMsg::new(FluxId::v7(1, 1), 0, payload());
    let (first, mut from) = mpsc::channel::<FluxMsg>(CHANNEL_MESSAGES);
    for _ in 0..2 {
        let (to, next) = mpsc::channel(CHANNEL_MESSAGES);
        let mut input = std::mem::replace(&mut from, next);
        tokio::spawn(async move {
            while let Some(msg) = input.recv().await {
                if to.send(msg).await.is_err() {
                    return;
                }
            }
        });
    }
    let count = tokio::spawn(async move {
        while let Some(msg) = from.recv().await {
            std::hint::black_box(&msg);
        }
    });
    for _ in 0..BASELINE_MESSAGES {
        // Its receiver lives as long as this sender.
        let _ = first.send(msg.clone()).await;
    }
    drop(first);
    let _ = count.await;
    BASELINE_MESSAGES as f64 / began.elapsed().as_secs_f64() / 1e6
}
