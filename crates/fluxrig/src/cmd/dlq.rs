//! `fluxrig dlq`: the dead letters of a rack, running or not.

mod filter;
mod shown;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use flux_journal::OpenError;
use flux_rack::{Filter, Handled, JournalError, Searched, Stopped, search};
use flux_world::World;
use serde::Deserialize;
use serde_json::json;

use crate::{
    control::{RackOptions, Request, ask},
    stdout, terminal,
};
use filter::Chosen;

const EXAMPLES: &str = "\
Examples:
  fluxrig dlq list --state-dir /var/lib/switch
  fluxrig dlq list --gear decode --reason malformed --since 2h
  fluxrig dlq show --id 0190a5b27c3e7d4a8b1f2f6c1d9e0a7b --unmasked
  fluxrig dlq replay --reason no_connection --dry-run
  fluxrig dlq drop --gear decode --until 2026-01-01T00:00:00Z";

const NONE_MATCHES: &str = "no dead letter matches\n";

#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Dlq {
    #[command(subcommand)]
    command: DlqCommand,
}

#[derive(Subcommand)]
enum DlqCommand {
    /// List dead letters, oldest first: when, where, why, how often; never what they say
    ///
    /// The journal is read beside a rack that runs, too. Exit status: 0, also when there are none; 1 when some cannot be read.
    List {
        #[command(flatten)]
        chosen: Chosen,
        /// Letters to list at most; 0 for all
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: usize,
        /// Print `{"total","matching","letters":[{"id","gear","port","reason",..}],"problems":[..]}`
        #[arg(long)]
        json: bool,
    },
    /// Show dead letters with their messages; payload and data are masked
    Show {
        #[command(flatten)]
        chosen: Chosen,
        /// Letters to show at most; 0 for all
        #[arg(long, default_value_t = 1, value_name = "N")]
        limit: usize,
        /// Show payload and data as they are: keep the output away from logs
        #[arg(long)]
        unmasked: bool,
        /// One JSON object a letter
        #[arg(long)]
        json: bool,
    },
    /// Try dead letters again: each goes to the port where it failed, as the message it was
    ///
    /// A rack that runs does it at once; one that does not does it at its next start. A letter is one until its message has
    /// come to an end, and one that fails again has its attempts counted on. Exit status: 1 when some cannot be replayed, and
    /// when there is none of the ids that were given.
    Replay {
        #[command(flatten)]
        change: Change,
    },
    /// Drop dead letters for good
    ///
    /// Exit status: 1 when some cannot be dropped, and when there is none of the ids that were given.
    Drop {
        #[command(flatten)]
        change: Change,
    },
}

/// Which letters to change, and whether to.
#[derive(Args)]
struct Change {
    #[command(flatten)]
    chosen: Chosen,
    /// Letters to take at most, oldest first; 0 for all that match
    #[arg(long, default_value_t = 0, value_name = "N")]
    limit: usize,
    /// Every letter: needed where nothing else says which
    #[arg(long)]
    all: bool,
    /// Only say how many there are
    #[arg(long)]
    dry_run: bool,
    /// Print `{"letters","refused":[["why",n]],"when"}`
    #[arg(long)]
    json: bool,
}

/// What a rack says.
#[derive(Deserialize)]
struct Told {
    handled: Option<Handled>,
    why: Option<String>,
}

#[derive(Clone, Copy)]
enum Action {
    Replay,
    Drop,
}

impl Dlq {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            DlqCommand::List { chosen, limit, json } => {
                let found = find(&chosen.rack, &chosen.filter()?, all_for_0(limit))?;
                stdout::print(if json { shown::list_json(&found) } else { shown::list(&found) })?;
                Ok(exit_code(found.problems.is_empty()))
            }
            DlqCommand::Show { chosen, limit, unmasked, json } => {
                let found = find(&chosen.rack, &chosen.filter()?, all_for_0(limit))?;
                for letter in &found.letters {
                    stdout::print(if json {
                        shown::letter_json(letter, unmasked)
                    } else {
                        shown::letter(letter, unmasked)
                    })?;
                }
                if found.letters.is_empty() {
                    terminal::say(NONE_MATCHES);
                }
                Ok(exit_code(found.problems.is_empty()))
            }
            DlqCommand::Replay { change } => change.run(Action::Replay),
            DlqCommand::Drop { change } => change.run(Action::Drop),
        }
    }
}

impl Change {
    fn run(self, action: Action) -> anyhow::Result<ExitCode> {
        let filter = self.chosen.filter()?;
        let names_ids = !filter.ids.is_empty();
        if filter == Filter::default() && !self.all {
            bail!("nothing says which letters are meant: name some, or give --all");
        }
        let limit = all_for_0(self.limit);
        let (handled, when) = if self.dry_run {
            let found = find(&self.chosen.rack, &filter, 0)?;
            let letters = found.matching.min(limit as u64);
            (Handled { letters, refused: Vec::new() }, "dry run")
        } else {
            self.act(action, filter, limit)?
        };
        let Handled { letters, refused } = handled;
        if self.json {
            stdout::line(json!({ "letters": letters, "refused": refused, "when": when }).to_string())?;
        } else {
            let verb = match action {
                Action::Replay => "replayed",
                Action::Drop => "dropped",
            };
            stdout::line(match when {
                "dry run" => format!("{letters} letters would be {verb}"),
                "at the next start" => format!("{letters} letters will be {verb} when the rack starts"),
                _ => format!("{letters} letters {verb}"),
            })?;
            for (why, letters) in &refused {
                terminal::say(&format!("{letters} letters not {verb}: {why}\n"));
            }
        }
        let has_none = letters == 0 && refused.is_empty();
        if has_none && !self.json {
            terminal::say(NONE_MATCHES);
        }
        Ok(exit_code(refused.is_empty() && !(has_none && names_ids)))
    }

    /// Through the rack where it runs; else on its files.
    fn act(&self, action: Action, filter: Filter, limit: usize) -> anyhow::Result<(Handled, &'static str)> {
        let state_dir = existing(&self.chosen.rack)?;
        let world = World::real();
        let runtime = terminal::runtime(1)?;
        let stopped = match runtime.block_on(Stopped::open(&world, &state_dir)) {
            Ok(stopped) => stopped,
            Err(JournalError::Open { source: OpenError::InUse { .. }, .. }) => {
                let request = match action {
                    Action::Replay => Request::Replay { filter, limit },
                    Action::Drop => Request::DropLetters { filter, limit },
                };
                let told: Told = ask(&state_dir, &request)?;
                return match told {
                    Told { handled: Some(handled), .. } => Ok((handled, "now")),
                    Told { why, .. } => bail!(why.unwrap_or_default()),
                };
            }
            Err(why) => return Err(why.into()),
        };
        let found = search(&world, &state_dir, &filter, limit)?;
        let letters: Vec<u64> = found.letters.iter().map(|letter| letter.sequence).collect();
        let (done, when) = runtime.block_on(async {
            match action {
                Action::Replay => (stopped.replay_later(&letters).await, "at the next start"),
                Action::Drop => (stopped.remove(&letters).await, "now"),
            }
        });
        Ok((Handled { letters: done? as u64, refused: Vec::new() }, when))
    }
}

fn find(rack: &RackOptions, filter: &Filter, limit: usize) -> anyhow::Result<Searched> {
    let state_dir = existing(rack)?;
    let found = search(&World::real(), &state_dir, filter, limit);
    let found =
        found.with_context(|| format!("cannot read the dead letters in `{}`", state_dir.display()))?;
    for problem in &found.problems {
        terminal::say(&format!("{problem}\n"));
    }
    Ok(found)
}

fn existing(rack: &RackOptions) -> anyhow::Result<PathBuf> {
    let state_dir = rack.state_dir()?;
    let shown = state_dir.display();
    ensure!(
        state_dir.exists(),
        "there is no state directory `{shown}`: name that of the rack with --state-dir (a rack without one keeps its dead \
         letters in memory)"
    );
    ensure!(
        state_dir.is_dir(),
        "`{shown}` is no directory: name the state directory of the rack with --state-dir"
    );
    Ok(state_dir)
}

fn all_for_0(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit }
}

fn exit_code(is_fine: bool) -> ExitCode {
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
