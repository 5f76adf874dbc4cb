//! `fluxrig run`: a rack of its own, until it is told to stop.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueHint};
use flux_scenario::graph;

use crate::{
    plan::PlanOptions,
    running::{RunOptions, Running},
    stdout,
    stop::{StopOptions, StopSignal},
    terminal::{self, LogOptions},
};

const EXAMPLES: &str = "\
Examples:
  fluxrig run examples/payment-switch/scenario.yaml
  fluxrig run switch.yaml --dry-run                    what would run, and in which tasks
  fluxrig run switch.yaml --config fluxrig.toml        a scenario in one file, settings in another
  fluxrig run fluxrig.toml                             both in one
  fluxrig run switch.yaml --state-dir /var/lib/switch  one that `fluxrig status` finds
  fluxrig --log-level flux_pool=debug run switch.yaml  connections in detail";

/// Run a scenario until SIGTERM or Ctrl-C, then drain
///
/// Runs alone: no server and no network are needed. SIGTERM and Ctrl-C drain the rack: sources stop first, what is
/// in hand is finished, what is left at `rack.drain_timeout` is named. A second signal stops at once. SIGHUP reads the
/// scenario again and goes over to it, as `fluxrig reload` does.
///
/// Exit status: 0 after a clean drain, 1 when something was left or discarded (dead letters are) or the scenario has
/// errors, 2 when the file cannot be read, a gear cannot start, another rack has the state directory, or the usage is
/// wrong.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Run {
    #[command(flatten)]
    plan: PlanOptions,
    /// Check everything, print the plan (gears by task, wires, the order of draining), and start nothing
    #[arg(long)]
    dry_run: bool,
    /// Directory for the control socket and all that outlives the process; it wins over `base.state_dir`. One rack has
    /// it at a time. Not named: `./data`, and only if the scenario keeps something on disk
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, env = "FLUXRIG_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Reload when the scenario, the settings or a file that a gear reads (a spec, a certificate) changes
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    stop: StopOptions,
}

impl Run {
    pub(crate) fn run(self, log: &LogOptions) -> anyhow::Result<ExitCode> {
        let plan = self.plan.read()?;
        let _log = terminal::init_logging(log, &plan.settings.logging)?;
        terminal::say(&plan.render());
        let Some(circuit) = &plan.circuit else { return Ok(ExitCode::FAILURE) };
        if self.dry_run {
            stdout::print(graph::text(circuit))?;
            return Ok(ExitCode::SUCCESS);
        }
        terminal::runtime(plan.settings.rack.threads)?.block_on(async {
            // Listening for signals first: one that arrives while booting must not kill half a rack.
            let stop = StopSignal::new(self.stop)?;
            let options = RunOptions { plan: self.plan, state_dir: self.state_dir, is_watching: self.watch };
            let running = Running::boot(plan, options).await?;
            Ok(Box::pin(running.run(stop)).await)
        })
    }
}
