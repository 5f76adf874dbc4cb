//! `fluxrig run`: a rack of its own, until it is told to stop.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;
use flux_rack::Rack;

use crate::{
    disk_files::DiskFiles,
    plan::Plan,
    stop::{StopOptions, StopSignal},
    terminal::{self, LogOptions},
};

/// Run a scenario until SIGTERM or Ctrl-C, then drain
///
/// Runs alone: no server and no network are needed. SIGTERM and Ctrl-C drain the rack: sources stop first, what is
/// in hand is finished, what is left at `rack.drain_timeout` is named. A second signal stops at once.
///
/// Exit status: 0 after a clean drain, 1 when something was left or the scenario has errors.
#[derive(Args)]
pub(crate) struct Run {
    /// Scenario: YAML, or a `fluxrig.toml`
    file: PathBuf,
    /// Settings (`fluxrig.toml`) for a YAML scenario
    #[arg(long, short, value_name = "FILE", env = "FLUXRIG_CONFIG")]
    config: Option<PathBuf>,
    /// The rack to be, where the scenario has several
    #[arg(long, value_name = "NAME")]
    rack: Option<String>,
    /// Check everything, say what would run, and stop there
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    stop: StopOptions,
}

impl Run {
    pub(crate) fn run(self, log: &LogOptions) -> anyhow::Result<ExitCode> {
        let plan = Plan::read(&self.file, self.config.as_deref(), self.rack.as_deref())?;
        terminal::init_logging(log, &plan.settings.logging);
        terminal::say(&plan.render());
        let Some(circuit) = plan.circuit.clone() else { return Ok(ExitCode::FAILURE) };
        if self.dry_run {
            for gear in &circuit.gears {
                println!("{} ({}), task {}", gear.name, gear.kind, gear.segment);
            }
            return Ok(ExitCode::SUCCESS);
        }
        terminal::runtime(plan.settings.rack.threads)?.block_on(async {
            let files = DiskFiles::new(&plan.world);
            // Listening for signals first: one that arrives while booting must not kill half a rack.
            let mut stop = StopSignal::new(self.stop)?;
            let rack = Rack::boot(circuit, plan.registry, &plan.settings.rack, plan.world, files)
                .await
                .with_context(|| format!("cannot run `{}`", self.file.display()))?;
            tracing::info!(scenario = %self.file.display(), gears = rack.stats().gears.len(), "rack is up");
            stop.wait().await;
            tracing::info!("draining; signal again to stop at once");
            let report = tokio::select! {
                biased;
                report = rack.shut_down() => report,
                () = stop.wait() => return Ok(ExitCode::FAILURE),
            };
            Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        })
    }
}
