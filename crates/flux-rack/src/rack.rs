//! A running rack: what runs, how to reach it, and what it counts.

use std::{path::PathBuf, sync::Arc, time::Duration};

use flux_gear::{Control, Discards, Fault, Files, InitError, KeyParseError, Registry};
use flux_mesh::Line;
use flux_scenario::{
    Ack,
    circuit::Circuit,
    settings::{self, DeadLetterPlace, RackSettings},
};
use flux_signal::Limits;
use flux_world::World;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
};

use crate::{
    assembly::Assembly,
    cell::Cell,
    custody::JournalError,
    dead_letters::{self, DeadLetters},
    draft::Durables,
    durable::journal_of,
    reload::{Remains, Visitor},
    segment::Command,
    shutdown::Left,
    stats::{RackStats, WaitingStats, WireCounters},
    store::Store,
    succession::Estate,
    tuning::Tuning,
    workshop::Workshop,
};

/// A running rack. Dropping it aborts its tasks; [`Rack::shut_down`] ends it properly.
pub struct Rack {
    pub(crate) assembly: Assembly,
    /// As the assembly lays them out.
    pub(crate) segments: Vec<SegmentHandle>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) workshop: Workshop,
    /// Gears that reloads took out, which finish what they have, and their wires.
    pub(crate) retiring: JoinSet<()>,
    pub(crate) visitors: Vec<Visitor>,
    /// The journals of durable wires, by where they are; those too whose wire a reload took out.
    pub(crate) durables: Durables,
    /// What is in journals that no wire has, as the boot found it.
    pub(crate) orphans: Vec<Left>,
    /// Dead letters on their way back.
    pub(crate) replaying: JoinSet<()>,
    /// What another process left and no gear has taken yet.
    pub(crate) estate: Estate,
}

/// What a rack is given to run in.
#[derive(Clone)]
pub struct Surroundings {
    /// The kinds of gears it can make.
    pub registry: Arc<Registry>,
    /// How it runs them.
    pub settings: RackSettings,
    /// Clock, entropy, network, disk.
    pub world: World,
    /// Files named in configurations.
    pub files: Arc<dyn Files>,
    /// Where it keeps what must outlive it. Made when something needs it.
    pub state_dir: PathBuf,
    /// How it keeps messages there.
    pub store: settings::Store,
    /// The way to other racks, where there is one.
    pub mesh: Option<Line>,
}

/// What all parts of a rack share.
pub(crate) struct Shared {
    pub(crate) world: World,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) discards: Discards,
    pub(crate) control: Control,
    pub(crate) limits: Limits,
    pub(crate) settings: Tuning,
    pub(crate) store: Store,
}

/// A segment's task and how to reach it.
pub(crate) struct SegmentHandle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) recalled: watch::Sender<bool>,
    pub(crate) hurried: watch::Sender<bool>,
    pub(crate) task: JoinHandle<()>,
}

impl Drop for SegmentHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SegmentHandle {
    /// Sends a command and waits for its reply. `None` when the segment is gone.
    pub(crate) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Takes its gears back once the message in hand is done. `None` when that does not come in time: it goes on.
    pub(crate) async fn leave(&self, world: &World, patience: Duration) -> Option<Vec<Cell>> {
        self.recalled.send_replace(true);
        let left = world.clock.timeout(patience, self.ask(|left| Command::Leave { left })).await;
        self.recalled.send_replace(false);
        left.ok().flatten()
    }
}

/// Why a rack did not become what it was to be. It is what it was: at boot, nothing.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
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
    /// A journal cannot be used.
    #[error("{of}: {source}")]
    Journal {
        /// What it is for: `wire a.out -> b.in`, or `dead letters`.
        of: String,
        /// Why.
        source: JournalError,
    },
    /// A wire to or from another rack cannot be.
    #[error("wire `{wire}`: {why}")]
    Mesh {
        /// Its name.
        wire: String,
        /// Why.
        why: String,
    },
    /// A durable wire that would go holds messages.
    #[error(
        "the durable wire `{}` would go, and {} messages wait on it: wait until it is empty, or leave them on disk with \
         `fluxrig reload --leave`, until there is a durable wire of this id again",
        held.name,
        held.messages.unwrap_or_default()
    )]
    Holding {
        /// The wire, and how many.
        held: Left,
    },
    /// A gear did not come to the end of the message in hand.
    #[error("gear `{gear}` did not finish the messages in hand within {waited:?}")]
    Busy {
        /// Its name.
        gear: String,
        /// How long it was waited for.
        waited: Duration,
    },
}

impl ChangeError {
    /// The gear that stood in the way, if it was one.
    pub fn gear(&self) -> Option<&str> {
        match self {
            ChangeError::Init { gear, .. }
            | ChangeError::Start { gear, .. }
            | ChangeError::PartitionBy { gear, .. }
            | ChangeError::Busy { gear, .. } => Some(gear),
            ChangeError::Journal { .. } | ChangeError::Mesh { .. } | ChangeError::Holding { .. } => None,
        }
    }
}

impl Rack {
    /// Makes every gear, then starts them, sinks first. If one fails, those already started are stopped.
    pub async fn boot(circuit: Circuit, surroundings: Surroundings) -> Result<Rack, ChangeError> {
        Rack::boot_by(circuit, surroundings, Estate::default()).await
    }

    pub(crate) async fn boot_by(
        circuit: Circuit,
        surroundings: Surroundings,
        estate: Estate,
    ) -> Result<Rack, ChangeError> {
        let of_letters = |source| ChangeError::Journal { of: "dead letters".into(), source };
        let mut rack = Rack::empty(surroundings);
        rack.estate = estate;
        let replayed = rack.recover_letters(&circuit).await.map_err(of_letters)?;
        if let Err(why) = Box::pin(rack.reload(circuit, Remains::LeftOnDisk)).await {
            rack.leave().await;
            return Err(why);
        }
        Box::pin(rack.find_orphans()).await;
        rack.replay_marked(replayed).await.map_err(of_letters)?;
        Ok(rack)
    }

    /// Keeps dead letters on disk, if that is wished, and finds those to be replayed.
    async fn recover_letters(&self, circuit: &Circuit) -> Result<Vec<u64>, JournalError> {
        let is_wished = match self.workshop.surroundings.settings.dead_letters {
            DeadLetterPlace::Auto => circuit.wires.iter().any(|wire| wire.durable.is_some()),
            DeadLetterPlace::Memory => false,
            DeadLetterPlace::Disk => true,
        };
        if !is_wished {
            return Ok(Vec::new());
        }
        let Shared { store, dead_letters, settings, .. } = &*self.shared;
        dead_letters.keep_on_disk(store.site(&[dead_letters::DIRECTORY], Ack::Disk, settings));
        match dead_letters.disk() {
            Some(disk) => disk.recover().await,
            None => Ok(Vec::new()),
        }
    }

    fn empty(surroundings: Surroundings) -> Rack {
        let settings = &surroundings.settings;
        let tuning = Tuning::from(settings);
        let limits =
            Limits { hops_max: settings.max_hops.get(), message_bytes_max: tuning.message_bytes_max };
        let store = Store {
            world: surroundings.world.clone(),
            state_dir: surroundings.state_dir.clone(),
            settings: surroundings.store.clone(),
        };
        let shared = Arc::new(Shared {
            world: surroundings.world.clone(),
            dead_letters: Arc::new(letters(settings)),
            discards: Discards::default(),
            control: Control::default(),
            limits,
            settings: tuning,
            store,
        });
        Rack {
            assembly: Assembly::default(),
            segments: Vec::new(),
            workshop: Workshop::new(surroundings, shared.clone()),
            shared,
            retiring: JoinSet::new(),
            visitors: Vec::new(),
            durables: Durables::new(),
            orphans: Vec::new(),
            replaying: JoinSet::new(),
            estate: Estate::default(),
        }
    }

    /// Has a way to other racks from now on.
    pub fn join(&mut self, mesh: Option<Line>) {
        self.workshop.surroundings.mesh = mesh;
    }

    /// Makes every gear and starts none: each that refuses its configuration, and why. Pure, as `init` is.
    pub fn try_gears(circuit: &Circuit, surroundings: Surroundings) -> Vec<(String, InitError)> {
        let rack = Rack::empty(surroundings);
        let gears = circuit.gears.iter().enumerate();
        gears
            .filter_map(|(at, gear)| {
                let make = rack.workshop.make(gear, circuit.bindings(at));
                make().err().map(|why| (gear.name.clone(), why))
            })
            .collect()
    }

    /// What was counted so far.
    pub fn stats(&self) -> RackStats {
        let now = self.shared.world.clock.now();
        let Assembly { circuit, seats, wires, .. } = &self.assembly;
        let gears = circuit.gears.iter().zip(seats);
        let wires = circuit.wires.iter().zip(wires);
        RackStats {
            gears: gears.map(|(gear, seat)| seat.counters.snapshot(&gear.name, &gear.kind, now)).collect(),
            wires: wires
                .map(|(wire, queues)| {
                    let queues = queues.iter().map(|queue| (&queue.counters, queue.len()));
                    let durable = journal_of(wire).and_then(|journal| self.durables.get(&journal));
                    WireCounters::snapshot(&wire.id, queues, durable.map(|durable| durable.stats()))
                })
                .collect(),
            dead_letters: self.shared.dead_letters.len(),
        }
    }

    /// Gears that have been waiting for long, with what a durable wire brought, and for what.
    pub fn waiting(&self) -> Vec<(String, WaitingStats)> {
        let now = self.shared.world.clock.now();
        let gears = self.assembly.circuit.gears.iter().zip(&self.assembly.seats);
        let waiting = gears.filter_map(|(gear, seat)| Some((gear.name.clone(), seat.counters.waiting(now)?)));
        waiting.filter(|(_, waiting)| waiting.is_long).collect()
    }

    /// The messages nobody could process. They outlive the rack for whoever holds them.
    pub fn dead_letters(&self) -> &Arc<DeadLetters> {
        &self.shared.dead_letters
    }

    /// Which links are up, and commands to connections.
    pub fn control(&self) -> &Control {
        &self.shared.control
    }
}

fn letters(settings: &RackSettings) -> DeadLetters {
    let bytes_max = usize::try_from(settings.dead_letters_bytes_max.0).unwrap_or(usize::MAX);
    DeadLetters::new(settings.dead_letters_max as usize, bytes_max)
}
