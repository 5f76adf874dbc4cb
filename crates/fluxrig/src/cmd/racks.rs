//! `fluxrig racks`: the fleet, as its Mixer knows it.

use std::{collections::BTreeMap, process::ExitCode};

use clap::{ArgGroup, Args, Subcommand};
use flux_identity::{Duty, Liveness, LogLevel, RackState, RackView, Racks, rack_name};
use flux_scenario::units::Duration;
use flux_world::World;
use hyper::Method;
use serde_json::{Value as Json, json};

use super::rack::labels;
use crate::{
    http::escaped,
    mixer::{Client, LoginOptions, refused},
    stdout, terminal,
    watching::{Picture, Row, Scene, watch},
};

const EXAMPLES: &str = "\
Examples:
  fluxrig racks
  fluxrig racks --label site=lisbon --liveness offline --json
  fluxrig racks --watch                                       drawn again whenever something changes
  fluxrig racks --watch --json | jq -c '.rack | {name, state, liveness}'
  fluxrig racks invite --rack north --label site=lisbon --for 10m
  fluxrig racks approve north
  fluxrig racks stop --label site=lisbon               nothing runs there until `racks start`
  fluxrig racks log-level north debug
  fluxrig racks revoke north";

/// List the racks of a fleet, and let them in, suspend them, take from them what they were given
///
/// Exit status: 0 when it was done, 2 when the Mixer refuses or is not reached.
#[derive(Args)]
#[command(after_long_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct RacksCommand {
    #[command(flatten)]
    list: List,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    login: LoginOptions,
    /// Racks with this label, `key=value`; several times for all of several
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// Racks that stand so: pending, active, suspended, revoked
    #[arg(long)]
    state: Option<RackState>,
    /// Racks that are heard of so: online, late, offline
    #[arg(long)]
    liveness: Option<Liveness>,
    /// Go on until Ctrl-C, and show what changes: on a terminal drawn anew, else a line for each rack that is new, another, or
    /// gone
    #[arg(long)]
    watch: bool,
    /// Print `{"racks":[{"name","state","liveness",..}],"total"}`; with --watch a line `{"rack":..}` or `{"removed":..}` for each
    /// change
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Make a token for one enrolment, and print it: it is shown now and never again
    Invite {
        #[command(flatten)]
        login: LoginOptions,
        /// The only name it is for
        #[arg(long, value_name = "NAME")]
        rack: Option<String>,
        /// A label that the rack gets, `key=value`, several times for several
        #[arg(long, value_name = "LABEL")]
        label: Vec<String>,
        /// How long it is good
        #[arg(long = "for", value_name = "TIME", default_value = "1h")]
        lifetime: Duration,
    },
    /// Let a rack in that waits for it: compare the fingerprint of its passport first
    Approve(One),
    /// Take a rack's word on the bus from it, until it is activated; what it runs goes on
    Suspend(One),
    /// Give a suspended rack its word back
    Activate(One),
    /// Make void all that a rack was given, for good
    Revoke(One),
    /// Make void all that a rack was given, and forget it
    Remove(One),
    /// Have racks run nothing, at once: what is in hand is finished, what waits on disk waits there
    Stop(Several),
    /// Have racks take nothing in, deliver what they have, and then run nothing
    Drain(Several),
    /// Have racks run what they have again
    Start(Several),
    /// Have the process of a rack drain and end
    Shutdown(One),
    /// Have a rack log from another level on: error, warn, info, debug, trace; without LEVEL as it is set itself
    LogLevel {
        #[command(flatten)]
        one: One,
        /// Least severe level
        level: Option<LogLevel>,
    },
}

/// Racks by name, by label, or all.
#[derive(Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(false))]
struct Several {
    /// The racks
    #[arg(group = "which")]
    names: Vec<String>,
    /// Racks with this label, `key=value`; several times for all of several
    #[arg(long, value_name = "LABEL", group = "which")]
    label: Vec<String>,
    /// All of them
    #[arg(long, group = "which")]
    all: bool,
    #[command(flatten)]
    login: LoginOptions,
    /// Print `{"racks":[..]}`
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct One {
    /// The rack
    name: String,
    #[command(flatten)]
    login: LoginOptions,
    /// Print the rack as JSON
    #[arg(long)]
    json: bool,
}

impl RacksCommand {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let world = World::real();
        let runtime = terminal::runtime(1)?;
        runtime.block_on(async {
            match self.command {
                None => self.list.run(&world).await,
                Some(Command::Invite { login, rack, label, lifetime }) => {
                    let body = json!({
                        "rack": rack.map(|rack| rack_name(&rack)).transpose()?, "labels": labels(&label)?,
                        "lifetime_s": lifetime.0.as_secs(),
                    });
                    let client = login.client(&world)?;
                    let made: Json = client.ask(Method::POST, "/enrolment-tokens", Some(&body)).await?;
                    stdout::line(made["token"].as_str().unwrap_or_default())
                }
                Some(Command::Approve(one)) => one.change(&world, "approve").await,
                Some(Command::Suspend(one)) => one.change(&world, "suspend").await,
                Some(Command::Activate(one)) => one.change(&world, "activate").await,
                Some(Command::Revoke(one)) => one.change(&world, "revoke").await,
                Some(Command::Remove(one)) => {
                    let path = format!("/racks/{}", rack_name(&one.name)?);
                    one.login.client(&world)?.ask::<Json>(Method::DELETE, &path, None).await?;
                    stdout::line(format_args!("rack {} is removed", one.name))
                }
                Some(Command::Stop(several)) => several.set(&world, Duty::Stopped).await,
                Some(Command::Drain(several)) => several.set(&world, Duty::Drained).await,
                Some(Command::Start(several)) => several.set(&world, Duty::Running).await,
                Some(Command::Shutdown(one)) => {
                    one.ask(&world, Method::POST, "shutdown", None).await.and_then(|rack| {
                        one.show(&rack, format_args!("rack {} is told to drain and end", rack.name))
                    })
                }
                Some(Command::LogLevel { one, level }) => {
                    let body = json!({ "log_level": level });
                    let rack = one.ask(&world, Method::PUT, "log-level", Some(&body)).await?;
                    let level = level.map_or("its own level", LogLevel::word);
                    one.show(&rack, format_args!("rack {} is told to log from {level} on", rack.name))
                }
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl One {
    async fn change(&self, world: &World, change: &str) -> anyhow::Result<()> {
        let rack = self.ask(world, Method::POST, change, None).await?;
        self.show(&rack, format_args!("rack {} is {}; passport {}", rack.name, rack.state, rack.fingerprint))
    }

    async fn ask(
        &self,
        world: &World,
        method: Method,
        what: &str,
        body: Option<&Json>,
    ) -> anyhow::Result<RackView> {
        let path = format!("/racks/{}/{what}", rack_name(&self.name)?);
        self.login.client(world)?.ask(method, &path, body).await
    }

    fn show(&self, rack: &RackView, text: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
        match self.json {
            true => stdout::line(serde_json::to_string(rack)?),
            false => stdout::line(text),
        }
    }
}

impl Several {
    async fn set(&self, world: &World, duty: Duty) -> anyhow::Result<()> {
        let client = self.login.client(world)?;
        let (mut told, mut failed) = (Vec::new(), None);
        let names = self.names.iter().map(|name| rack_name(name)).collect::<Result<Vec<_>, _>>()?;
        for name in names {
            let path = format!("/racks/{name}/duty");
            match client.ask::<RackView>(Method::PUT, &path, Some(&json!({ "duty": duty }))).await {
                Ok(rack) => told.push(rack.name.to_string()),
                // Of one that is refused, the others know nothing.
                Err(why) => {
                    let is_refused = refused(&why).is_some();
                    failed.get_or_insert(why);
                    if !is_refused {
                        break;
                    }
                }
            }
        }
        if self.names.is_empty() {
            let body = json!({ "duty": duty, "labels": labels(&self.label)? });
            let answer: Json = client.ask(Method::PUT, "/duty", Some(&body)).await?;
            let racks = answer["racks"].as_array().into_iter().flatten();
            told.extend(racks.filter_map(Json::as_str).map(str::to_owned));
        }
        if self.json {
            stdout::line(json!({ "racks": told }))?;
        } else {
            let racks = if told.is_empty() { "no racks".to_owned() } else { told.join(", ") };
            stdout::line(format_args!("told to be {duty}: {racks}"))?;
        }
        failed.map_or(Ok(()), Err)
    }
}

const COLUMNS: &[&str] =
    &["rack", "state", "heard of", "duty", "program", "gears", "alarms", "passport", "labels"];

impl Scene for List {
    fn is_changed_by(what: &str) -> bool {
        what.starts_with("rack.")
    }

    async fn look(&self, client: &Client) -> anyhow::Result<Picture> {
        let rows = self.all(client).await?.iter().map(row).collect();
        Ok(Picture { head: None, columns: COLUMNS, rows })
    }
}

impl List {
    async fn run(&self, world: &World) -> anyhow::Result<()> {
        let client = self.login.client(world)?;
        if self.watch {
            return watch(&client, self, self.json).await;
        }
        if self.json {
            let racks = self.all(&client).await?;
            return stdout::line(json!({ "total": racks.len(), "racks": racks }));
        }
        let picture = self.look(&client).await?;
        if picture.rows.is_empty() {
            return stdout::line("no racks");
        }
        stdout::print(picture)
    }

    /// Page by page.
    async fn all(&self, client: &Client) -> anyhow::Result<Vec<RackView>> {
        let mut query: Vec<String> = vec!["limit=1000".into()];
        for (key, value) in labels(&self.label)? {
            query.push(format!("label={}={}", escaped(&key), escaped(&value)));
        }
        query.extend(self.state.map(|state| format!("state={state}")));
        query.extend(self.liveness.map(|liveness| format!("liveness={liveness}")));
        let (mut racks, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/racks?{}{after}", query.join("&"));
            let page: Racks = client.ask(Method::GET, &path, None).await?;
            racks.extend(page.racks);
            match page.next {
                Some(next) => after = format!("&after={next}"),
                None => return Ok(racks),
            }
        }
    }
}

fn row(rack: &RackView) -> Row {
    let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let actual = rack.passport_number_actual.filter(|actual| *actual != rack.passport_number);
    let passport = match actual {
        Some(actual) => format!("{actual} of {}", rack.passport_number),
        None => rack.passport_number.to_string(),
    };
    let cells = vec![
        rack.name.to_string(),
        rack.state.to_string(),
        rack.liveness.to_string(),
        rack.duty.to_string(),
        rack.program.clone(),
        count(rack.gears),
        count(rack.alarms),
        passport,
        shown_labels(&rack.labels),
    ];
    Row { name: rack.name.to_string(), cells, json: json!({ "rack": rack }) }
}

/// `key=value`, each.
pub(super) fn shown_labels(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}
