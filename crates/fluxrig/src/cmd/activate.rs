//! `fluxrig scenario activate`: what the fleet is to run from now on, shown before, and waited for.

use std::process::ExitCode;
use std::time::Duration as StdDuration;

use clap::Args;
use flux_identity::{Activation, Sync, Topology};
use flux_scenario::units::Duration;
use flux_world::World;
use hyper::{Method, header};
use serde_json::json;

use super::{
    releases::{Named, Sort, difference, say_flaws, shown_plans},
    topology::{changes_topology, counted, topology},
};
use crate::{
    live::Live,
    mixer::{Asking, Client, Follower, LoginOptions, News, is_final, refused},
    stdout, terminal,
};

const EXAMPLES: &str = "\
Examples:
  fluxrig scenario activate branch:1.1.0 --dry-run     what would change, on which rack
  fluxrig scenario activate branch:1.1.0 --wait        until every rack runs it
  fluxrig scenario activate branch --wait 10m --json";

/// What tells that nothing is active.
const NOTHING: &str = "\"none\"";
const MISSING: u16 = 404;
const UNFIT: u16 = 422;
/// How soon a look is tried again that failed.
const AGAIN: StdDuration = StdDuration::from_secs(1);

/// Have the fleet run a release: show what changes on which rack, then do it, unless somebody did something else meanwhile
///
/// It is checked again against what the racks have now.
///
/// Exit status: 0 when it is active, and with --wait every rack runs it; 1 when it has errors, or not every rack ran it in time; 2
/// when somebody activated something else meanwhile, or the Mixer refuses or is not reached.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Activate {
    /// Which one; the latest of the name where no TAG is said
    #[arg(value_name = "NAME[:TAG]")]
    release: Named,
    /// Show what would change, check that it could be, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Wait until every rack that it has something for says that it runs it, for so long at most
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "5m", conflicts_with = "dry_run")]
    wait: Option<Duration>,
    #[command(flatten)]
    login: LoginOptions,
    /// Print `{"is_dry_run","activation":{..},"difference":{..},"is_synced"}`
    #[arg(long)]
    json: bool,
}

impl Activate {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.login.client(&World::real())?;
        terminal::runtime(1)?.block_on(async {
            let (seen, active) = active(&client).await?;
            let from = active.as_ref().map(|active| Named::of(&active.name, &active.tag));
            let difference = difference(&client, Sort::Scenario, from.as_ref(), &self.release).await?;
            if !self.json {
                let from = from.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
                let plans = match shown_plans(&difference) {
                    plans if plans.is_empty() => "nothing changes on any rack\n".to_owned(),
                    plans => plans,
                };
                stdout::print(format_args!("from {from} to {}\n{plans}", difference.to))?;
            }
            // What was compared is what is activated, whatever becomes the latest meanwhile.
            let release = Named::of(&difference.to.name, &difference.to.tag);
            let path = format!("{}/activate?dry_run={}", release.path(Sort::Scenario), self.dry_run);
            let asking = Asking::new(Method::POST, path).header(header::IF_MATCH, seen);
            let activation: Activation = match client.send(asking).await {
                Ok(answered) => answered.read()?,
                Err(why) => match refused(&why) {
                    Some(problem) if problem.status == UNFIT => {
                        say_flaws(&release.to_string(), &problem.errors);
                        return Ok(ExitCode::FAILURE);
                    }
                    _ => return Err(why),
                },
            };
            if !self.json {
                let what = if self.dry_run { "could be activated: nothing was changed" } else { "is active" };
                stdout::line(format_args!("scenario {release} {what}"))?;
            }
            let is_synced = match self.wait {
                Some(within) => Some(Box::pin(synced(&client, &activation, within.0)).await?),
                None => None,
            };
            if self.json {
                stdout::line(json!({
                    "is_dry_run": self.dry_run, "activation": activation, "difference": difference,
                    "is_synced": is_synced,
                }))?;
            }
            Ok(if is_synced == Some(false) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        })
    }
}

/// What is active, and what tells it from what was and will be.
async fn active(client: &Client) -> anyhow::Result<(String, Option<Activation>)> {
    match client.send(Asking::new(Method::GET, "/scenario/active")).await {
        Ok(answered) => Ok((answered.etag.clone().unwrap_or_default(), answered.read()?)),
        Err(why) => match refused(&why) {
            Some(problem) if problem.status == MISSING => Ok((NOTHING.into(), None)),
            _ => Err(why),
        },
    }
}

/// Waits until every rack runs it; false where that took too long, or something else is active.
async fn synced(client: &Client, activation: &Activation, within: StdDuration) -> anyhow::Result<bool> {
    let clock = client.world.clock;
    let until = clock.now() + within;
    let mut progress = Progress { live: Live::new(), said: String::new() };
    let waited = async {
        let mut follower = Follower::begin(client).await?;
        loop {
            match topology(client).await {
                Ok(topology) if topology.scenario.as_ref() != Some(activation) => {
                    progress.say("something else was activated meanwhile");
                    return Ok(false);
                }
                Ok(topology) => {
                    progress.say(&standing(&topology));
                    if topology.is_synced == Some(true) {
                        return Ok(true);
                    }
                }
                Err(why) if is_final(&why) => return Err(why),
                Err(why) => {
                    progress.say(&format!("the Mixer is away, and asked again: {why:#}"));
                    clock.sleep(AGAIN).await;
                    continue;
                }
            }
            while let News::Away(why) = follower.news(changes_topology).await? {
                progress.say(&format!("the Mixer is away, and asked again: {why:#}"));
            }
        }
    };
    let waited = clock.timeout_at(until, Box::pin(waited)).await;
    waited.unwrap_or_else(|_| {
        terminal::say(&format!("not every rack runs it after {}: {}\n", Duration(within), progress.said));
        Ok(false)
    })
}

/// How far it is.
struct Progress {
    live: Live,
    said: String,
}

impl Progress {
    fn say(&mut self, now: &str) {
        if self.said != now {
            now.clone_into(&mut self.said);
            self.live.tell(&format!("{now}\n"));
        }
    }
}

/// Most racks that are named.
const NAMED_MAX: usize = 5;

/// How many racks run it, and which do not.
fn standing(topology: &Topology) -> String {
    let lacking = topology.racks.iter().filter(|rack| matches!(rack.sync, Sync::Behind | Sync::Unknown));
    let lacking = lacking.map(|rack| format!("{} is {}", rack.name, rack.sync));
    let missing = topology.missing.iter().map(|rack| format!("{rack} is not enrolled"));
    let mut named: Vec<String> = lacking.chain(missing).collect();
    let more = named.len().saturating_sub(NAMED_MAX);
    named.truncate(NAMED_MAX);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    [vec![counted(&topology.counts)], named].concat().join("; ")
}
