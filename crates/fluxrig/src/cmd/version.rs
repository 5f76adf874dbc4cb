//! `fluxrig version`: what this binary is.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::stdout;

#[derive(Args)]
pub(crate) struct Version {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Version {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let catalog = crate::gears().catalog();
        let kinds: Vec<_> = catalog.kinds().collect();
        let version = env!("CARGO_PKG_VERSION");
        if self.json {
            stdout::line(json!({ "version": version, "gears": kinds }))?;
        } else {
            stdout::line(format_args!("fluxrig {version}\ngears: {}", kinds.join(", ")))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
