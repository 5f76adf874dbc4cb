//! `fluxrig demo`: a payment switch at work, on one machine and without preparation.

mod house;
mod process;

use std::{cell::RefCell, process::ExitCode, time::Duration};

use clap::Args;
use flux_scenario::units;
use flux_world::{Instant, World};
use serde_json::json;

use self::house::House;
use super::iso8583::load::{
    driver::{End, Outcome, Profile, drive},
    mix::Mix,
    report::{Report, moment_table, table},
};
use crate::{
    live::Live,
    stdout,
    stop::{StopOptions, StopSignal},
    terminal,
};

/// Where the routes of the example take the account numbers of the mix.
const LABELS: [&str; 4] =
    ["4...   visa, else mc", "51...  mc, else visa", "59...  mc, declined", "3...   visa and mc in turn"];
/// Time at the start that is not measured.
const WARMUP: Duration = Duration::from_millis(500);
/// Time for an answer: longer than the switch waits for a scheme.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// When the scheme is killed and when it comes back, as parts of the duration.
const KILLED_AT: f64 = 0.35;
const BACK_AT: f64 = 0.7;

/// Show a payment switch at work: terminals, a rack and two schemes on this machine
///
/// Starts two card schemes and a rack that runs `examples/payment-switch/scenario.yaml`, all of them processes of this
/// program, and is the terminals itself. Every answer is checked to belong to its request and its terminal.
///
/// With --kill-scheme one scheme is killed on the way and started again: watch its customers being served by the other
/// one. What the killed scheme had in hand times out.
///
/// Exit status: 0 when every request was answered and none by another one's answer; with --kill-scheme requests may
/// time out. 1 otherwise; 2 when the demo could not run.
#[derive(Args)]
pub(crate) struct Demo {
    /// Time to measure
    #[arg(long, default_value = "10s")]
    duration: units::Duration,
    /// Terminals, a connection each
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    terminals: u16,
    /// Kill a scheme in the middle and start it again
    #[arg(long)]
    kill_scheme: bool,
    /// End with one JSON line: tps, p50_us, p99_us, answered, declined, timed_out, cross_wired
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let world = World::real();
        let mix: Mix = house::MIX.parse().expect("the constant is a mix");
        let outcome = terminal::runtime(1)?.block_on(async {
            let mut stop = StopSignal::new(StopOptions::default())?;
            let mut house = House::open(&world).await?;
            let shown = self.show(&world, &mut house, &mut stop).await;
            house.close(&world, shown).await
        })?;
        let report = Report::new(&outcome, &mix, self.terminals, 1, 0);
        let timed_out = report.outcomes.timed_out + report.outcomes.lost;
        if self.json {
            let line = json!({
                "tps": report.tps,
                "p50_us": report.p50_us,
                "p99_us": report.p99_us,
                "answered": report.answered,
                "declined": report.outcomes.declined,
                "timed_out": timed_out,
                "cross_wired": report.cross_wired,
            });
            stdout::line(line)?;
        } else {
            stdout::line(format_args!("{}\n{report}", table(&outcome.tally, &labels())))?;
        }
        let is_good = report.answered > 0
            && report.cross_wired + report.malformed == 0
            && (self.kill_scheme || timed_out + report.unexpected == 0);
        Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Makes the load and tells the story beside it, until the load ends or a process dies that should live.
    async fn show(&self, world: &World, house: &mut House, stop: &mut StopSignal) -> anyhow::Result<Outcome> {
        if !self.json {
            terminal::say(
                "up: a rack with the payment switch, the schemes visa and mc, three processes in all\n",
            );
        }
        let load = house::load(house.terminals(), self.terminals, End::After(self.duration.0))?;
        let profile = Profile { warmup: WARMUP, timeout: ANSWER_TIMEOUT, ..load };
        let events = RefCell::new(String::new());
        let (mut live, labels) = (Live::new(), labels());
        let mut look = |tally: &_, moment: &_| {
            if !self.json {
                live.draw(&format!("{}{}", moment_table(tally, moment, &labels), events.borrow()));
            }
        };
        let started = world.clock.now();
        tokio::select! {
            biased;
            why = self.story(world, house, started, &events) => Err(why),
            outcome = drive(world, profile, &mut look, stop.wait()) => outcome,
        }
    }

    /// Kills a scheme and starts it again where that was asked for; returns only with what went wrong.
    async fn story(
        &self,
        world: &World,
        house: &mut House,
        started: Instant,
        events: &RefCell<String>,
    ) -> anyhow::Error {
        let at = |part| started + WARMUP + self.duration.0.mul_f64(part);
        let tell = |what: &str| {
            let seconds = (world.clock.now() - started).as_secs_f64();
            *events.borrow_mut() += &format!("{seconds:6.1} s  {what}\n");
        };
        if self.kill_scheme {
            for (part, is_end) in [(KILLED_AT, true), (BACK_AT, false)] {
                tokio::select! {
                    biased;
                    why = house.misfortune() => return why,
                    () = world.clock.sleep_until(at(part)) => {}
                }
                let done = if is_end { house.kill_visa().await } else { house.restart_visa(world).await };
                if let Err(why) = done {
                    return why;
                }
                tell(if is_end { "the scheme visa is killed" } else { "the scheme visa is back" });
            }
        }
        house.misfortune().await
    }
}

fn labels() -> Vec<String> {
    LABELS.map(String::from).into()
}
