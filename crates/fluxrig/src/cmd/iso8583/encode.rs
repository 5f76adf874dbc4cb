//! `fluxrig iso8583 encode`: a message from JSON.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use flux_iso8583::Message;
use flux_world::World;

use super::{decode::Flaw, distinct_keys::DistinctKeys, spec_option::SpecOption};
use crate::{cmd::msg, input, stdout};

/// Write a message from the JSON that `decode --json` prints
///
/// Reads `{"mti":"0800","fields":{"7":"1105143015","11":"000042","70":"301"}}`, the form of `decode --json`, and prints
/// the message as hexadecimal digits. Binary fields are hexadecimal text, fields with parts are objects.
///
/// Example: echo '{"mti":"0800","fields":{"11":"000042","70":"301"}}' | fluxrig iso8583 encode --spec iso87ascii --json
///
/// Exit status: 0 when it was written; 1 when a value does not fit the spec, or the spec has errors; 2 when a file
/// cannot be read or the usage is wrong.
#[derive(Args)]
pub(crate) struct Encode {
    /// The file with the JSON; standard input when absent
    file: Option<PathBuf>,
    #[command(flatten)]
    spec: SpecOption,
    /// Read JSON, the only form so far; problems are printed as JSON too
    #[arg(long)]
    json: bool,
}

impl Encode {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let disk = World::real().disk;
        let Some(spec) = self.spec.load(&disk, self.json)? else { return Ok(ExitCode::FAILURE) };
        let text = input::message_text(&disk, self.file.as_deref())?;
        let message = match serde_json::from_str(&text) {
            Ok(DistinctKeys(json)) => Message::from_json(spec, &json).map_err(|why| Flaw::from(&why)),
            Err(why) => Err(Flaw::other(format!("expected JSON: {why}"))),
        };
        match message {
            Ok(message) => stdout::line(msg::to_hex(&message.to_bytes()))?,
            Err(flaw) => return flaw.tell(self.json),
        }
        Ok(ExitCode::SUCCESS)
    }
}
