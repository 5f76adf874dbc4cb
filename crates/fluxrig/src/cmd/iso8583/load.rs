//! `fluxrig iso8583 load`: many terminals that send load, and verify every answer.

mod connection;
pub(crate) mod driver;
pub(crate) mod mix;
pub(crate) mod report;
pub(crate) mod tally;
mod template;
mod window;

use std::{num::NonZeroU32, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Args;
use flux_scenario::units;
use flux_world::{Target, World};

use self::{
    driver::{End, Profile, drive},
    mix::Mix,
    report::Report,
};
use super::{
    frames::{LengthBytes, Tpdu, parse_tpdu},
    spec_option::SpecOption,
};
use crate::{
    live::Live,
    stdout,
    stop::{StopOptions, StopSignal},
    terminal,
};

/// Requests of one connection that may wait for answers at a time, where they are sent at a fixed rate.
const PIPELINE_AT_RATE: u16 = 64;

/// Be many terminals: send load, and verify that each answer belongs to its request
///
/// Each connection is a terminal of its own that sends purchases (0200, 19 fields with chip data). Account number,
/// trace number, reference number and time are different in every request; each answer must repeat those of its own
/// request, or it counts as cross-wired.
///
/// Without `--rate` the loop is closed: a request follows an answer. With it requests are due at regular times, and
/// latency counts from the time a request was due, so that a stalled system cannot slow down its own measurement.
/// Timers count whole milliseconds: up to 2 ms of lateness before sending is not counted.
///
/// Example: fluxrig iso8583 load --to 127.0.0.1:8583 --connections 64 --duration 10s --mix 4:80,5:20 --accept-declines
///
/// Exit status: 0 when every request was answered as it should be; 1 when an answer was cross-wired, malformed or
/// unexpected, a request timed out or was lost, none was answered, or one was declined without `--accept-declines`;
/// 2 when no connection can be made or the usage is wrong.
#[derive(Args)]
pub(crate) struct Load {
    /// Where to connect
    #[arg(long, value_name = "HOST:PORT")]
    to: Target,
    #[command(flatten)]
    spec: SpecOption,
    /// Connections, each with its own terminal number
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=9999))]
    connections: u16,
    /// Requests of one connection that may wait for answers at a time; 1, or 64 with --rate
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pipeline: Option<u16>,
    /// Requests a second of all connections together; 0 sends as fast as answers come
    #[arg(long, value_name = "TPS", default_value_t = 0)]
    rate: u32,
    /// Time to measure
    #[arg(long, default_value = "10s", conflicts_with = "count")]
    duration: units::Duration,
    /// Requests to measure, instead of a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Time at the start that is not measured
    #[arg(long, default_value = "1s")]
    warmup: units::Duration,
    /// Beginnings of account numbers, with weights
    #[arg(long, value_name = "PREFIX:WEIGHT,...", default_value = "4:1")]
    mix: Mix,
    /// Time for an answer, and for a connection
    #[arg(long, default_value = "5s")]
    timeout: units::Duration,
    /// Bytes of the length in front of each message
    #[arg(long, default_value = "2")]
    length_bytes: LengthBytes,
    /// TPDU in front of each message, 10 hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = parse_tpdu)]
    tpdu: Option<Tpdu>,
    /// Open lost connections again
    #[arg(long)]
    reconnect: bool,
    /// Take a decline for a good answer
    #[arg(long)]
    accept_declines: bool,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
    /// Write the result, with the load of every half second, to a file as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Load {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let world = World::real();
        let Some(spec) = self.spec.load(&world.disk, self.json)? else { return Ok(ExitCode::FAILURE) };
        let rate = NonZeroU32::new(self.rate);
        let pipeline = self.pipeline.unwrap_or(if rate.is_some() { PIPELINE_AT_RATE } else { 1 });
        let profile = Profile {
            target: self.to,
            connections: self.connections,
            pipeline: pipeline.into(),
            rate,
            end: self.count.map_or(End::After(self.duration.0), End::Requests),
            warmup: self.warmup.0,
            timeout: self.timeout.0.max(Duration::from_millis(1)),
            spec,
            mix: self.mix.clone(),
            length: self.length_bytes,
            tpdu: self.tpdu.map(Vec::from).unwrap_or_default(),
            reconnects: self.reconnect,
        };
        let outcome = terminal::runtime(1)?.block_on(async {
            let mut stop = StopSignal::new(StopOptions::default())?;
            let mut live = Live::new();
            let labels: Vec<String> = self.mix.prefixes().map(|prefix| format!("{prefix}...")).collect();
            let mut look = |tally: &_, moment: &_| live.draw(&report::moment_table(tally, moment, &labels));
            drive(&world, profile, &mut look, stop.wait()).await
        })?;
        let report = Report::new(&outcome, &self.mix, self.connections, pipeline, self.rate);
        if let Some(path) = &self.report {
            let text = serde_json::to_string_pretty(&report.with_moments(&outcome))?;
            let written = world.disk.write_atomic(path, text.as_bytes());
            written.with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        match self.json {
            true => stdout::line(serde_json::to_string(&report)?)?,
            false => stdout::print(&report)?,
        }
        Ok(if report.is_good(self.accept_declines) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
