//! `fluxrig iso8583`: messages to read and write, a terminal, a scheme, and load; none of them needs a scenario.

use std::process::ExitCode;

use clap::{Args, Subcommand};

mod decode;
mod distinct_keys;
mod encode;
pub(crate) mod frames;
pub(crate) mod load;
mod scheme;
mod send;
mod spec_option;

const EXAMPLES: &str = "\
Examples:
  What is in a message?
    fluxrig iso8583 decode --spec iso87binary 08008220000000000000040000000000000011051430150000420301
  Write one, and read it back:
    echo '{\"mti\":\"0800\",\"fields\":{\"11\":\"000042\",\"70\":\"301\"}}' | fluxrig iso8583 encode | fluxrig iso8583 decode
  A scheme that answers, and in another terminal a request to it:
    fluxrig iso8583 scheme --listen 127.0.0.1:10001
    fluxrig iso8583 send --to 127.0.0.1:10001 --field 2=4111111111111111 --field 4=000000001000
  How much does it take?
    fluxrig iso8583 load --to 127.0.0.1:10001 --connections 16 --duration 10s";

/// Read, write, send and answer ISO 8583 messages, and make load
///
/// `--spec` takes a spec file, or the name of a base layout: iso87ascii, iso87binary, iso87hex.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
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
