//! `fluxrig plan`: what would have to happen to a rack that runs one scenario to run another.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};
use flux_scenario::plan;

use crate::{plan::PlanOptions, stdout, terminal};

const EXAMPLES: &str = "\
Examples:
  fluxrig plan running.yaml next.yaml
  fluxrig plan running.yaml next.yaml --json | jq -r '.gears[] | select(.step == \"replace\") | .gear'";

/// Show what changes between two scenarios, gear by gear and wire by wire
///
/// `=` is kept with all it has in hand, `+` is new, `~` is replaced (and says by which settings), `-` goes. Values are
/// not shown, because they may be secrets. Files that gears read, such as specs, are taken as they are now, for both.
///
/// Exit status: 0 when both scenarios are sound, 1 with errors in either, 2 when a file cannot be read.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct PlanBetween {
    /// The scenario that runs: YAML, or a `fluxrig.toml`
    #[arg(value_name = "OLD", value_hint = ValueHint::FilePath)]
    old: PathBuf,
    #[command(flatten)]
    new: PlanOptions,
    /// Print `{"gears":[{"gear","kind","step","because"}],"wires":[{"from","to","step"}]}`
    #[arg(long)]
    json: bool,
}

impl PlanBetween {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let plans = [self.new.about(self.old).read()?, self.new.read()?];
        for plan in plans.iter().filter(|plan| plan.has_errors()) {
            terminal::say(&plan.render());
        }
        let [Some(old), Some(new)] = plans.map(|plan| plan.circuit) else { return Ok(ExitCode::FAILURE) };
        let steps = plan(&old, &new);
        if self.json {
            stdout::line(serde_json::to_string(&steps)?)?;
        } else {
            stdout::print(steps)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
