//! `fluxrig status`: how a running rack does.

use std::process::ExitCode;

use clap::Args;

use crate::{
    control::{RackOptions, Request, ask},
    status::RackStatus,
    stdout,
};

const EXAMPLES: &str = "\
Examples:
  fluxrig run switch.yaml --state-dir /var/lib/switch &
  fluxrig status --state-dir /var/lib/switch
  fluxrig status --state-dir /var/lib/switch --json | jq '.alarms'";

/// Show how a running rack does: alarms, gears with their uptime, wires with what waits in them, dead letters
///
/// The rack is found by its state directory, so it is one that runs with --state-dir, with `base.state_dir` in its
/// settings, or with something to keep on disk.
///
/// Exit status: 0 when nothing is wrong, 1 when there are alarms, 2 when no rack answers.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Status {
    #[command(flatten)]
    rack: RackOptions,
    /// Print `{"scenario","pid","uptime_ms","alarms":[..],"gears":[..],"wires":[..],"dead_letters",..}`
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let status: RackStatus = ask(&self.rack.state_dir()?, &Request::Status {})?;
        if self.json {
            stdout::line(serde_json::to_string(&status)?)?;
        } else {
            stdout::print(&status)?;
        }
        Ok(if status.alarms.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
