//! `fluxrig rack`: a Rack of a fleet. It enrols once, and runs with the identity that it was given.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use flux_identity::{Token, TokenKind, rack_name};
use flux_scenario::{passport::Passport, units::Duration};
use flux_world::World;
use serde_json::json;

use super::run::Run;
use crate::{
    control::RackOptions,
    last_good::{LastGood, passport_file, passport_for_keeping, read_passport},
    mixer::{Client, Enroller, Fingerprint, Identity, Leader, Outcome, Wish, fingerprint, nothing},
    plan::PlanOptions,
    state_dir::StateDir,
    stdout,
    terminal::{self, LogOptions},
};

const EXAMPLES: &str = "\
Examples:
  fluxrig rack enrol --mixer https://mixer.example:8090 --name north --token fluxrig-enrol-…
  fluxrig rack enrol --mixer https://mixer.example:8090 --name north --fingerprint 3b9f…   and wait for approval
  fluxrig rack run --state-dir /var/lib/north                  what its passport says
  fluxrig rack run north.yaml --state-dir /var/lib/north       a scenario of its own";

/// A rack of a fleet: enrol it with a Mixer, run it
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct RackCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Enrol(Box<Enrol>),
    Run(Box<RunEnrolled>),
}

/// Ask a Mixer to take this rack in: with a token, or to be approved by somebody
///
/// The rack makes its own keys and keeps them. The Mixer is believed when its CA is the one that the token names, or whose
/// fingerprint is given. Once enrolled, the same command makes what the rack was given anew.
///
/// Exit status: 0 when the rack belongs, 1 when it waits for approval still, 2 when it is refused or the Mixer is not reached.
#[derive(Args)]
struct Enrol {
    /// Address of the Mixer: https://host:8090
    #[arg(long, value_name = "URL", env = "FLUXRIG_MIXER")]
    mixer: String,
    /// What the rack is to be called; else `base.name` of the settings
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Token for one enrolment (the environment is the better place), as `fluxrig racks invite` prints it
    #[arg(long, value_name = "TOKEN", env = "FLUXRIG_ENROL_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Fingerprint of the Mixer's CA, as the Mixer prints it at its start; a token says it too
    #[arg(long, value_name = "SHA256", value_parser = fingerprint)]
    fingerprint: Option<Fingerprint>,
    /// A label, `key=value`, several times for several; what the token says wins
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// How long to wait for approval
    #[arg(long, value_name = "TIME", default_value = "10m")]
    wait: Duration,
    #[command(flatten)]
    rack: RackOptions,
    /// Print `{"rack","state","passport_number","certificate_expires_unix_ms",..}`
    #[arg(long)]
    json: bool,
}

/// Run an enrolled rack until SIGTERM or Ctrl-C: as `fluxrig run`, and it says to its Mixer that it lives
///
/// Without FILE it runs the part of the scenario that its passport carries, and goes over to another as soon as the Mixer has one
/// for it; without a part it runs nothing, and waits. It needs the Mixer for neither start nor work. Wires to other racks go by
/// the bus of the Mixer, unless --bus names another one.
#[derive(Args)]
struct RunEnrolled {
    #[command(flatten)]
    run: Run,
}

impl RackCommand {
    pub(crate) fn run(self, log: &LogOptions) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Enrol(enrol) => enrol.run(log),
            Command::Run(enrolled) => enrolled.run(log),
        }
    }
}

impl Enrol {
    fn run(self, log: &LogOptions) -> anyhow::Result<ExitCode> {
        let _log = terminal::init_logging(log, &Default::default())?;
        let (world, (path, base)) = (World::real(), self.rack.place()?);
        let token = self.token.as_deref().map(str::parse::<Token>).transpose();
        let token = token.map_err(|why| anyhow::anyhow!("{why}"))?;
        let is_enrolment = token.as_ref().is_none_or(|token| token.kind == TokenKind::Enrolment);
        ensure!(
            is_enrolment,
            "it is a token for the API, not one to enrol: `fluxrig racks invite` makes those"
        );
        let state_dir = StateDir::take(&world.disk, &path)?;
        let passport = passport_for_keeping(&world, &passport_file(state_dir.path(), &base))?;
        let before = Identity::read(&world.disk, state_dir.path(), &passport).ok();
        let named = self.name.clone().or_else(|| Some(base.name.clone()).filter(|name| !name.is_empty()));
        let rack = match (named, &before) {
            (Some(name), _) => rack_name(&name)?,
            (None, Some(before)) => before.rack.clone(),
            (None, None) => {
                bail!("what is the rack to be called? Say it with --name, or `base.name` in the settings")
            }
        };
        let pinned = token.as_ref().map(|token| token.fingerprint);
        // Once enrolled, it is the CA that was pinned then.
        let kept = before.as_ref().filter(|before| before.rack == rack);
        let kept = kept.and_then(|before| flux_identity::parse_fingerprint(&before.fingerprint).ok());
        let fingerprint = self.fingerprint.map(|given| given.0).or(pinned).or(kept);
        let address = self.mixer.parse()?;
        let client = Client { address, fingerprint, token: None, world: world.clone() };
        let labels = labels(&self.label)?;
        // Of another name, what was given before has no bearing.
        let before = before.filter(|before| before.rack == rack && pinned.is_none());
        let enroller = Enroller { client, rack, passport, labels, state_dir: state_dir.path().to_owned() };
        let runtime = terminal::runtime(1)?;
        let outcome = runtime.block_on(self.ask(&enroller, before.as_ref()))?;
        self.tell(&enroller, outcome)
    }

    /// Asks until it is approved, or the time to wait is over.
    async fn ask(&self, enroller: &Enroller, before: Option<&Identity>) -> anyhow::Result<Outcome> {
        let clock = enroller.client.world.clock;
        let deadline = clock.now() + self.wait.0;
        let mut is_told = false;
        loop {
            let outcome = enroller.ask(self.token.as_deref(), before).await?;
            let Outcome::Pending { fingerprint, again_ms } = &outcome else { return Ok(outcome) };
            let again = clock.now() + std::time::Duration::from_millis((*again_ms).clamp(100, 60_000));
            if again > deadline {
                return Ok(outcome);
            }
            if !is_told {
                let rack = &enroller.rack;
                terminal::say(&format!(
                    "waiting for approval: compare the passport {fingerprint}, then `fluxrig racks approve {rack}`\n"
                ));
                is_told = true;
            }
            clock.sleep_until(again).await;
        }
    }

    fn tell(&self, enroller: &Enroller, outcome: Outcome) -> anyhow::Result<ExitCode> {
        let rack = &enroller.rack;
        match outcome {
            Outcome::Pending { fingerprint, .. } => {
                match self.json {
                    true => {
                        stdout::line(json!({"rack": rack, "state": "pending", "fingerprint": fingerprint}))?
                    }
                    false => {
                        stdout::line(format_args!("rack {rack} waits for approval; passport {fingerprint}"))?
                    }
                }
                Ok(ExitCode::FAILURE)
            }
            Outcome::Enrolled(identity) => {
                let passport = identity.passport(&enroller.passport.public_key())?;
                let (mixer, number) = (&passport.mixer, passport.number);
                match self.json {
                    true => stdout::line(json!({
                        "rack": rack, "state": "enrolled", "mixer": mixer, "passport_number": number,
                        "certificate_expires_unix_ms": identity.expires_unix_ms,
                        "bus": identity.bus.as_ref().map(|bus| &bus.urls),
                    }))?,
                    false => stdout::line(format_args!(
                        "rack {rack} belongs to {mixer}; passport {number}; `fluxrig rack run --state-dir {}`",
                        enroller.state_dir.display()
                    ))?,
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl RunEnrolled {
    fn run(self, log: &LogOptions) -> anyhow::Result<ExitCode> {
        let mut run = self.run;
        let world = World::real();
        let by = RackOptions { state_dir: run.state_dir.clone(), config: run.by.config.clone() };
        let (path, base) = by.place()?;
        let own = read_passport(&world, &passport_file(&path, &base))
            .context("the rack is to be enrolled first: `fluxrig rack enrol`")?;
        let path = std::path::absolute(path)?;
        let identity = Identity::read(&world.disk, &path, &own)?;
        identity.lay_out(&world.disk, &path)?;
        let passport = identity.passport(&own.public_key())?;
        let own_file = run.file.take().map(std::path::absolute).transpose()?;
        let mut wish = Wish::of(&world, &path, &passport, own_file.as_deref())?;
        run.file = Some(wish.file.clone());
        run.by.rack.get_or_insert_with(|| identity.rack.to_string());
        run.state_dir = Some(path.clone());
        let options = PlanOptions { file: wish.file.clone(), by: run.by.clone() };
        if own_file.is_none() && options.read()?.has_errors() {
            // What the Mixer wants cannot run here. It is tried while the rack runs, where it is told to the Mixer.
            wish.is_begun = false;
            let ran = LastGood::new(world.clone(), &path, &base).is_some_and(|last| last.restore().is_ok());
            run.file = (!ran).then(|| nothing(&world, &path)).transpose()?;
        }
        let enroller = enroller(&world, &identity, own, path)?;
        run.leader = Some(Box::new(Leader { enroller, identity, passport, own: own_file, wish, bus: None }));
        run.run(log)
    }
}

fn enroller(
    world: &World,
    identity: &Identity,
    passport: Passport,
    state_dir: PathBuf,
) -> anyhow::Result<Enroller> {
    let address = identity.mixer.parse()?;
    let pinned = flux_identity::parse_fingerprint(&identity.fingerprint);
    let pinned = pinned.map_err(|why| anyhow::anyhow!("the identity of the rack is damaged: {why}"))?;
    let client = Client { address, fingerprint: Some(pinned), token: None, world: world.clone() };
    Ok(Enroller { client, rack: identity.rack.clone(), passport, labels: BTreeMap::new(), state_dir })
}

/// `key=value`, each.
pub(super) fn labels(given: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let pair = |label: &String| {
        let (key, value) =
            label.split_once('=').with_context(|| format!("`{label}`: write a label as `key=value`"))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    given.iter().map(pair).collect()
}
