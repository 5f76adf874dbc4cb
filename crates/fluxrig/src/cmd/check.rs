//! `fluxrig check`: every problem of a scenario at once.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use crate::{plan::Plan, terminal};

/// Report every problem of a scenario, with its place and what to do
///
/// Exit status: 0 when clean or only warnings, 1 with errors, 2 when the file cannot be read or the usage is wrong.
#[derive(Args)]
pub(crate) struct Check {
    /// Scenario: YAML, or a `fluxrig.toml`
    file: PathBuf,
    /// Check what this rack would run, where the scenario has several
    #[arg(long, value_name = "NAME")]
    rack: Option<String>,
    /// Print `{"issues":[{"code","severity","file","line","column","message","help"}]}`
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let plan = Plan::read(&self.file, None, self.rack.as_deref())?;
        if self.json {
            println!("{}", plan.report.to_json());
        } else if plan.report.is_empty() {
            println!("{}: no problems", self.file.display());
        } else {
            print!("{}", plan.report.render(terminal::has_color()));
        }
        Ok(if plan.report.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
