//! `fluxrig iso8583 send`: a terminal that sends one request.

use std::process::ExitCode;

use clap::Args;

/// Later.
#[derive(Args)]
pub(crate) struct Send {}

impl Send {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        anyhow::bail!("not yet")
    }
}
