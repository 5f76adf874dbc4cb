//! `fluxrig passport`: the key a rack signs with, and whether what it kept still verifies.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use flux_world::World;
use serde_json::json;

use crate::{
    control::RackOptions,
    last_good::{LastGood, NOT_TRUSTED, passport_file, read_passport},
    stdout, terminal,
};

#[derive(Args)]
pub(crate) struct Passport {
    #[command(subcommand)]
    command: PassportCommand,
}

#[derive(Subcommand)]
enum PassportCommand {
    /// Print the public key of a rack and its fingerprint
    ///
    /// Exit status: 0, or 2 when there is no passport or it is damaged.
    Show {
        #[command(flatten)]
        rack: RackOptions,
        /// Print `{"public_key","fingerprint","file"}`
        #[arg(long)]
        json: bool,
    },
    /// Verify the scenario that ran last: its signature, and what is in its files; changes nothing
    ///
    /// Exit status: 0 when it can be trusted, 2 when there is no passport, 3 when it is missing, damaged, changed, from a
    /// later version, or signed by somebody else; what is wrong is said on standard error.
    Verify {
        #[command(flatten)]
        rack: RackOptions,
        /// Print the edition as one JSON object
        #[arg(long)]
        json: bool,
    },
}

impl Passport {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let world = World::real();
        match self.command {
            PassportCommand::Show { rack, json } => {
                let (state_dir, base) = rack.place()?;
                let file = passport_file(&state_dir, &base);
                let key = read_passport(&world, &file)?.public_key();
                if json {
                    let told = json!({"public_key": key.to_string(), "fingerprint": key.fingerprint(), "file": file});
                    stdout::line(told)?;
                } else {
                    stdout::line(format_args!("{key}\nfingerprint {}", key.fingerprint()))?;
                }
            }
            PassportCommand::Verify { rack, json } => {
                let (state_dir, base) = rack.place()?;
                read_passport(&world, &passport_file(&state_dir, &base))?;
                let last_good = LastGood::new(world, &state_dir, &base)
                    .context("by `base.scenario_file` no scenario is kept")?;
                let edition = match last_good.verify() {
                    Ok(edition) => edition,
                    Err(why) => {
                        terminal::complain(&why);
                        return Ok(ExitCode::from(NOT_TRUSTED));
                    }
                };
                if json {
                    stdout::line(serde_json::to_string(&edition)?)?;
                } else {
                    let (number, scenario) = (edition.number, edition.scenario);
                    stdout::line(format_args!("edition {number} of `{scenario}` is as it was signed"))?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
