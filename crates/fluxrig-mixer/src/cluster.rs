//! A bus that somebody else runs: how the Mixer is let in, and what it can then do for its Racks.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use flux_bus::{Error, Grants};
use flux_mixer::{Authority, Fleet};
use flux_nats::server::AccountKey;
use flux_nats::{BusKey, Credentials, NatsBus, Settings as Connection, Tls};
use flux_world::World;

use crate::authority::KeyAuthority;
use crate::settings::{Cluster, Settings};

/// Longest file of a key, of credentials, of certificates.
const BYTES_MAX: usize = 256 << 10;

/// What is said where Racks get no identity.
const NO_KEY: &str = "this Mixer makes no identities on the bus, which is somebody else's: each Rack needs credentials of its own for it \
    (`[snake]` in fluxrig.toml), and no heartbeats are heard of Racks that have none; with `cluster.account_seed_file` it makes them";
/// What is said where it cannot take them back.
const NO_REVOCATION: &str = "this Mixer makes identities on the bus and cannot make them void there: who is revoked keeps its word on \
    the bus until its identity expires (`enrolment.certificate_lifetime`), or whoever runs the bus revokes it";

/// Connects to a cluster.
///
/// # Errors
/// When a file cannot be read, or the Mixer is not let in. Servers that are away are waited for later.
pub(crate) async fn join(
    world: &World,
    settings: &Settings,
    cluster: &Cluster,
    url: &str,
) -> anyhow::Result<Fleet> {
    let key = account_key(world, cluster)?;
    let connection = connection(world, cluster, url, key.as_ref())?;
    let urls = match settings.bus.urls.is_empty() {
        true => connection.servers.clone(),
        false => settings.bus.urls.clone(),
    };
    if key.is_some() {
        let is_encrypted = urls.iter().all(|url| url.starts_with("tls://"));
        ensure!(
            is_encrypted,
            "Racks speak encrypted alone: `cluster.url`, or `bus.urls` where Racks are told another, begins with `tls://`"
        );
    }
    tracing::warn!("{}", if key.is_some() { NO_REVOCATION } else { NO_KEY });
    let bus_ca = cluster.root_ca_file.as_deref().map(|file| text(world, "root_ca_file", file)).transpose()?;
    let bus = match NatsBus::connect(world, connection.clone()).await {
        Err(why @ (Error::Away(_) | Error::Deadline(_))) => {
            tracing::warn!(%why, url, "the cluster is away; the Mixer begins without it");
            NatsBus::connect_later(world, connection).await
        }
        connected => connected,
    };
    let bus = bus.with_context(|| format!("cluster.url, or --bus: `{url}`"))?;
    let clock = world.clock;
    let authority = key.map(|key| Arc::new(KeyAuthority { key, clock }) as Arc<dyn Authority>);
    Ok(Fleet { bus: Arc::new(bus), urls, bus_ca, authority })
}

fn account_key(world: &World, cluster: &Cluster) -> anyhow::Result<Option<AccountKey>> {
    let Some(file) = &cluster.account_seed_file else { return Ok(None) };
    let seed = text(world, "account_seed_file", file)?;
    let key = AccountKey::from_seed(&seed, cluster.account.as_deref());
    Ok(Some(key.with_context(|| format!("cluster.account_seed_file: `{}`", file.display()))?))
}

fn connection(
    world: &World,
    cluster: &Cluster,
    url: &str,
    key: Option<&AccountKey>,
) -> anyhow::Result<Connection> {
    let mut connection = Connection::new(url.split(',').map(|server| server.trim().to_owned()).collect());
    connection.name = "fluxrig-mixer".into();
    connection.replicas = cluster.replicas;
    connection.credentials = match (&cluster.credentials_file, &cluster.nkey_file, key) {
        (Some(file), _, _) => Credentials::Jwt(text(world, "credentials_file", file)?),
        (None, Some(file), _) => Credentials::NKey(text(world, "nkey_file", file)?.trim().to_owned()),
        (None, None, Some(account)) => {
            let (own, now) = (BusKey::generate()?, world.clock.unix_ms() / 1_000);
            let jwt = account.user("fluxrig-mixer", &own.public(), &Grants::of_mixer(), now, None)?;
            Credentials::Jwt(own.credentials(&jwt))
        }
        (None, None, None) => Credentials::None,
    };
    let identity = cluster.tls_cert_file.clone().zip(cluster.tls_key_file.clone());
    connection.tls = cluster.root_ca_file.clone().map(|roots| Tls { roots, identity });
    Ok(connection)
}

fn text(world: &World, key: &str, file: &Path) -> anyhow::Result<String> {
    let told = || format!("cluster.{key}: `{}`", file.display());
    let bytes = world.disk.read_input(file, BYTES_MAX).with_context(told)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| anyhow!("{} is no text", told()))
}
