//! `fluxrig iso8583 scheme`: a scheme that answers.

mod answerer;
mod link;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Args;
use flux_scenario::units;
use flux_world::{ListenOptions, Listener, World};
use serde_json::json;
use tokio::task::JoinSet;

use self::{
    answerer::{Answerer, Counts, Move},
    link::Link,
};
use super::{frames::LengthBytes, spec_option::SpecOption};
use crate::{
    stdout,
    stop::{StopOptions, StopSignal},
    terminal,
};

/// Wait after a connection could not be accepted: the cause, such as too many open files, takes a while to pass.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Be a scheme: listen, and answer what comes in
///
/// Answers each request on the connection it came by: the response type of its message type, its fields 2, 3, 4, 7, 11,
/// 37, 41, 49 and 70 where it has them, and a response code (field 39). The account number decides: by default 4... is
/// approved (00), 5... is declined (05), 6... gets no answer. Network management (0800) is always approved.
///
/// Prints `listening on ADDRESS` when it is ready, serves until SIGTERM or Ctrl-C, and then says what it did.
///
/// Example: fluxrig iso8583 scheme --listen 127.0.0.1:10001 --spec iso87ascii --delay 5ms
#[derive(Args)]
pub(crate) struct Scheme {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:10001")]
    listen: String,
    #[command(flatten)]
    spec: SpecOption,
    /// Response code of an approval
    #[arg(long, value_name = "CODE", default_value = "00")]
    de39: String,
    /// Account numbers that are declined with 05 begin with one of these; an empty list declines none
    #[arg(long, value_name = "DIGITS", default_value = "5", value_delimiter = ',')]
    decline_pan_prefix: Vec<String>,
    /// Account numbers that get no answer begin with one of these; an empty list answers all
    #[arg(long, value_name = "DIGITS", default_value = "6", value_delimiter = ',')]
    silent_pan_prefix: Vec<String>,
    /// Time between a request and its answer
    #[arg(long, default_value = "0")]
    delay: units::Duration,
    /// Read everything and answer nothing
    #[arg(long)]
    sink: bool,
    /// Copy a field of the request into another one of the answer, to prove that it travelled; repeatable
    #[arg(long = "move", value_name = "FROM:TO")]
    moves: Vec<Move>,
    /// Bytes of the length in front of each message
    #[arg(long, default_value = "2")]
    length_bytes: LengthBytes,
    /// Expect a TPDU in front of each message, and answer with it turned round
    #[arg(long)]
    tpdu: bool,
    /// Print the address and the counts at the end as JSON, one line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stop: StopOptions,
}

impl Scheme {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let world = World::real();
        let Some(spec) = self.spec.load(&world.disk, self.json)? else { return Ok(ExitCode::FAILURE) };
        let answerer = Answerer {
            spec,
            code: self.de39,
            declined: self.decline_pan_prefix,
            silent: self.silent_pan_prefix,
            is_sink: self.sink,
            moves: self.moves,
            has_tpdu: self.tpdu,
        };
        let link = Link { answerer: Arc::new(answerer), length: self.length_bytes, delay: self.delay.0 };
        terminal::runtime(1)?.block_on(async {
            let mut stop = StopSignal::new(self.stop)?;
            let listening = world.net.listen(&self.listen, &ListenOptions::default()).await;
            let listener = listening.with_context(|| format!("cannot listen on `{}`", self.listen))?;
            let address = listener.local_addr()?;
            match self.json {
                true => stdout::line(json!({ "listening": address.to_string() }))?,
                false => stdout::line(format_args!("listening on {address}"))?,
            }
            let counts = serve(&world, listener, &link, &mut stop).await;
            match self.json {
                true => stdout::line(serde_json::to_string(&counts)?)?,
                false => stdout::line(counts)?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// Serves connections until it is told to stop, and says what was done on all of them.
async fn serve(world: &World, mut listener: Listener, link: &Link, stop: &mut StopSignal) -> Counts {
    let mut links = JoinSet::new();
    let mut counts = Counts::default();
    let (end, ending) = tokio::sync::watch::channel(());
    loop {
        tokio::select! {
            biased;
            () = stop.wait() => break,
            Some(done) = links.join_next() => counts.add(done.unwrap_or_default()),
            accepted = listener.accept() => match accepted {
                Ok(stream) => drop(links.spawn(link.clone().serve(stream, world.clock, ending.clone()))),
                Err(why) => {
                    tracing::warn!(%why, "cannot accept a connection");
                    world.clock.sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(end);
    while let Some(done) = links.join_next().await {
        counts.add(done.unwrap_or_default());
    }
    counts
}
