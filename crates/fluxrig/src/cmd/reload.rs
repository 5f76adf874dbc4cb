//! `fluxrig reload`: another version of the scenario goes live in a running rack.

use std::process::ExitCode;

use clap::Args;

use crate::{
    control::{RackOptions, Request, ask},
    reload::{Outcome, ReloadReport},
    stdout,
};

const EXAMPLES: &str = "\
Examples:
  fluxrig reload --state-dir /var/lib/switch --dry-run    what would change
  fluxrig reload --state-dir /var/lib/switch
  fluxrig reload --state-dir /var/lib/switch --json | jq -r '.plan.gears[] | select(.step != \"keep\") | .gear'

SIGHUP does the same; `fluxrig run --watch` does it whenever the files change.";

/// Have a running rack read its scenario again and become what it says now
///
/// The file is the one the rack was started with. Gears that did not change go on with their connections and what is in
/// their queues; files that gears read, such as specs and certificates, count as part of them. A version that cannot run
/// changes nothing, and it is said why. A durable wire that goes delivers what it holds first, for `rack.process_timeout` at
/// most while its senders wait; then the version is refused, unless it is to be left. Settings beside the scenario take effect when the rack is started again.
///
/// Exit status: 0 when the rack runs what the files say (with --dry-run: could run it), 1 when the new version was
/// refused and the old one goes on, 2 when no rack answers.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Reload {
    #[command(flatten)]
    rack: RackOptions,
    /// Check the new version and show what would change; move nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave what waits on durable wires that go on disk, until there is a durable wire of the same id again
    #[arg(long)]
    leave: bool,
    /// Print `{"outcome","plan":{"gears","wires"},"why","issues":[..],"settings_later":[..],"paused_us",..}`
    #[arg(long)]
    json: bool,
}

impl Reload {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let request = Request::Reload { dry_run: self.dry_run, leave: self.leave };
        let report: ReloadReport = ask(&self.rack.state_dir()?, &request)?;
        if self.json {
            stdout::line(serde_json::to_string(&report)?)?;
        } else {
            stdout::print(&report)?;
        }
        Ok(match report.outcome {
            Outcome::Reloaded | Outcome::Unchanged | Outcome::Planned => ExitCode::SUCCESS,
            Outcome::Refused => ExitCode::FAILURE,
        })
    }
}
