//! `fluxrig msg`: CBOR to readable, and back.

use std::process::ExitCode;

use anyhow::Context;
use bytes::Bytes;
use clap::{Args, Subcommand};
use flux_signal::{Limits, cbor};
use flux_world::World;

use crate::{
    input::{self, MESSAGE_TEXT_BYTES_MAX},
    stdout,
};

#[derive(Args)]
pub(crate) struct Msg {
    #[command(subcommand)]
    command: MsgCommand,
}

#[derive(Subcommand)]
enum MsgCommand {
    /// Show CBOR in diagnostic notation (RFC 8949 section 8), or a message as JSON
    ///
    /// Payloads are shown: keep the output away from logs.
    Decode {
        /// Hexadecimal digits; standard input (hexadecimal or binary) when absent
        hex: Option<String>,
        /// Read a fluxrig message and print it as JSON
        #[arg(long)]
        json: bool,
        /// Refuse what the canonical encoder would not have written
        #[arg(long)]
        strict: bool,
    },
    /// Write CBOR, as hexadecimal digits, from diagnostic notation or JSON
    ///
    /// Reads back what `decode` prints: notation as it is, and a message as JSON with `--json`.
    Encode {
        /// Diagnostic notation, JSON, or hexadecimal CBOR with `--canonical`; standard input when absent
        text: Option<String>,
        /// Read a fluxrig message, as `decode --json` prints it
        #[arg(long, conflicts_with = "canonical")]
        json: bool,
        /// Encode deterministically (RFC 8949 section 4.2.1)
        #[arg(long)]
        canonical: bool,
    },
}

impl Msg {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            MsgCommand::Decode { hex, json, strict } => {
                let bytes = match hex {
                    Some(hex) => from_hex(&hex).context("the argument is not hexadecimal")?,
                    None => stdin_bytes()?,
                };
                let strictness = if strict { cbor::Strictness::Canonical } else { cbor::Strictness::Lenient };
                if json {
                    let msg = cbor::decode(&Bytes::from(bytes), strictness, &Limits::DEFAULT)?;
                    stdout::line(cbor::to_json(&msg))?;
                } else {
                    if strict {
                        let canonical = cbor::canonicalize(&bytes)?;
                        anyhow::ensure!(canonical == bytes, "well-formed, but not in canonical form");
                    }
                    stdout::line(cbor::diagnose(&bytes)?)?;
                }
            }
            MsgCommand::Encode { text, json, canonical } => {
                let text = match text {
                    Some(text) => text,
                    None => input::message_text(&World::real().disk, None)?,
                };
                stdout::line(to_hex(&encoded(&text, json, canonical)?))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn encoded(text: &str, is_message: bool, is_canonical: bool) -> anyhow::Result<Vec<u8>> {
    if is_message {
        let json = serde_json::from_str(text).context("the message is not JSON")?;
        let mut bytes = Vec::new();
        cbor::encode(&cbor::from_json(&json)?, &mut bytes)?;
        return Ok(bytes);
    }
    let bytes = match from_hex(text.trim()) {
        Some(bytes) if is_canonical && !bytes.is_empty() => bytes,
        _ => cbor::parse_diagnostic(text)?,
    };
    Ok(if is_canonical { cbor::canonicalize(&bytes)? } else { bytes })
}

fn stdin_bytes() -> anyhow::Result<Vec<u8>> {
    let bytes = input::stdin(MESSAGE_TEXT_BYTES_MAX)?;
    let digits = str::from_utf8(&bytes).ok().and_then(|text| from_hex(text.trim()));
    Ok(digits.unwrap_or_else(|| bytes.into()))
}

/// Hexadecimal digits, white space allowed between bytes.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).map(|d| d as u8))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|d| char::from_digit(d.into(), 16))
        .collect()
}
