//! The Mixer's own certificates: made at each start, and anew while it runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use flux_mixer::api::ServerIdentity;
use flux_mixer::{Certified, Keyring};
use flux_nats::server::{ManagedServer, ServerTls};
use flux_world::World;

/// How long they are good.
const LIFETIME: Duration = Duration::from_hours(90 * 24);
/// How often they are made anew.
pub(crate) const RENEW_EVERY: Duration = Duration::from_hours(24);

/// Where they are for the server of the bus, and whom they name.
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    directory: PathBuf,
    names: Vec<String>,
}

impl Certificates {
    pub(crate) fn new(state_dir: &Path, names: Vec<String>) -> Certificates {
        Certificates { directory: state_dir.join("bus").join("tls"), names }
    }

    /// The files of the server of the bus.
    pub(crate) fn files(&self) -> ServerTls {
        let [certificate, key, ca] =
            ["server.pem", "server.key", "ca.pem"].map(|file| self.directory.join(file));
        ServerTls { certificate, key, ca }
    }

    /// A new certificate. The files, which the server of the bus reads, are for us alone; the key is not sealed there, since
    /// that server has no way to open it.
    pub(crate) fn issue(&self, world: &World, keyring: &Keyring) -> anyhow::Result<Certified> {
        let certified = keyring.ca.certify_server(&self.names, world.clock.unix_ms(), LIFETIME)?;
        let ServerTls { certificate, key, ca } = self.files();
        world.disk.make_private_dir(&self.directory)?;
        for (file, text) in
            [(&certificate, &*certified.chain), (&key, &*certified.key), (&ca, keyring.ca.pem())]
        {
            let written = world.disk.write_atomic_private(file, text.as_bytes());
            written.with_context(|| format!("cannot write `{}`", file.display()))?;
        }
        Ok(certified)
    }

    /// Makes them anew from time to time, until it is dropped.
    pub(crate) async fn renew(
        &self,
        world: &World,
        keyring: &Keyring,
        identity: Option<Arc<ServerIdentity>>,
        server: Option<Arc<ManagedServer>>,
    ) {
        loop {
            world.clock.sleep(RENEW_EVERY).await;
            let renewed = self.issue(world, keyring).and_then(|certified| {
                if let Some(identity) = &identity {
                    identity.exchange(&certified)?;
                }
                if let Some(server) = &server {
                    server.reload();
                }
                Ok(certified.expires_unix_ms)
            });
            match renewed {
                Ok(expires_unix_ms) => {
                    tracing::info!(expires_unix_ms, "the certificate of the Mixer is made anew")
                }
                Err(why) => {
                    tracing::error!(%why, "the certificate of the Mixer is not made anew; tried again in a day")
                }
            }
        }
    }
}
