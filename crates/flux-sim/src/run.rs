//! Runs a plan: one life of the rack after the other, each in a runtime that dies with it.
//!
//! A crash is the end of the runtime: every task of the process is gone between two polls, as with `kill -9`. Before, the
//! disk loses what was not synced; what destructors do afterwards reaches nobody.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use flux_gear::{Registry, mock::FilesInMemory};
use flux_rack::{DeadLetters, Rack, Surroundings};
use flux_scenario::Catalog;
use flux_world::sim::{DiskLatency, Sim};
use flux_world::{Clock, World};
use tokio::runtime::{Builder, Runtime};

use crate::coverage::Coverage;
use crate::gears;
use crate::house::{House, house, move_in, move_out};
use crate::judge;
use crate::panics;
use crate::plan::{LifeEnd, Plan};
use crate::rules::{Rule, Violation};
use crate::scenario;
use crate::trace::Event;

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

/// Longest time, simulated, in which nothing happens although something is owed: every wait in a rack is shorter.
const QUIET_MAX: Duration = Duration::from_secs(20);

/// How often the operator looks for dead letters, and the driver whether all is done.
const LOOKS_EVERY: Duration = Duration::from_millis(10);

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

/// What all lives share.
struct Stage {
    plan: Arc<Plan>,
    registry: Arc<Registry>,
    catalog: Arc<Catalog>,
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
        let sync = Duration::from_micros(plan.knobs.sync_us.into());
        disk.set_latency(DiskLatency { sync, ..DiskLatency::default() });
        let unix_ns = runtime.block_on(async {
            stage.live(&sim, number, life.end).await;
            sim.world().clock.unix_ns()
        });
        // The machine stops before the tasks go: what their destructors do is done by nobody.
        if matches!(life.end, LifeEnd::Crash { .. }) {
            disk.crash();
        }
        drop(runtime);
        machine = Some((sim, unix_ns + OFF_NS));
        if house(|house| !house.ledger.violations.is_empty()) {
            return;
        }
    }
}

/// Time between two lives.
const OFF_NS: i64 = 1_000_000_000;

/// The machine the rack runs on.
const HOST: &str = "rack";

/// Where it keeps its state.
const STATE_DIR: &str = "/var/lib/fluxrig";

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O needs nothing from the operating system")
}

impl Stage {
    /// One life of the rack, up to its end; a crash leaves it as it stands.
    async fn live(&self, sim: &Sim, number: usize, end: LifeEnd) {
        let world = sim.host(HOST);
        let clock = world.clock;
        let stops_at = match end {
            LifeEnd::Crash { events } | LifeEnd::Drain { events } => Some(events),
            LifeEnd::Finish => None,
        };
        house(|house| house.begin_life(number, clock, stops_at));
        let Some(rack) = self.boot(world).await else { return };
        let is_going_on = self.watch(&rack, clock).await;
        match end {
            _ if !is_going_on => house(|house| judge::stuck(house, &rack.stats())),
            LifeEnd::Crash { .. } => house(|house| {
                house.coverage.saw("crash");
                house.note(Event::Crashes);
                collect(house, rack.dead_letters());
                house.end_life();
            }),
            LifeEnd::Drain { .. } => self.drain(rack, clock).await,
            LifeEnd::Finish => {
                house(|house| judge::finished(house, &rack.stats()));
                self.drain(rack, clock).await;
            }
        }
    }

    async fn boot(&self, world: World) -> Option<Rack> {
        let circuit = match scenario::circuit(&self.plan, &self.catalog) {
            Ok(circuit) => circuit,
            Err(why) => {
                house(|house| house.ledger.violate(Rule::Boots, why));
                return None;
            }
        };
        let surroundings = Surroundings {
            registry: self.registry.clone(),
            settings: scenario::settings(&self.plan.knobs),
            world,
            files: Arc::new(FilesInMemory(BTreeMap::new())),
            state_dir: STATE_DIR.into(),
            store: flux_scenario::settings::Store::default(),
        };
        match Rack::boot(circuit, surroundings).await {
            Ok(rack) => Some(rack),
            Err(why) => {
                house(|house| house.ledger.violate(Rule::Boots, why.to_string()));
                None
            }
        }
    }

    /// Takes dead letters out, as an operator does, until this life is to end. False when nothing moves any more.
    async fn watch(&self, rack: &Rack, clock: Clock) -> bool {
        let mut quiet = Duration::ZERO;
        loop {
            let bell = house(|house| house.bell.clone());
            let rung = bell.notified();
            if house(|house| house.is_to_stop() || !house.ledger.violations.is_empty()) {
                return true;
            }
            if clock.timeout(LOOKS_EVERY, rung).await.is_ok() {
                quiet = Duration::ZERO;
                continue;
            }
            quiet += LOOKS_EVERY;
            let is_done = house(|house| {
                collect(house, rack.dead_letters());
                house.ledger.is_all_done(&house.plan)
            });
            if is_done || quiet >= QUIET_MAX {
                return is_done;
            }
        }
    }

    async fn drain(&self, rack: Rack, clock: Clock) {
        house(|house| house.note(Event::Drains));
        let letters = rack.dead_letters().clone();
        let drained = rack.shut_down();
        tokio::pin!(drained);
        let report = loop {
            if let Ok(report) = clock.timeout(LOOKS_EVERY, &mut drained).await {
                break report;
            }
            house(|house| collect(house, &letters));
        };
        house(|house| {
            let left_over = collect(house, &letters);
            house.note(Event::Drained { is_clean: report.is_clean() });
            judge::drained(house, &report, left_over);
            house.end_life();
        });
    }
}

/// Takes all dead letters out; returns how many there were.
fn collect(house: &mut House, letters: &DeadLetters) -> u64 {
    let letters = letters.take(usize::MAX);
    for letter in &letters {
        house.coverage.saw("dead_letter");
        let gear = gears::place(&letter.gear).unwrap_or(usize::MAX);
        house.dead(gear, letter.reason.as_str(), &letter.msg.payload);
    }
    letters.len() as u64
}
