//! The Mixer as a process: opened, started in order, served, and ended in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use flux_bus::{Bus, EmbeddedBus, Grants, Name};
use flux_identity::{Flaw, Role, Scope, Token};
use flux_mixer::api::{Served, ServerIdentity, routes, serve};
use flux_mixer::limits::TEXT_BYTES_MAX;
use flux_mixer::{Actor, Components, Fleet, Invite, Keyring, Mixer, MixerSettings, Refusal, UnlockBy};
use flux_nats::NatsBus;
use flux_nats::server::{ManagedServer, Program, Seeds, ServerConfig};
use flux_scenario::hex::Hex;
use flux_world::World;
use flux_world::disk::DiskLock;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::authority::NatsAuthority;
use crate::certificates::Certificates;
use crate::cluster;
use crate::cmd::{print, say, variable_of};
use crate::launcher::by_way_of_us;
use crate::settings::{ServerChoice, Settings};
use crate::up::{self, Beside, Origin, Up};

/// How long a Rack in this process has to enrol.
const ENROLS_WITHIN: Duration = Duration::from_mins(5);

/// Runs a Mixer until it is told to stop.
pub(crate) fn run(
    world: World,
    settings: Settings,
    unlock: &UnlockBy,
    is_json: bool,
    up: Option<Up>,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let code = runtime.block_on(Box::pin(async {
        // Listening for signals first: one that arrives while starting must not leave a server behind.
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = async {
            tokio::select! {
                biased;
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        tokio::pin!(stop);
        let house = tokio::select! {
            biased;
            () = &mut stop => return Ok(ExitCode::SUCCESS),
            house = Box::pin(House::start(world, settings, unlock, up.as_ref())) => house?,
        };
        match up {
            None => {
                house.announcement(is_json, None).say()?;
                house.run(stop).await;
                Ok(ExitCode::SUCCESS)
            }
            Some(up) => Box::pin(house.run_with(up.rack, is_json, stop)).await,
        }
    }));
    runtime.shutdown_background();
    code
}

/// The directory is ours until this is dropped.
pub(crate) fn lock(world: &World, state_dir: &Path) -> anyhow::Result<DiskLock> {
    let shown = state_dir.display();
    world
        .disk
        .make_private_dir(state_dir)
        .with_context(|| format!("cannot make the state directory `{shown}`"))?;
    world.disk.lock(&state_dir.join("lock")).with_context(|| {
        format!("the state directory `{shown}` is in use by another Mixer, or cannot be locked: stop that one, or name another with --state-dir")
    })
}

/// A Mixer and all that is around it in this process.
struct House {
    world: World,
    mixer: Arc<Mixer>,
    served: Served,
    server: Option<Arc<ManagedServer>>,
    certificates: Certificates,
    identity: Option<Arc<ServerIdentity>>,
    /// The token for the API, at the first start.
    first: Option<Token>,
    names: Vec<String>,
    /// The bus, where it is in this process.
    here: Option<Arc<EmbeddedBus>>,
    _lock: DiskLock,
}

impl House {
    async fn start(
        world: World,
        settings: Settings,
        unlock: &UnlockBy,
        up: Option<&Up>,
    ) -> anyhow::Result<House> {
        let state_dir = &settings.base.state_dir;
        let lock = lock(&world, state_dir)?;
        let fleet = Name::new(&settings.base.name)?;
        let (keyring, is_new) = Keyring::open(&world, state_dir, &fleet, unlock)?;
        if is_new && matches!(unlock, UnlockBy::KeyBeside) {
            say(
                "the keys of this Mixer are sealed with `keyring.key` beside them, so whoever has the disk has both; \
                 `fluxrig-mixer reseal` seals them with a key from elsewhere, or a passphrase\n",
            );
        }
        let keyring = Arc::new(keyring);
        let names = names(&settings);
        let certificates = Certificates::new(state_dir, names.clone());
        let certified = certificates.issue(&world, &keyring)?;
        let catalog = Arc::new(flux_gears::builtin().catalog());
        let shown = serde_json::to_value(&settings)?;
        let parts = Components { world: world.clone(), keyring: keyring.clone(), catalog, shown };
        let (mixer, first) = Mixer::open(parts, mixer_settings(&settings, fleet)).await?;
        let mixer = Arc::new(mixer);
        let (asked, first_of_all) =
            (up.and_then(|up| up.scenario.as_deref()), &settings.mixer.startup_scenario);
        if let Some(path) = asked.or(first_of_all.as_deref()) {
            let shown = path.display().to_string();
            let text = world.disk.read(path, TEXT_BYTES_MAX);
            let text = text.with_context(|| format!("cannot read `{shown}`"))?.to_vec();
            let begun = match asked {
                Some(_) => mixer.run_now(text).await,
                None => mixer.start_with(text).await,
            };
            begun.map_err(|why| anyhow!("`{shown}`: {}", lines(&why)))?;
        }
        let server = match &settings.cluster.url {
            None => start_server(&world, &settings, &mixer, &certificates).await?,
            Some(url) => {
                mixer.set_fleet(cluster::join(&world, &settings, &settings.cluster, url).await?);
                None
            }
        };
        let here = match up {
            Some(_) if mixer.bus_urls().is_empty() => {
                let bus = up::bus(&world, state_dir, &keyring).await?;
                mixer.set_fleet(Fleet { bus: bus.clone(), urls: Vec::new(), bus_ca: None, authority: None });
                Some(bus)
            }
            Some(_) | None => None,
        };
        let is_open = settings.api.insecure;
        let identity = match is_open {
            true => None,
            false => Some(Arc::new(ServerIdentity::new(&certified)?)),
        };
        let routes = routes(mixer.clone(), is_open);
        let served = serve(&world, &settings.api.listen, routes, identity.clone()).await;
        let served = served.context("api.listen, or --listen")?;
        Ok(House { world, mixer, served, server, certificates, identity, first, names, here, _lock: lock })
    }

    /// What it says once it serves: what one needs to know.
    fn announcement(&self, is_json: bool, rack: Option<&Name>) -> Announcement {
        let (api, bus, is_open) = (self.api(), self.mixer.bus_urls(), self.identity.is_none());
        let (fingerprint, token) = (self.mixer.fingerprint(), self.first.as_ref().map(Token::expose));
        if is_json {
            let mut ready = json!({
                "api": api, "bus": bus, "ca_fingerprint": fingerprint, "insecure": is_open,
                "mixer": self.mixer.settings().name, "pid": std::process::id(), "version": env!("CARGO_PKG_VERSION"),
            });
            if let Some(token) = token {
                ready["token"] = token.into();
            }
            if let Some(rack) = rack {
                ready["rack"] = rack.as_str().into();
            }
            return Announcement::ToProgram(ready.to_string());
        }
        let bus = match &self.here {
            Some(_) => "in this process: no Rack on another machine can be reached".into(),
            None if bus.is_empty() => "none: no Rack on another machine can be reached".into(),
            None => bus.join(", "),
        };
        let mut text = format!("api   {api}\nbus   {bus}\nCA    {fingerprint}\n");
        if let Some(rack) = rack {
            let directory = self.rack_dir(rack);
            text += &format!("rack  {rack}: `fluxrig status --state-dir {}`\n", directory.display());
        }
        if let Some(token) = token {
            text += &format!(
                "\nThe first token for the API, shown now and never again:\n\n  {token}\n\n\
                 fluxrig login --mixer {api} --token …\n"
            );
        }
        if is_open {
            text += "\ninsecure: whoever is on this machine is an admin, and the API is not encrypted\n";
        }
        Announcement::ToPerson(text)
    }

    fn api(&self) -> String {
        let url = self.served.url();
        match self.served.address().ip().is_unspecified() {
            true => url.replace(&self.served.address().ip().to_string(), &self.names[0]),
            false => url,
        }
    }

    /// Where a Rack in this process keeps its state.
    fn rack_dir(&self, rack: &Name) -> PathBuf {
        self.mixer.settings().directory.join("racks").join(rack.as_str())
    }

    /// Runs with a Rack, which is the first to end: what it has in hand is finished while the Mixer is there.
    async fn run_with(
        self,
        rack: Name,
        is_json: bool,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<ExitCode> {
        let actor = Actor { who: "mixer".into(), role: Role::Admin, scope: Scope::default() };
        let invite = Invite { rack: Some(rack.clone()), labels: BTreeMap::new(), lifetime: ENROLS_WITHIN };
        let token = self.mixer.invite(&actor, invite).await?;
        let bus = self.here.clone().map(|bus| bus as Arc<dyn Bus>);
        let origin = Origin { mixer: self.api(), token, state_dir: self.rack_dir(&rack), bus };
        let announcement = self.announcement(is_json, Some(&rack));
        let mut beside = Beside::start(rack, origin)?;
        let mut said = Ok(());
        let stop = async {
            // Once the Rack is up it hears itself when it is to stop.
            let is_up = tokio::select! {
                biased;
                () = stop => false,
                is_up = beside.is_up() => is_up,
            };
            if is_up {
                said = announcement.say();
            }
            if is_up && said.is_ok() {
                beside.ended().await;
            }
        };
        self.run(stop).await;
        let code = beside.end().await;
        said.and(code)
    }

    /// Serves until it is told to stop.
    async fn run(self, stop: impl Future<Output = ()>) {
        let House { world, mixer, served, server, certificates, identity, here, .. } = self;
        let keyring = mixer.keyring();
        tokio::select! {
            biased;
            () = stop => {}
            () = mixer.run() => {}
            () = certificates.renew(&world, keyring, identity, server.clone()) => {}
            () = served.run() => {}
        }
        tracing::info!("stopping");
        mixer.close().await;
        if let Some(server) = server {
            server.stop().await;
        }
        if let Some(here) = here
            && let Err(why) = here.close().await
        {
            tracing::error!(%why, "what the bus keeps may not be on disk");
        }
    }
}

/// What is said once all is up, and to whom.
enum Announcement {
    ToProgram(String),
    ToPerson(String),
}

impl Announcement {
    fn say(self) -> anyhow::Result<()> {
        match self {
            Announcement::ToProgram(line) => print(&line),
            Announcement::ToPerson(text) => {
                say(&text);
                Ok(())
            }
        }
    }
}

/// Why a scenario is refused, a line for each thing that is wrong.
fn lines(why: &Refusal) -> String {
    let flaws = why.problem().errors;
    let line = |flaw: &Flaw| format!("\n  {}:{}: {}: {}", flaw.line, flaw.column, flaw.code, flaw.message);
    why.to_string() + &flaws.iter().map(line).collect::<String>()
}

fn mixer_settings(settings: &Settings, name: Name) -> MixerSettings {
    MixerSettings {
        name,
        directory: settings.base.state_dir.clone(),
        heartbeat: settings.enrolment.heartbeat.0,
        certificate_lifetime: settings.enrolment.certificate_lifetime.0,
    }
}

/// Under which names it is reached: what is said, else the name of the machine; and from here.
fn names(settings: &Settings) -> Vec<String> {
    let mut names = settings.base.names.clone();
    if names.is_empty() && settings.api.insecure {
        names.push("127.0.0.1".into());
    } else if names.is_empty() {
        names.push(rustix::system::uname().nodename().to_string_lossy().into_owned());
    }
    for here in ["localhost", "127.0.0.1", "::1"] {
        if !names.iter().any(|name| name == here) {
            names.push(here.into());
        }
    }
    names
}

/// Starts the server of the bus, and puts the Mixer on it.
async fn start_server(
    world: &World,
    settings: &Settings,
    mixer: &Mixer,
    certificates: &Certificates,
) -> anyhow::Result<Option<Arc<ManagedServer>>> {
    let Some(program) = find_program(world, settings).await? else { return Ok(None) };
    let listen = free(&settings.bus.listen).context("bus.listen, or --bus-listen")?;
    let listen_leaf = settings.bus.listen_leaf.as_deref().map(free).transpose().context("bus.listen_leaf")?;
    let keyring = mixer.keyring();
    let [operator, account, system] = keyring.bus_seeds;
    let tls = certificates.files();
    let identity = (tls.certificate.clone(), tls.key.clone());
    let config = ServerConfig {
        program: by_way_of_us(program),
        directory: settings.base.state_dir.join("bus"),
        name: settings.base.name.clone(),
        listen,
        listen_leaf,
        store_bytes_max: settings.bus.store_bytes_max.0,
        tls,
        store_key: Hex(&keyring.store_key).to_string(),
    };
    let seeds = Seeds { operator, account, system };
    let server = Arc::new(ManagedServer::start(world, config, &seeds, mixer.revoked()).await?);
    let connection = server.settings("fluxrig-mixer", &Grants::of_mixer(), identity)?;
    let bus = Arc::new(NatsBus::connect(world, connection).await.context("cannot connect to the bus")?);
    let urls = match settings.bus.urls.is_empty() {
        true => vec![format!("tls://{}:{}", bracketed(&names(settings)[0]), listen.port())],
        false => settings.bus.urls.clone(),
    };
    let authority = Arc::new(NatsAuthority { server: server.clone(), clock: world.clock });
    mixer.set_fleet(Fleet { bus, urls, bus_ca: None, authority: Some(authority) });
    Ok(Some(server))
}

async fn find_program(world: &World, settings: &Settings) -> anyhow::Result<Option<Program>> {
    let named = match &settings.bus.server {
        ServerChoice::None => return Ok(None),
        ServerChoice::Auto => None,
        ServerChoice::Program(path) => Some(path.as_path()),
    };
    let this = std::env::current_exe().ok();
    let beside = this.as_deref().and_then(Path::parent);
    match Program::find(world, named, beside, variable_of("PATH").as_deref()).await {
        Ok(program) => Ok(Some(program)),
        Err(flux_bus::Error::Missing(why)) if settings.api.insecure => {
            say(&format!("without a bus: there is no {why}\n"));
            Ok(None)
        }
        Err(why) => bail!("{why}; `bus.server = \"none\"` runs without a bus"),
    }
}

/// An address with a port that is free now, where any will do.
fn free(address: &str) -> anyhow::Result<SocketAddr> {
    let address: SocketAddr =
        address.parse().with_context(|| format!("`{address}` is no address and port"))?;
    match address.port() {
        0 => Ok(std::net::TcpListener::bind(address)?.local_addr()?),
        _ => Ok(address),
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
