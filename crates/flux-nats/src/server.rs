//! A `nats-server` of our own: started, watched over, and told who may do what.
//!
//! ```text
//! operator  signs  account `fluxrig`  signs  one user for each Rack, with the permissions of its Grants
//!                  account of the server itself, by which it is told of changes of the other
//! ```
//!
//! A user is a JWT, and the server needs to know none of them: ten thousand Racks are no line of its configuration. Who is
//! revoked stands in the JWT of the account; a new one is sent to the running server, which closes what is connected. The
//! configuration it starts with has the last one, so that a server that starts again knows it too.

mod child;
mod claims;
mod config;
mod permissions;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flux_bus::{Error, Grants};
use flux_world::World;
use serde_json::Value as Json;
use tokio::sync::Mutex;

use crate::bus::NatsBus;
use crate::settings::{Credentials, Settings, Tls};

pub use child::{Program, launch};
pub use claims::{AccountKey, Seeds};

use claims::Issuer;

/// Within this a server that was started answers.
const STARTS_WITHIN: Duration = Duration::from_secs(20);
/// How long a request to the server itself may take.
const ASK_DEADLINE: Duration = Duration::from_secs(5);

/// How a server is to run.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Which program.
    pub program: Program,
    /// Where configuration, streams and accounts are kept.
    pub directory: PathBuf,
    /// What it calls itself.
    pub name: String,
    /// Where Racks connect to.
    pub listen: SocketAddr,
    /// Where leaf nodes connect to.
    pub listen_leaf: Option<SocketAddr>,
    /// Most that streams may take on disk.
    pub store_bytes_max: u64,
    /// Its own certificate, and who vouches for those who connect.
    pub tls: ServerTls,
    /// Seals what is stored, 64 hexadecimal digits: a secret.
    pub store_key: String,
}

/// Files of the server, PEM.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// Its certificate.
    pub certificate: PathBuf,
    /// The key of it.
    pub key: PathBuf,
    /// Who vouches for the others, and for it.
    pub ca: PathBuf,
}

/// A server that runs for as long as this is held.
#[derive(Debug)]
pub struct ManagedServer {
    world: World,
    config: ServerConfig,
    issuer: Issuer,
    child: child::Supervised,
    /// What is revoked, and the connection by which the server is told.
    told: Mutex<Told>,
    /// When the account was issued last, in seconds since 1970: it only goes forward.
    issued: AtomicU64,
}

#[derive(Debug, Default)]
struct Told {
    revoked: BTreeMap<String, u64>,
    bus: Option<NatsBus>,
}

impl ManagedServer {
    /// Starts a server, and waits until it answers. `revoked`: public keys of users, with since when in seconds since 1970.
    ///
    /// # Errors
    /// [`Error::Failed`] when there is no program, it is too old, or it does not come up; with its last words.
    pub async fn start(
        world: &World,
        config: ServerConfig,
        seeds: &Seeds,
        revoked: BTreeMap<String, u64>,
    ) -> Result<ManagedServer, Error> {
        let issuer = Issuer::new(seeds);
        let issued = AtomicU64::new(0);
        write_config(world, &config, &issuer, &revoked, next_issue(world, &issued))?;
        let child = child::Supervised::start(world, &config)?;
        let told = Mutex::new(Told { revoked, bus: None });
        let server = ManagedServer { world: world.clone(), config, issuer, child, told, issued };
        let deadline = world.clock.now() + STARTS_WITHIN;
        let mut told = server.told.lock().await;
        while let Err(why) = server.system_bus(&mut told).await {
            if world.clock.now() > deadline {
                let words = server.child.last_words();
                return Err(Error::Failed(format!("nats-server does not come up: {why}: {words}")));
            }
            world.clock.sleep(Duration::from_millis(100)).await;
        }
        drop(told);
        Ok(server)
    }

    /// Who signs what users of the bus are.
    pub fn users(&self) -> &AccountKey {
        self.issuer.users()
    }

    /// The address for those on this machine.
    pub fn url(&self) -> String {
        let listen = self.config.listen;
        match listen.ip().is_unspecified() {
            true => format!("tls://127.0.0.1:{}", listen.port()),
            false => format!("tls://{listen}"),
        }
    }

    /// How to connect as somebody with these grants; `identity` is a certificate and its key, PEM.
    ///
    /// # Errors
    /// [`Error::Failed`] when the system gives no key.
    pub fn settings(
        &self,
        name: &str,
        grants: &Grants,
        identity: (PathBuf, PathBuf),
    ) -> Result<Settings, Error> {
        let key = crate::BusKey::generate()?;
        let jwt = self.users().user(name, &key.public(), grants, self.unix_s(), None)?;
        let mut settings = Settings::new(vec![self.url()]);
        settings.name = name.to_owned();
        settings.credentials = Credentials::Jwt(key.credentials(&jwt));
        settings.inbox_prefix = Some(grants.inbox.clone());
        settings.tls = Some(Tls { roots: self.config.tls.ca.clone(), identity: Some(identity) });
        Ok(settings)
    }

    /// Has the server refuse what was issued to these keys until then, in seconds since 1970, and close what is connected by
    /// it; what was refused before and is not among them is accepted again. When this succeeds, the server has taken note.
    ///
    /// # Errors
    /// [`Error::Away`] when the server is not there: it starts with what was said, and so is told as soon as it does.
    pub async fn revoke(&self, revoked: BTreeMap<String, u64>) -> Result<(), Error> {
        let mut told = self.told.lock().await;
        let issued = next_issue(&self.world, &self.issued);
        write_config(&self.world, &self.config, &self.issuer, &revoked, issued)?;
        let jwt = self.issuer.account(&revoked, issued);
        told.revoked = revoked;
        let answer = self.ask(&mut told, "$SYS.REQ.CLAIMS.UPDATE", jwt).await?;
        match answer["data"]["code"].as_u64() {
            Some(200) => Ok(()),
            _ => Err(Error::Failed(format!("nats-server does not take the account: {}", answer["error"]))),
        }
    }

    /// Has the server read its certificates again.
    pub fn reload(&self) {
        self.child.reload();
    }

    /// The process of the server, while there is one.
    pub fn pid(&self) -> Option<u32> {
        self.child.pid()
    }

    /// Ends the server, in order, for good.
    pub async fn stop(&self) {
        self.child.stop().await;
    }

    async fn ask(&self, told: &mut Told, subject: &str, body: String) -> Result<Json, Error> {
        let bus = self.system_bus(told).await?;
        let answer = bus.api().request(subject.to_owned(), None, body.into(), ASK_DEADLINE).await?;
        serde_json::from_slice(&answer.payload)
            .map_err(|_| Error::Failed("the answer of nats-server cannot be read".into()))
    }

    async fn system_bus<'a>(&self, told: &'a mut Told) -> Result<&'a NatsBus, Error> {
        if told.bus.is_none() {
            let tls = &self.config.tls;
            let mut settings = Settings::new(vec![self.url()]);
            settings.name = "fluxrig-mixer (system)".into();
            settings.request_deadline = ASK_DEADLINE;
            settings.credentials = Credentials::Jwt(self.issuer.system_credentials(self.unix_s())?);
            settings.tls = Some(Tls {
                roots: tls.ca.clone(),
                identity: Some((tls.certificate.clone(), tls.key.clone())),
            });
            told.bus = Some(NatsBus::connect(&self.world, settings).await?);
        }
        Ok(told.bus.as_ref().expect("it was made above"))
    }

    fn unix_s(&self) -> u64 {
        self.world.clock.unix_ms() / 1_000
    }
}

/// The server keeps the account that was issued last: within a second there is only one.
fn next_issue(world: &World, issued: &AtomicU64) -> u64 {
    let now = world.clock.unix_ms() / 1_000;
    issued.fetch_max(now.saturating_sub(1), Ordering::Relaxed);
    issued.fetch_add(1, Ordering::Relaxed) + 1
}

fn write_config(
    world: &World,
    config: &ServerConfig,
    issuer: &Issuer,
    revoked: &BTreeMap<String, u64>,
    issued: u64,
) -> Result<(), Error> {
    let failed = |why: std::io::Error| {
        Error::Failed(format!(
            "cannot write the configuration of nats-server in `{}`: {why}",
            config.directory.display()
        ))
    };
    world.disk.make_private_dir(&config.directory).map_err(failed)?;
    let text = config::text(config, issuer, revoked, issued);
    world.disk.write_atomic_private(&config.file(), text.as_bytes()).map_err(failed)
}
