//! `fluxrig check`: every problem of a scenario at once.

use std::process::ExitCode;

use clap::Args;

use crate::{plan::PlanOptions, stdout};

const EXAMPLES: &str = "\
Examples:
  fluxrig check examples/payment-switch/scenario.yaml
  fluxrig check switch.yaml --config fluxrig.toml     the settings too
  fluxrig check switch.yaml --json | jq '.issues[] | {file, line, message, help}'

Each problem has a code; `fluxrig explain FR0201` says what is behind it.";

/// Report every problem of a scenario, with its place and what to do
///
/// Nothing is started: files are read, configurations are held against their schemas, wires are followed, and each gear
/// is made and thrown away. Without --rack that is so for all racks that the scenario names.
///
/// Exit status: 0 when clean or only warnings, 1 with errors, 2 when the file cannot be read or the usage is wrong.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Check {
    #[command(flatten)]
    plan: PlanOptions,
    /// Print `{"issues":[{"code","severity","file","line","column","message","help"}]}`
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let plan = self.plan.read()?.for_every_rack();
        if self.json {
            stdout::line(plan.to_json())?;
        } else if plan.has_nothing_to_say() {
            stdout::line(format_args!("{}: no problems", self.plan.file.display()))?;
        } else {
            stdout::print(plan.render())?;
        }
        Ok(if plan.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
