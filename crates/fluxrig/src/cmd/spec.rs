//! `fluxrig spec`: the specs that a Mixer has.

use std::process::ExitCode;

use clap::Args;

use super::releases::{ReleaseCommand, Sort};

const EXAMPLES: &str = "\
Examples:
  fluxrig spec push acquirer.yaml --note 'field 48 of the new terminals'
  fluxrig spec list
  fluxrig spec diff acquirer:1.0.0 acquirer
  fluxrig spec show acquirer:1.0.0 -o acquirer.yaml";

/// Specs in a Mixer: push, list, show, compare, remove
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct SpecCommand {
    #[command(subcommand)]
    command: ReleaseCommand,
}

impl SpecCommand {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        self.command.run(Sort::Spec)
    }
}
