//! `fluxrig completions`: tab completion.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::stdout;

const EXAMPLES: &str = "\
Examples:
  fluxrig completions bash > ~/.local/share/bash-completion/completions/fluxrig
  fluxrig completions zsh > ~/.zfunc/_fluxrig       with ~/.zfunc in fpath
  fluxrig completions fish > ~/.config/fish/completions/fluxrig.fish";

/// Print completions for a shell
///
/// Commands, options, their choices, files and the kinds of gear are completed.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Cli::command(), "fluxrig", &mut script);
        stdout::print(String::from_utf8_lossy(&script))?;
        Ok(ExitCode::SUCCESS)
    }
}
