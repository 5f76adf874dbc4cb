//! `fluxrig iso8583 send`: a terminal that sends one request and shows the answer.

mod line;
mod request;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Args;
use flux_iso8583::{Message, Spec, explain, header::TPDU_BYTES, render, response_mti};
use flux_scenario::units;
use flux_world::{Target, World};

use self::{
    line::{Line, TlsOptions},
    request::FieldValue,
};
use super::{
    decode::Flaw,
    frames::{LengthBytes, Tpdu, parse_tpdu},
    spec_option::SpecOption,
};
use crate::{stdout, terminal};

/// Be a terminal: send one request and show the answer
///
/// Sends one request, waits for the message that answers it, and prints that field by field, card data masked.
///
/// The request is the JSON of `--json`, or put together from `--mti` and `--field`. In the latter case the transmission
/// time (field 7), the trace number (11) and the terminal (41) are filled in where they are not given, as a terminal
/// does.
///
/// Examples:
///
/// fluxrig iso8583 send --to 127.0.0.1:8583 --field 2=4111111111111111 --field 3=000000 --field 4=000000012345
///
/// fluxrig iso8583 send --to 127.0.0.1:8583 --mti 0800 --field 70=301
///
/// Exit status: 0 when the request was answered; 1 when it was not, when the answer was not understood or has another
/// response code than --expect-de39, or when the spec has errors; 2 when the usage is wrong or no connection can be made.
#[derive(Args)]
pub(crate) struct Send {
    /// Where to connect
    #[arg(long, value_name = "HOST:PORT")]
    to: Target,
    #[command(flatten)]
    spec: SpecOption,
    /// Message type of the request
    #[arg(long, default_value = "0200")]
    mti: String,
    /// A field or a part of one: `2=4111111111111111`, `55.9F36=0042`; repeatable
    #[arg(long = "field", value_name = "PATH=VALUE")]
    fields: Vec<FieldValue>,
    /// Read the request from a file in the form of `decode --json`; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mti", "fields"])]
    json: Option<PathBuf>,
    /// Bytes of the length in front of each message
    #[arg(long, default_value = "2")]
    length_bytes: LengthBytes,
    /// TPDU in front of the request, 10 hexadecimal digits; the answer then has one too
    #[arg(long, value_name = "HEX", value_parser = parse_tpdu)]
    tpdu: Option<Tpdu>,
    #[command(flatten)]
    tls: TlsOptions,
    /// Time for the connection, and for the answer
    #[arg(long, default_value = "5s")]
    timeout: units::Duration,
    /// Fail when the answer has another response code
    #[arg(long, value_name = "CODE")]
    expect_de39: Option<String>,
    /// Print the answer as JSON, unmasked
    #[arg(long)]
    print_json: bool,
}

impl Send {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let world = World::real();
        let Some(spec) = self.spec.load(&world.disk, self.print_json)? else { return Ok(ExitCode::FAILURE) };
        let request = match &self.json {
            Some(path) => request::from_json(&world.disk, path, Arc::clone(&spec))?,
            None => request::from_fields(&world, Arc::clone(&spec), &self.mti, &self.fields),
        };
        let request = match request {
            Ok(request) => request,
            Err(why) => return Flaw::from(&why).tell(self.print_json),
        };
        let answer = terminal::runtime(1)?.block_on(async {
            let line = Line::open(&world, &self.to, self.length_bytes, &self.tls, self.timeout.0).await?;
            anyhow::Ok(self.exchange(&world, line, &spec, &request).await)
        })?;
        let (answer, took) = match answer {
            Ok(answer) => answer,
            Err(why) => return Flaw::from(why).tell(self.print_json),
        };
        match self.print_json {
            true => stdout::line(answer.to_json())?,
            false => {
                stdout::print(render(&explain(&spec, &answer.to_bytes())))?;
                terminal::say(&format!("answered in {:.2} ms\n", took.as_secs_f64() * 1e3));
            }
        }
        let code = answer.characters(39).unwrap_or_default();
        let is_expected = self.expect_de39.as_ref().is_none_or(|expected| *code == *expected.as_bytes());
        Ok(if is_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The message that answers the request, and how long it took.
    async fn exchange(
        &self,
        world: &World,
        mut line: Line,
        spec: &Arc<Spec>,
        request: &Message,
    ) -> anyhow::Result<(Message, Duration)> {
        let tpdu = self.tpdu.as_ref().map_or(&[][..], |tpdu| &tpdu[..]);
        let sent = world.clock.now();
        let deadline = sent + self.timeout.0;
        line.send(&[tpdu, &request.to_bytes()].concat().into()).await?;
        let expected = response_mti(request.mti());
        loop {
            let received = world.clock.timeout_at(deadline, line.receive()).await;
            let frame = received.with_context(|| format!("no answer within {}", self.timeout))?;
            let frame = frame.context("the connection ended without an answer")?;
            let header = if tpdu.is_empty() { 0 } else { TPDU_BYTES };
            anyhow::ensure!(frame.len() >= header, "the answer is too short for a TPDU");
            let answer = Message::decode(Arc::clone(spec), frame.slice(header..))?;
            let is_answer = expected.is_none_or(|mti| mti == *answer.mti().as_bytes());
            if is_answer && answer.characters(11) == request.characters(11) {
                return Ok((answer, world.clock.now() - sent));
            }
            terminal::say(&format!("a message {} that is not the answer\n", answer.mti()));
        }
    }
}
