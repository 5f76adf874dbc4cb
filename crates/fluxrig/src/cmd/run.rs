//! `fluxrig run`: a rack of its own, until it is told to stop.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, ensure};
use clap::{Args, ValueHint};
use flux_rack::Estate;
use flux_scenario::{graph, units::Duration};
use flux_world::{Disk, World};
use tokio::sync::{oneshot, watch};

use crate::{
    control::RackOptions,
    last_good::{LastGood, NOT_TRUSTED, Restored},
    mixer::{Agent, Leader},
    plan::{Plan, PlanOptions, SettingsOptions},
    running::{RunOptions, Running, Vitals},
    state_dir::{self, StateDir},
    stdout,
    stop::{StopOptions, StopSignal},
    take_over::{self, Inheritance, Predecessor},
    terminal::{self, LogOptions},
};

const EXAMPLES: &str = "\
Examples:
  fluxrig run examples/payment-switch/scenario.yaml
  fluxrig run switch.yaml --dry-run                    what would run, and in which tasks
  fluxrig run switch.yaml --config fluxrig.toml        a scenario in one file, settings in another
  fluxrig run fluxrig.toml                             both in one
  fluxrig run switch.yaml --state-dir /var/lib/switch  one that `fluxrig status` finds
  fluxrig run --state-dir /var/lib/switch              what ran there last, verified
  fluxrig run switch.yaml --state-dir /var/lib/switch --take-over   a new binary, and no connection ends
  fluxrig run two-sites.yaml --rack north --bus nats://hub:4222   one rack of several, and the bus between them
  fluxrig --log-level flux_pool=debug run switch.yaml  connections in detail";

/// Run a scenario until SIGTERM or Ctrl-C, then drain
///
/// Runs alone: no server and no network are needed. SIGTERM and Ctrl-C drain the rack: sources stop first, what is
/// in hand is finished, what is left at `rack.drain_timeout` is named. A second signal stops at once. SIGHUP reads the
/// scenario again and goes over to it, as `fluxrig reload` does.
///
/// Exit status: 0 after a clean drain, 1 when something was left or discarded (dead letters in memory are) or the scenario has
/// errors, 2 when the file cannot be read, a gear cannot start, another rack has the state directory, or the usage is
/// wrong, 3 when what ran last is damaged, changed or signed by somebody else, and what ran before it too.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Run {
    /// Scenario: YAML, or a `fluxrig.toml`. None: what ran last in the state directory
    #[arg(value_hint = ValueHint::FilePath)]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) by: SettingsOptions,
    /// Check everything, print the plan (gears by task, wires, the order of draining), and start nothing
    #[arg(long)]
    dry_run: bool,
    /// Directory for the control socket and all that outlives the process; it wins over `base.state_dir`. One rack has
    /// it at a time. Not named: `./data`, and only if the scenario keeps something on disk
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, env = "FLUXRIG_STATE_DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// Reload when the scenario, the settings or a file that a gear reads (a spec, a certificate) changes
    #[arg(long)]
    watch: bool,
    /// Take over from the rack that runs with this state directory, a new version of this program from an old one: plain TCP
    /// connections, listening sockets and what is in hand come here, and no connection ends. Without such a rack, start
    #[arg(long)]
    take_over: bool,
    /// Time for TLS sessions, which cannot come here, to be answered what they asked before they are closed
    #[arg(long, value_name = "TIME", default_value = "5s", requires = "take_over")]
    take_over_within: Duration,
    /// Address of the bus, for wires to other racks; it wins over `snake.url`
    #[arg(long, value_name = "URL", env = "FLUXRIG_BUS")]
    bus: Option<String>,
    #[command(flatten)]
    pub(super) stop: StopOptions,
    /// Who speaks for it to its Mixer, where it is enrolled.
    #[arg(skip)]
    pub(super) leader: Option<Box<Leader>>,
    /// Whose process it is in.
    #[arg(skip)]
    host: Option<Host>,
}

/// Whoever has a rack in its process: it is told once the rack is up, and the rack ends with it.
pub(super) struct Host {
    pub(super) up: oneshot::Sender<()>,
    pub(super) until: watch::Receiver<()>,
}

impl Run {
    pub(crate) fn run(self, log: &LogOptions) -> anyhow::Result<ExitCode> {
        match self.file.clone() {
            Some(file) => {
                let options = PlanOptions { file, by: self.by.clone() };
                self.run_file(options, log)
            }
            None => self.run_last_good(log),
        }
    }

    fn run_file(self, options: PlanOptions, log: &LogOptions) -> anyhow::Result<ExitCode> {
        let plan = options.read()?;
        let _log = terminal::init_logging(log, &plan.settings.logging)?;
        terminal::say(&plan.render());
        self.run_plan(plan, options)
    }

    /// An enrolled rack, in the process of somebody else, who logs.
    pub(super) fn beside(path: PathBuf, leader: Leader, host: Host) -> anyhow::Result<ExitCode> {
        let rack = Some(leader.identity.rack.to_string());
        let options =
            PlanOptions { file: leader.wish.file.clone(), by: SettingsOptions { config: None, rack } };
        let plan = options.read()?;
        terminal::say(&plan.render());
        ensure!(plan.circuit.is_some(), "the rack cannot run its part of the scenario");
        let run = Run {
            file: Some(options.file.clone()),
            by: options.by.clone(),
            dry_run: false,
            state_dir: Some(path),
            watch: false,
            take_over: false,
            take_over_within: Duration(std::time::Duration::ZERO),
            bus: None,
            stop: StopOptions::default(),
            leader: Some(Box::new(leader)),
            host: Some(host),
        };
        run.run_plan(plan, options)
    }

    fn run_plan(self, plan: Plan, options: PlanOptions) -> anyhow::Result<ExitCode> {
        let Some(circuit) = &plan.circuit else { return Ok(ExitCode::FAILURE) };
        if self.dry_run {
            stdout::print(graph::text(circuit))?;
            return Ok(ExitCode::SUCCESS);
        }
        let path = state_dir::of_rack(self.state_dir.clone(), &plan);
        ensure!(
            !self.take_over || path.is_some(),
            "a rack is taken over from by its state directory: name it with --state-dir or `base.state_dir`"
        );
        let taken = path.map(|path| self.take(&plan.world.disk, &path)).transpose()?;
        let (state_dir, inheritance) = taken.unzip();
        self.boot(plan, options, state_dir, None, inheritance.flatten())
    }

    /// The state directory, with what is in the hands of the rack that has it, where it is taken over from.
    fn take(&self, disk: &Disk, path: &Path) -> anyhow::Result<(StateDir, Option<(Estate, Predecessor)>)> {
        if self.take_over {
            if let Some(Inheritance { estate, lock, predecessor }) =
                take_over::ask(path, self.take_over_within.0)?
            {
                return Ok((StateDir::inherit(disk, path, lock)?, Some((estate, predecessor))));
            }
            tracing::info!(state_dir = %path.display(), "no rack runs there to take over from");
        }
        Ok((StateDir::take(disk, path)?, None))
    }

    /// Runs what ran last. The directory is ours before anything in it is looked at.
    fn run_last_good(self, log: &LogOptions) -> anyhow::Result<ExitCode> {
        let by = RackOptions { state_dir: self.state_dir.clone(), config: self.by.config.clone() };
        let (path, base) = by.place()?;
        let world = World::real();
        ensure!(
            world.disk.exists(&path),
            "no FILE is named, and there is no state directory `{}` with a scenario that ran before",
            path.display()
        );
        let (state_dir, inheritance) = self.take(&world.disk, &path)?;
        let last_good = LastGood::new(world, state_dir.path(), &base)
            .context("no FILE is named, and by `base.scenario_file` none is kept")?;
        let Restored { plan, options, refused } = match last_good.restore() {
            Ok(restored) => restored,
            Err(why) => {
                if let Some((_, predecessor)) = inheritance {
                    predecessor.call_back(&format!("{why:#}"));
                }
                terminal::complain(&why);
                return Ok(ExitCode::from(NOT_TRUSTED));
            }
        };
        let _log = terminal::init_logging(log, &plan.settings.logging)?;
        terminal::say(&plan.render());
        if let (true, Some(circuit)) = (self.dry_run, &plan.circuit) {
            stdout::print(graph::text(circuit))?;
            return Ok(ExitCode::SUCCESS);
        }
        let refused = refused.map(|why| format!("what ran before the last scenario runs: {why}"));
        self.boot(plan, options, Some(state_dir), Some(refused), inheritance)
    }

    fn boot(
        self,
        plan: Plan,
        options: PlanOptions,
        state_dir: Option<StateDir>,
        restored: Option<Option<String>>,
        inheritance: Option<(Estate, Predecessor)>,
    ) -> anyhow::Result<ExitCode> {
        let runtime = terminal::runtime(plan.settings.rack.threads)?;
        let code = runtime.block_on(async {
            // Listening for signals first: one that arrives while booting must not kill half a rack.
            let (up, until) = self.host.map(|Host { up, until }| (up, until)).unzip();
            let stop = match until {
                Some(until) => StopSignal::with(Some(until))?,
                None => StopSignal::new(self.stop)?,
            };
            let (estate, predecessor) = inheritance.unzip();
            let estate = estate.unwrap_or_default();
            let vitals = Arc::<Vitals>::default();
            let given = self.leader.as_ref().and_then(|leader| leader.given());
            let agent = self.leader.map(|leader| Agent::new(*leader, vitals.clone()));
            let (agent, wishes) = agent.unzip();
            let options = RunOptions {
                plan: options,
                state_dir,
                is_watching: self.watch,
                restored,
                estate,
                bus: self.bus,
                vitals,
                wishes,
                given,
            };
            let mut running = match (Box::pin(Running::boot(plan, options)).await, predecessor) {
                (Ok(running), Some(predecessor)) => predecessor.dismiss().map(|()| running)?,
                (Err(why), Some(predecessor)) => {
                    predecessor.call_back(&format!("{why:#}"));
                    return Err(why.context("cannot take over; the rack that runs goes on"));
                }
                (running, None) => running?,
            };
            running.go_on().await;
            if let Some(up) = up {
                // Who is gone is no less to be ended with.
                let _ = up.send(());
            }
            let speaking = async {
                match agent {
                    Some(agent) => Box::pin(agent.run()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                code = Box::pin(running.run(stop)) => Ok(code),
                () = speaking => Ok(ExitCode::FAILURE),
            }
        });
        // What still waits for a disk waits in vain.
        runtime.shutdown_background();
        code
    }
}
