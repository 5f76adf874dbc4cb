//! `fluxrig check`: every problem of a scenario at once.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use crate::plan::Plan;

/// Report every problem of a scenario, with its place and what to do
///
/// Exit status: 0 when clean or only warnings, 1 with errors, 2 when the file cannot be read or the usage is wrong.
#[derive(Args)]
pub(crate) struct Check {
    /// Scenario: YAML, or a `fluxrig.toml`
    file: PathBuf,
    /// Settings (`fluxrig.toml`) for a YAML scenario, checked with it
    #[arg(long, short, value_name = "FILE", env = "FLUXRIG_CONFIG")]
    config: Option<PathBuf>,
    /// Check what this rack would run, where the scenario has several
    #[arg(long, value_name = "NAME")]
    rack: Option<String>,
    /// Print `{"issues":[{"code","severity","file","line","column","message","help"}]}`
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let plan = Plan::read(&self.file, self.config.as_deref(), self.rack.as_deref())?;
        if self.json {
            println!("{}", plan.to_json());
        } else if plan.has_nothing_to_say() {
            println!("{}: no problems", self.file.display());
        } else {
            print!("{}", plan.render());
        }
        Ok(if plan.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
