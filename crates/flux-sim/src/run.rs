//! Runs a plan: one life of the rack after the other, each in a runtime that dies with it.
//!
//! A crash is the end of the runtime: every task of the process is gone between two polls, as with `kill -9`. Before, the
//! disk loses what was not synced; what destructors do afterwards reaches nobody.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use flux_gear::Registry;
use flux_scenario::Catalog;
use flux_world::sim::{DiskLatency, Sim, SimDisk};
use tokio::runtime::{Builder, Runtime};

use crate::coverage::Coverage;
use crate::gears;
use crate::house::{House, house, move_in, move_out};
use crate::panics;
use crate::plan::{Knobs, LifeEnd, Plan};
use crate::rules::{Rule, Violation};
use crate::shift::Shift;

/// How a run went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Broken rules, the first first.
    pub violations: Vec<Violation>,
    /// What was seen.
    pub coverage: Coverage,
    /// Stands for everything that happened, in order and with its time.
    pub hash: u64,
    /// The events as lines, when they were asked for.
    pub lines: Vec<String>,
}

/// What all lives share.
pub(crate) struct Stage {
    pub(crate) plan: Arc<Plan>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) catalog: Arc<Catalog>,
}

/// Time between two lives.
const OFF_NS: i64 = 1_000_000_000;

/// The machine the rack runs on.
pub(crate) const HOST: &str = "rack";

/// Runs a plan.
pub fn run(plan: &Plan) -> Outcome {
    run_with(plan, false)
}

/// Runs a plan and keeps what happened as lines.
pub fn run_traced(plan: &Plan) -> Outcome {
    run_with(plan, true)
}

fn run_with(plan: &Plan, is_read: bool) -> Outcome {
    panics::quiet();
    let plan = Arc::new(plan.clone());
    move_in(plan.clone(), is_read);
    panics::take();
    let ran = catch_unwind(AssertUnwindSafe(|| all_lives(&plan)));
    let mut seen = move_out().expect("moved in above");
    match (panics::take(), ran) {
        (Some(panic), _) => seen.ledger.violate(Rule::PanicsContained, panic),
        (None, Err(_)) => seen.ledger.violate(Rule::PanicsContained, "a gear's own panic escaped".into()),
        (None, Ok(())) => {}
    }
    seen.coverage.planned(&plan);
    let House { ledger, coverage, trace, .. } = seen;
    Outcome { violations: ledger.violations, coverage, hash: trace.hash(), lines: trace.into_lines() }
}

thread_local! {
    /// Made once per thread: schemas take a while.
    static KINDS: (Arc<Registry>, Arc<Catalog>) = {
        let registry = gears::registry();
        let catalog = registry.catalog();
        (Arc::new(registry), Arc::new(catalog))
    };
}

fn all_lives(plan: &Arc<Plan>) {
    let (registry, catalog) = KINDS.with(Clone::clone);
    let stage = Stage { plan: plan.clone(), registry, catalog };
    let mut machine: Option<(Sim, i64)> = None;
    for (number, life) in plan.lives.iter().enumerate() {
        let runtime = runtime();
        let sim = {
            let _inside = runtime.enter();
            match &machine {
                None => Sim::new(plan.world_seed),
                Some((before, unix_ns)) => {
                    before.restarted(plan.world_seed.wrapping_add(number as u64), *unix_ns)
                }
            }
        };
        let disk = sim.disk(HOST);
        make_well(&disk, &plan.knobs);
        let unix_ns = runtime.block_on(async {
            Shift::new(&stage, &sim, life).live(number).await;
            sim.world().clock.unix_ns()
        });
        // The machine stops before the tasks go: what their destructors do is done by nobody.
        match life.end {
            LifeEnd::Crash { .. } => lose_power(&disk),
            LifeEnd::Kill { .. } => disk.end_process(),
            LifeEnd::Drain { .. } | LifeEnd::Finish => {}
        }
        drop(runtime);
        machine = Some((sim, unix_ns + OFF_NS));
        if house(|house| house.is_over || !house.ledger.violations.is_empty()) {
            return;
        }
    }
}

/// Nothing is wrong with a disk when a machine starts.
fn make_well(disk: &SimDisk, knobs: &Knobs) {
    disk.fail_syncs(0);
    disk.set_capacity(None);
    disk.set_lying(false);
    disk.set_latency(latency(knobs));
}

fn lose_power(disk: &SimDisk) {
    house(|house| {
        let has_lied = std::mem::take(&mut house.has_lied);
        house.was_lied_to |= has_lied;
        if disk.unsynced_bytes() > 0 {
            house.coverage.saw("crash_loses_writes");
        }
        house.ledger.power_failed(has_lied);
    });
    disk.crash();
}

/// How long calls to the disk take when nothing is wrong with it.
pub(crate) fn latency(knobs: &Knobs) -> DiskLatency {
    DiskLatency { sync: Duration::from_micros(knobs.sync_us.into()), ..DiskLatency::default() }
}

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O needs nothing from the operating system")
}
