//! `fluxrig iso8583`: messages to read and write, a terminal, a scheme, and load; none of them needs a scenario.

use std::process::ExitCode;

use clap::{Args, Subcommand};

mod decode;
mod encode;
pub(crate) mod frames;
pub(crate) mod load;
mod scheme;
mod send;
mod spec_option;

/// Read, write, send and answer ISO 8583 messages, and make load
///
/// `--spec` takes a spec file, or the name of a base layout: iso87ascii, iso87binary, iso87hex.
#[derive(Args)]
pub(crate) struct Iso8583 {
    #[command(subcommand)]
    command: Iso8583Command,
}

#[derive(Subcommand)]
enum Iso8583Command {
    Decode(decode::Decode),
    Encode(encode::Encode),
    Send(send::Send),
    Scheme(scheme::Scheme),
    Load(load::Load),
}

impl Iso8583 {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Iso8583Command::Decode(decode) => decode.run(),
            Iso8583Command::Encode(encode) => encode.run(),
            Iso8583Command::Send(send) => send.run(),
            Iso8583Command::Scheme(scheme) => scheme.run(),
            Iso8583Command::Load(load) => load.run(),
        }
    }
}
