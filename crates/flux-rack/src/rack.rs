//! A running rack: boots a circuit whole or not at all, tells how it does, and shuts it down.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use flux_gear::{
    Control, Discards, Emitter, Fault, Files, GearContext, GearParts, IdSource, InPort, InitError, Key,
    KeyParseError, OutPort, Registry,
};
use flux_scenario::{
    catalog::ERROR_PORT,
    circuit::{Circuit, CircuitGear},
    settings::RackSettings,
};
use flux_signal::Limits;
use flux_world::{Backoff, BackoffPolicy, World};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    cell::{Cell, CellParts, Make},
    dead_letters::DeadLetters,
    outlet::RackOutlet,
    routes::{GearRoutes, Patchbay, Routes, Target},
    segment::{Command, Segment},
    stats::{GearCounters, RackStats, WireCounters},
    wire::Wire,
};

/// A running rack. Dropping it aborts its tasks; [`Rack::shut_down`] ends it properly.
pub struct Rack {
    pub(crate) circuit: Circuit,
    pub(crate) shared: Arc<Shared>,
    pub(crate) segments: Vec<SegmentHandle>,
    /// By gear: where its instances run, as segment and place in it.
    pub(crate) instances: Vec<Vec<(usize, usize)>>,
    counters: Vec<Arc<GearCounters>>,
    control: Control,
}

/// What all parts of a rack share.
pub(crate) struct Shared {
    pub(crate) world: World,
    pub(crate) patchbay: Patchbay,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) discards: Discards,
    pub(crate) limits: Limits,
    pub(crate) settings: Tuning,
}

/// The settings that the running rack acts on, in its own units.
#[derive(Clone)]
pub(crate) struct Tuning {
    pub(crate) batch_messages_max: usize,
    pub(crate) lane_queue_size: usize,
    pub(crate) lane_send_timeout: Duration,
    pub(crate) process_timeout: Duration,
    pub(crate) start_timeout: Duration,
    pub(crate) stop_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) attempts_max: u32,
    pub(crate) retry_backoff: BackoffPolicy,
    pub(crate) restart_backoff: BackoffPolicy,
}

/// A segment's task and how to reach it.
pub(crate) struct SegmentHandle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) task: JoinHandle<Vec<Cell>>,
}

impl Drop for SegmentHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Longest time a gear may take to start: a bind is retried, a dial is not waited for.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Commands a segment may have waiting.
const COMMANDS_MAX: usize = 16;

/// Why a rack did not boot. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A gear could not be made.
    #[error("gear `{gear}`: {source}")]
    Init {
        /// Its name.
        gear: String,
        /// Why.
        source: InitError,
    },
    /// A gear could not be started.
    #[error("gear `{gear}` did not start: {source}")]
    Start {
        /// Its name.
        gear: String,
        /// Why.
        source: Fault,
    },
    /// `partition_by` names no value.
    #[error("gear `{gear}`: partition_by: {source}")]
    PartitionBy {
        /// Its name.
        gear: String,
        /// Why.
        source: KeyParseError,
    },
}

impl BootError {
    /// The gear that stood in the way.
    pub fn gear(&self) -> &str {
        match self {
            BootError::Init { gear, .. }
            | BootError::Start { gear, .. }
            | BootError::PartitionBy { gear, .. } => gear,
        }
    }
}

impl Rack {
    /// Makes every gear, then starts them, sinks first. If one fails, those already started are stopped.
    pub async fn boot(
        circuit: Circuit,
        registry: Arc<Registry>,
        settings: &RackSettings,
        world: World,
        files: Arc<dyn Files>,
    ) -> Result<Rack, BootError> {
        let rack = Builder::new(circuit, registry, settings, world, files).build()?;
        for &gear in rack.circuit.drain_order.iter().rev() {
            if let Err(source) = rack.start(gear).await {
                let gear = rack.circuit.gears[gear].name.clone();
                rack.leave().await;
                return Err(BootError::Start { gear, source });
            }
        }
        Ok(rack)
    }

    /// Makes every gear and starts none: each that refuses its configuration, and why. Pure, as `init` is.
    pub fn try_gears(
        circuit: &Circuit,
        registry: &Arc<Registry>,
        settings: &RackSettings,
        world: &World,
        files: Arc<dyn Files>,
    ) -> Vec<(String, InitError)> {
        let builder = Builder::new(circuit.clone(), registry.clone(), settings, world.clone(), files);
        let gears = circuit.gears.iter().enumerate();
        gears
            .filter_map(|(at, gear)| (builder.make(at, gear))().err().map(|why| (gear.name.clone(), why)))
            .collect()
    }

    async fn start(&self, gear: usize) -> Result<(), Fault> {
        for &(segment, cell) in &self.instances[gear] {
            let started = self.ask(segment, |started| Command::Start { cell, started }).await;
            started.unwrap_or_else(|| Err(Fault::fatal("the segment is gone")))?;
        }
        Ok(())
    }

    /// Sends a command and waits for its reply. `None` when the segment is gone.
    pub(crate) async fn ask<T>(
        &self,
        segment: usize,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.segments[segment].commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }

    /// What was counted so far.
    pub fn stats(&self) -> RackStats {
        let routes = self.shared.patchbay.load();
        let named = self.circuit.gears.iter().zip(&self.counters);
        let mut wires: Vec<_> = routes.gears.iter().flat_map(|gear| gear.outputs.iter().flatten()).collect();
        wires.sort_by_key(|target| target.slot);
        RackStats {
            gears: named.map(|(gear, counters)| counters.snapshot(&gear.name, &gear.kind)).collect(),
            wires: wires
                .into_iter()
                .map(|target| {
                    let queues = target.wires.iter().map(|wire| (&wire.counters, wire.len()));
                    WireCounters::snapshot(&target.wires[0].name, queues)
                })
                .collect(),
            dead_letters: self.shared.dead_letters.len(),
        }
    }

    /// The messages nobody could process. They outlive the rack for whoever holds them.
    pub fn dead_letters(&self) -> &Arc<DeadLetters> {
        &self.shared.dead_letters
    }

    /// Which links are up, and commands to connections.
    pub fn control(&self) -> &Control {
        &self.control
    }
}

/// Turns a circuit into a rack that is made but not started.
struct Builder {
    circuit: Circuit,
    registry: Arc<Registry>,
    files: Arc<dyn Files>,
    shared: Arc<Shared>,
    ids: Arc<IdSource>,
    control: Control,
}

impl Builder {
    fn new(
        circuit: Circuit,
        registry: Arc<Registry>,
        settings: &RackSettings,
        world: World,
        files: Arc<dyn Files>,
    ) -> Builder {
        let limits = Limits {
            hops_max: settings.max_hops.get(),
            message_bytes_max: usize::try_from(settings.max_payload_size.0).unwrap_or(usize::MAX),
        };
        let ids = Arc::new(IdSource::new(&world));
        let shared = Arc::new(Shared {
            world,
            patchbay: ArcSwap::default(),
            dead_letters: Arc::new(dead_letters(settings)),
            discards: Discards::default(),
            limits,
            settings: Tuning::from(settings),
        });
        Builder { circuit, registry, files, shared, ids, control: Control::default() }
    }

    fn build(self) -> Result<Rack, BootError> {
        let instances = instances(&self.circuit);
        let segments = instances.iter().flatten().map(|(segment, _)| segment + 1).max().unwrap_or(0);
        let counters: Vec<Arc<GearCounters>> = self.circuit.gears.iter().map(|_| Arc::default()).collect();
        let bells: Vec<Arc<Notify>> = (0..segments).map(|_| Arc::default()).collect();
        let routes = self.routes(&instances, &bells)?;

        let mut cells: Vec<BTreeMap<usize, Cell>> = (0..segments).map(|_| BTreeMap::new()).collect();
        for (at, gear) in self.circuit.gears.iter().enumerate() {
            for &(segment, place) in &instances[at] {
                let cell = self.cell(at, gear, counters[at].clone())?;
                cells[segment].insert(place, cell);
            }
        }
        let mut intakes: Vec<Vec<Arc<Wire>>> = vec![Vec::new(); segments];
        for (wire, route) in self.circuit.wires.iter().zip(wires_in_order(&routes)) {
            for (&(segment, _), queue) in instances[wire.to.0].iter().zip(&route.wires) {
                intakes[segment].push(queue.clone());
            }
        }
        let slots = routes.slots;
        self.shared.patchbay.store(Arc::new(routes));
        let segments = cells
            .into_iter()
            .zip(intakes)
            .zip(bells)
            .map(|((cells, intake), bell)| {
                let (commands, obeyed) = mpsc::channel(COMMANDS_MAX);
                let cells = cells.into_values().collect();
                let segment = Segment::new(cells, intake, bell, obeyed, self.shared.clone(), slots);
                SegmentHandle { commands, task: tokio::spawn(segment.run()) }
            })
            .collect();
        Ok(Rack {
            circuit: self.circuit,
            shared: self.shared,
            segments,
            instances,
            counters,
            control: self.control,
        })
    }

    fn routes(&self, instances: &[Vec<(usize, usize)>], bells: &[Arc<Notify>]) -> Result<Routes, BootError> {
        let mut routes = Routes { gears: Vec::new(), slots: 0 };
        for gear in &self.circuit.gears {
            let error = gear.outputs.iter().position(|port| port == ERROR_PORT);
            routes.gears.push(GearRoutes {
                outputs: gear.outputs.iter().map(|_| Vec::new()).collect(),
                error: error.map(|at| OutPort::at(port_number(at))),
            });
        }
        for wire in &self.circuit.wires {
            let (gear, input) = wire.to;
            let receiver = &self.circuit.gears[gear];
            let queue = |&(segment, place): &(usize, usize)| {
                let (bell, clock) = (bells[segment].clone(), self.shared.world.clock);
                let to = (place, InPort(port_number(input)));
                Arc::new(Wire::new(wire.id.clone(), to, &self.shared.settings, bell, clock))
            };
            let queues: Vec<_> = instances[gear].iter().map(queue).collect();
            let slot = routes.slots;
            routes.slots += queues.len();
            routes.gears[wire.from.0].outputs[wire.from.1].push(Target {
                wires: queues,
                to_port: InPort(port_number(input)),
                key: partition_key(receiver)?,
                slot,
                fused: wire.fused.then(|| instances[gear][0].1),
            });
        }
        Ok(routes)
    }

    fn cell(&self, at: usize, gear: &CircuitGear, counters: Arc<GearCounters>) -> Result<Cell, BootError> {
        let outlet = RackOutlet {
            gear: at,
            name: gear.name.clone(),
            outputs: gear.outputs.clone(),
            counters: counters.clone(),
            shared: self.shared.clone(),
        };
        let parts = CellParts {
            gear: at,
            name: gear.name.clone(),
            inputs: gear.inputs.clone(),
            outputs: gear.outputs.clone(),
            counters,
            emitter: Emitter::new(Arc::new(outlet)),
            make: self.make(at, gear),
            backoff: Backoff::new(self.shared.settings.restart_backoff),
        };
        Cell::new(parts).map_err(|source| BootError::Init { gear: gear.name.clone(), source })
    }

    fn make(&self, at: usize, gear: &CircuitGear) -> Make {
        let (gear, bindings) = (gear.clone(), self.circuit.bindings(at));
        let (registry, files, control) = (self.registry.clone(), self.files.clone(), self.control.clone());
        let (world, ids, limits) = (self.shared.world.clone(), self.ids.clone(), self.shared.limits);
        let discards = self.shared.discards.clone();
        let id = ids.next(world.clock.unix_ms());
        Arc::new(move || {
            let ctx = GearContext::new(GearParts {
                name: gear.name.clone(),
                id,
                inputs: gear.inputs.clone(),
                outputs: gear.outputs.clone(),
                bindings: bindings.clone(),
                world: world.clone(),
                ids: ids.clone(),
                control: control.clone(),
                files: files.clone(),
                discards: discards.clone(),
                limits,
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
            });
            Ok((registry.init(&gear.kind, gear.config.clone(), &ctx)?, ctx))
        })
    }
}

/// Where each gear runs: its segment of the circuit, or a segment of its own for each further parallel instance.
fn instances(circuit: &Circuit) -> Vec<Vec<(usize, usize)>> {
    let mut next = circuit.segments.len();
    let mut instances = Vec::new();
    for (at, gear) in circuit.gears.iter().enumerate() {
        let place = circuit.segments[gear.segment].iter().position(|&other| other == at);
        let mut places = vec![(gear.segment, place.expect("a gear is in its segment"))];
        for _ in 1..gear.parallel {
            places.push((next, 0));
            next += 1;
        }
        instances.push(places);
    }
    instances
}

/// The targets in the order of the circuit's wires: that in which slots were given out.
fn wires_in_order(routes: &Routes) -> Vec<&Target> {
    let mut targets: Vec<_> = routes.gears.iter().flat_map(|gear| gear.outputs.iter().flatten()).collect();
    targets.sort_by_key(|target| target.slot);
    targets
}

fn dead_letters(settings: &RackSettings) -> DeadLetters {
    let bytes_max = usize::try_from(settings.dead_letters_bytes_max.0).unwrap_or(usize::MAX);
    DeadLetters::new(settings.dead_letters_max as usize, bytes_max)
}

fn partition_key(gear: &CircuitGear) -> Result<Option<Key>, BootError> {
    let key = gear.partition_by.as_deref().map(str::parse).transpose();
    key.map_err(|source| BootError::PartitionBy { gear: gear.name.clone(), source })
}

fn port_number(at: usize) -> u16 {
    u16::try_from(at).expect("a checked scenario has fewer ports")
}

impl From<&RackSettings> for Tuning {
    fn from(settings: &RackSettings) -> Tuning {
        let size = |n: std::num::NonZeroU32| NonZeroUsize::try_from(n).map_or(usize::MAX, NonZeroUsize::get);
        let (retry, restart) = (&settings.retry, &settings.error_restart);
        Tuning {
            batch_messages_max: size(settings.batch_messages_max),
            lane_queue_size: size(settings.lane_queue_size),
            lane_send_timeout: settings.lane_send_timeout.0,
            process_timeout: settings.process_timeout.0,
            start_timeout: START_TIMEOUT,
            stop_timeout: settings.cleanup_timeout.0,
            drain_timeout: settings.drain_timeout.0,
            attempts_max: retry.attempts,
            retry_backoff: BackoffPolicy {
                base: retry.backoff.0,
                cap: retry.backoff_max.0,
                ..BackoffPolicy::default()
            },
            restart_backoff: BackoffPolicy {
                base: restart.backoff.0,
                cap: restart.backoff_max.0,
                stable_after: restart.stable_after.0,
                is_first_immediate: false,
            },
        }
    }
}
