//! The command line.

use std::io::{Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, Parser, Subcommand};
use flux_identity::rack_name;
use flux_mixer::{Keyring, UnlockBy};
use flux_world::World;
use tracing_subscriber::EnvFilter;

use crate::run;
use crate::settings::{Cluster, ServerChoice, Settings};
use crate::up::Up;

/// The variable that has the passphrase of the keyring.
const PASSPHRASE: &str = "FLUXRIG_MIXER_PASSPHRASE";

const EXAMPLES: &str = "\
Examples:
  fluxrig-mixer up branch.yaml                         a workstation: the Mixer and a Rack that runs it, in one process
  fluxrig-mixer --dev                                  the Mixer alone: loopback, nobody is asked who they are
  fluxrig-mixer --config /etc/fluxrig-mixer.toml       TLS of its own, tokens, every Rack with an identity
  fluxrig-mixer --state-dir /var/lib/mixer --name mixer.example
  fluxrig-mixer --bus tls://n1:4222,tls://n2:4222,tls://n3:4222 --replicas 3   on NATS servers that are there
  fluxrig-mixer reseal --to-key-file /run/secrets/mixer.key";

/// The Mixer of a fleet: enrols Racks, knows which of them live, and runs the server they speak over.
///
/// At the first start it makes a CA, a cluster key and a token for the API, which is shown once. Stop it with SIGTERM or Ctrl-C.
///
/// Exit status: 0 when it was stopped, 2 when it cannot start or the usage is wrong.
#[derive(Parser)]
#[command(name = "fluxrig-mixer", version, max_term_width = 100, after_long_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    serve: Serve,
    #[command(subcommand)]
    command: Option<Command>,
}

const UP_EXAMPLES: &str = "\
Examples:
  fluxrig-mixer up                                     and `fluxrig scenario push`, `activate --wait`, `fluxrig topology`
  fluxrig-mixer up branch.yaml --rack till-1
  fluxrig-mixer up branch.yaml --server none --json-ready";

#[derive(Subcommand)]
enum Command {
    /// A workstation: the Mixer as with --dev, and a Rack of it, in one process that Ctrl-C ends
    ///
    /// The Rack is enrolled at each start and runs what the Mixer has for it. Without a nats-server the bus is in the process too:
    /// then no Rack on another machine can be reached. On Ctrl-C the Rack drains first, then the Mixer ends.
    ///
    /// Exit status: 0 after a clean drain, 1 when the Rack left or discarded something, 2 when either cannot start.
    #[command(after_long_help = UP_EXAMPLES)]
    Up {
        /// A scenario that is to run from now on, under the name and the version that it says itself; else what is active
        #[arg(value_name = "FILE")]
        scenario: Option<PathBuf>,
        /// What the Rack is called
        #[arg(long, value_name = "NAME", default_value = "local")]
        rack: String,
    },
    /// Seal the keyring with another secret; the Mixer is not to run meanwhile
    ///
    /// What it is sealed with now is what the settings and the environment say.
    Reseal {
        /// To a key in this file: 64 hexadecimal digits, as `openssl rand -hex 32` makes them
        #[arg(long, value_name = "FILE", conflicts_with = "to_passphrase_of")]
        to_key_file: Option<PathBuf>,
        /// To the passphrase in this environment variable
        #[arg(long, value_name = "VARIABLE")]
        to_passphrase_of: Option<String>,
    },
    /// Print the reference page on the API
    #[command(hide = true)]
    ApiMarkdown,
}

/// How it runs.
#[derive(Args)]
struct Serve {
    /// Settings
    #[arg(long, short, global = true, value_name = "FILE", env = "FLUXRIG_MIXER_CONFIG")]
    config: Option<PathBuf>,
    /// A workstation: listen on loopback, without TLS and authentication on the API; the bus has both all the same
    #[arg(long)]
    dev: bool,
    /// Once it serves, print one JSON line: `{"api","bus","ca_fingerprint","insecure","pid",..}`, with `token` at the first start
    #[arg(long, global = true)]
    json_ready: bool,
    /// Directory for all that outlives the process; it wins over `base.state_dir`
    #[arg(long, global = true, value_name = "DIR", env = "FLUXRIG_MIXER_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Host name or address under which it is reached, several times for several; the first is told to Racks
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// Where the API listens
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where the bus listens; port 0 takes a free one
    #[arg(long, global = true, value_name = "ADDRESS")]
    bus_listen: Option<String>,
    /// A bus that is there: `nats://` or `tls://` addresses of its servers, with commas; none is started. Wins over `cluster.url`
    #[arg(long, value_name = "URLS", conflicts_with_all = ["bus_listen", "server"])]
    bus: Option<String>,
    /// Servers that keep a copy of each stream on that bus: 1 or 3
    #[arg(long, value_name = "COUNT")]
    replicas: Option<u8>,
    /// The nats-server to run, or `none`
    #[arg(long, global = true, value_name = "PROGRAM")]
    server: Option<String>,
    /// What is logged: error, warn, info, debug, trace, or a filter
    #[arg(
        long,
        global = true,
        env = "FLUXRIG_LOG",
        default_value = "info,async_nats=off",
        value_name = "LEVEL"
    )]
    log_level: String,
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(Command::ApiMarkdown) = self.command {
            return print(flux_mixer::api::reference().trim_end()).map(|()| ExitCode::SUCCESS);
        }
        let Serve { json_ready, .. } = self.serve;
        let filter = EnvFilter::try_new(&self.serve.log_level).context("--log-level")?;
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_target(false).init();
        let world = World::real();
        let is_dev = self.serve.dev || matches!(self.command, Some(Command::Up { .. }));
        let settings = Serve { dev: is_dev, ..self.serve }.settings(&world)?;
        let unlock = unlock_by(&settings)?;
        match self.command {
            None | Some(Command::ApiMarkdown) => run::run(world, settings, &unlock, json_ready, None),
            Some(Command::Up { scenario, rack }) => {
                let up = Up { rack: rack_name(&rack)?, scenario };
                run::run(world, settings, &unlock, json_ready, Some(up))
            }
            Some(Command::Reseal { to_key_file, to_passphrase_of }) => {
                let to = match (to_key_file, to_passphrase_of) {
                    (Some(file), _) => UnlockBy::KeyFile(file),
                    (None, Some(variable)) => UnlockBy::Passphrase(
                        variable_of(&variable).with_context(|| format!("`{variable}` is not set"))?,
                    ),
                    (None, None) => UnlockBy::KeyBeside,
                };
                let _ours = run::lock(&world, &settings.base.state_dir)?;
                Keyring::reseal(&world, &settings.base.state_dir, &unlock, &to)?;
                say("the keyring is sealed anew; start the Mixer with the new secret\n");
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Serve {
    fn settings(&self, world: &World) -> anyhow::Result<Settings> {
        let mut settings = match &self.config {
            Some(file) => Settings::read(&world.disk, file)?,
            None => Settings::default(),
        };
        if self.dev {
            settings.make_dev();
        }
        if let Some(directory) = &self.state_dir {
            settings.base.state_dir.clone_from(directory);
        }
        if !self.name.is_empty() {
            settings.base.names.clone_from(&self.name);
        }
        for (given, setting) in
            [(&self.listen, &mut settings.api.listen), (&self.bus_listen, &mut settings.bus.listen)]
        {
            if let Some(given) = given {
                setting.clone_from(given);
            }
        }
        if let Some(bus) = &self.bus {
            settings.cluster.url = Some(bus.clone());
        }
        if let Some(replicas) = self.replicas {
            settings.cluster.replicas = replicas;
        }
        if let Some(server) = &self.server {
            settings.bus.server = ServerChoice::from(server.clone());
        }
        settings.check()?;
        ensure!(
            settings.cluster.url.is_some() || settings.cluster == Cluster::default(),
            "cluster.url is missing, or --bus: where the servers are that [cluster], or --replicas, is about"
        );
        Ok(settings)
    }
}

fn unlock_by(settings: &Settings) -> anyhow::Result<UnlockBy> {
    match (&settings.keyring.key_file, variable_of(PASSPHRASE)) {
        (Some(_), Some(_)) => bail!("both keyring.key_file and {PASSPHRASE} are given: keep one"),
        (Some(file), None) => Ok(UnlockBy::KeyFile(file.clone())),
        (None, Some(words)) => Ok(UnlockBy::Passphrase(words)),
        (None, None) => Ok(UnlockBy::KeyBeside),
    }
}

#[allow(clippy::disallowed_methods, reason = "a binary reads the environment")]
pub(crate) fn variable_of(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Says something to the person. Where that cannot be written, nobody can be told so.
pub(crate) fn say(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

/// Prints a result.
pub(crate) fn print(line: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Says why it failed, with the causes.
pub(crate) fn complain(why: &anyhow::Error) {
    say(&format!("error: {why:#}\n"));
}
