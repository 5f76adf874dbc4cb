//! `fluxrig completions`: tab completion.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print completions for a shell
///
/// For bash: `fluxrig completions bash > /etc/bash_completion.d/fluxrig`.
#[derive(Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        clap_complete::generate(self.shell, &mut super::Cli::command(), "fluxrig", &mut std::io::stdout());
        Ok(ExitCode::SUCCESS)
    }
}
