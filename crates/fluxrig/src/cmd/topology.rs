//! `fluxrig topology`: what a fleet is to run, and which racks do.

use std::process::ExitCode;

use clap::Args;
use flux_identity::{RackSync, SyncCounts, Topology};
use flux_scenario::edition::ContentHash;
use flux_world::World;
use hyper::Method;
use serde_json::json;

use super::{racks::shown_labels, releases::day_and_time};
use crate::{
    mixer::{Client, LoginOptions},
    stdout, terminal,
    watching::{Picture, Row, Scene, watch},
};

const EXAMPLES: &str = "\
Examples:
  fluxrig topology
  fluxrig topology --watch                             drawn again whenever something changes
  fluxrig topology --json | jq -r '.racks[] | select(.sync != \"synced\") | .name'
  fluxrig topology --watch --json | jq -c 'select(.rack.sync == \"behind\")'

`synced`: the rack says that it runs what it is to run. `behind`: it says that it runs something else. `unknown`: it does not
say, or is not heard of any more. `idle`: there is nothing for it.";

const COLUMNS: &[&str] = &["rack", "state", "heard of", "sync", "is to run", "runs", "labels"];

/// Show what the fleet is to run, and which racks say that they run it
///
/// Exit status: 0 when it was shown, whatever it says (`fluxrig scenario activate --wait` waits until all is in order), 2 when the
/// Mixer refuses or is not reached.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct TopologyCommand {
    #[command(flatten)]
    login: LoginOptions,
    /// Go on until Ctrl-C, and show what changes: on a terminal drawn anew, else a line for each rack that is new, another, or
    /// gone
    #[arg(long)]
    watch: bool,
    /// Print `{"scenario","is_synced","counts","missing":[..],"racks":[{"name","sync",..}]}`, where `is_synced` is null without a
    /// scenario; with --watch a line `{"scenario":..}`, `{"rack":..}` or `{"removed":..}` for each change
    #[arg(long)]
    json: bool,
}

impl TopologyCommand {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.login.client(&World::real())?;
        terminal::runtime(1)?.block_on(async {
            if self.watch {
                return watch(&client, &Fleet, self.json).await;
            }
            let topology = topology(&client).await?;
            match self.json {
                true => stdout::line(serde_json::to_string(&topology)?),
                false => stdout::print(picture(&topology)),
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// All of it, page by page.
pub(super) async fn topology(client: &Client) -> anyhow::Result<Topology> {
    let mut whole: Topology = client.ask(Method::GET, "/topology?limit=1000", None).await?;
    while let Some(after) = whole.next.take() {
        let path = format!("/topology?limit=1000&after={after}");
        let page: Topology = client.ask(Method::GET, &path, None).await?;
        whole = Topology { racks: [whole.racks, page.racks].concat(), ..page };
    }
    Ok(whole)
}

/// The fleet, to be watched.
struct Fleet;

impl Scene for Fleet {
    fn is_changed_by(what: &str) -> bool {
        changes_topology(what)
    }

    async fn look(&self, client: &Client) -> anyhow::Result<Picture> {
        Ok(picture(&topology(client).await?))
    }
}

/// Whether an event may change what the topology says.
pub(super) fn changes_topology(what: &str) -> bool {
    what.starts_with("rack.") || what == "scenario.activated"
}

fn picture(topology: &Topology) -> Picture {
    let mut head = vec![match &topology.scenario {
        Some(active) => {
            let (at, by) = (day_and_time(active.activated_unix_ms), &active.activated_by);
            format!("scenario {}:{}, active since {at}, by {by}", active.name, active.tag)
        }
        None => "no scenario is active: `fluxrig scenario activate NAME:TAG` has the fleet run one".into(),
    }];
    if topology.scenario.is_some() {
        head.push(counted(&topology.counts));
    }
    if !topology.missing.is_empty() {
        head.push(format!("not enrolled: {}", topology.missing.join(", ")));
    }
    let json = json!({
        "scenario": topology.scenario, "is_synced": topology.is_synced, "counts": topology.counts,
        "missing": topology.missing,
    });
    let head = Some(Row { name: String::new(), cells: head, json });
    Picture { head, columns: COLUMNS, rows: topology.racks.iter().map(row).collect() }
}

/// How many racks stand how, in words.
pub(super) fn counted(counts: &SyncCounts) -> String {
    let SyncCounts { synced, behind, unknown, idle } = counts;
    format!("{synced} synced, {behind} behind, {unknown} unknown, {idle} idle")
}

fn row(rack: &RackSync) -> Row {
    let digest = |digest: Option<ContentHash>| match digest {
        Some(digest) => digest.to_string().chars().take(12).collect(),
        None => "-".to_owned(),
    };
    let cells = vec![
        rack.name.to_string(),
        rack.state.to_string(),
        rack.liveness.to_string(),
        rack.sync.to_string(),
        digest(rack.desired),
        digest(rack.actual),
        shown_labels(&rack.labels),
    ];
    Row { name: rack.name.to_string(), cells, json: json!({ "rack": rack }) }
}
