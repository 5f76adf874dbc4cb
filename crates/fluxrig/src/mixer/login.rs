//! Which Mixer the commands ask, and with which token.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use flux_identity::{Token, TokenKind};
use flux_world::World;
use serde::{Deserialize, Serialize};

use super::client::{Client, Fingerprint, fingerprint};
use crate::http::Address;

/// Where a Mixer is that was started with `--dev`.
const DEV: &str = "http://127.0.0.1:8090";
/// Longest file of a login.
const BYTES_MAX: usize = 4 << 10;

/// Which Mixer, and who asks.
#[derive(Args, Clone, Default)]
pub(crate) struct LoginOptions {
    /// Address of the Mixer; else the one of `fluxrig login`, else a Mixer with `--dev` on this machine
    #[arg(long, value_name = "URL", env = "FLUXRIG_MIXER")]
    mixer: Option<String>,
    /// Token for the API (the environment is the better place); else the one of `fluxrig login`
    #[arg(long, value_name = "TOKEN", env = "FLUXRIG_API_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Fingerprint of the Mixer's CA, where the token does not say it
    #[arg(long, value_name = "SHA256", value_parser = fingerprint)]
    fingerprint: Option<Fingerprint>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    mixer: String,
    token: String,
}

impl LoginOptions {
    /// The Mixer they mean.
    pub(crate) fn client(&self, world: &World) -> anyhow::Result<Client> {
        let kept = match (&self.mixer, &self.token) {
            (Some(_), Some(_)) => None,
            _ => read(world)?,
        };
        let mixer = self.mixer.clone().or_else(|| kept.as_ref().map(|login| login.mixer.clone()));
        // A token is shown to the Mixer it was kept for, and to no other.
        let kept = kept.filter(|login| mixer.as_ref() == Some(&login.mixer)).map(|login| login.token);
        let token = self.token.clone().or(kept);
        let address = mixer.as_deref().unwrap_or(DEV).parse()?;
        client(world, address, token, self.fingerprint)
    }
}

/// A client of the Mixer with this address, which is the one that the token is for.
pub(super) fn client(
    world: &World,
    address: Address,
    token: Option<String>,
    given: Option<Fingerprint>,
) -> anyhow::Result<Client> {
    let parsed = token.as_deref().map(str::parse::<Token>).transpose();
    let parsed = parsed.map_err(|why| anyhow::anyhow!("{why}"))?;
    if parsed.as_ref().is_some_and(|token| token.kind != TokenKind::Access) {
        bail!("it is a token to enrol a rack, not one for the API: those begin with `fluxrig-api-`");
    }
    let fingerprint = given.map(|given| given.0).or(parsed.map(|token| token.fingerprint));
    Ok(Client { address, fingerprint, token, world: world.clone() })
}

/// Keeps which Mixer to ask, and the token, for the commands that follow.
pub(crate) fn keep_login(world: &World, client: &Client) -> anyhow::Result<PathBuf> {
    let path = path()?;
    let token = client.token.clone().context("a login needs a token: --token, or the environment")?;
    let text = serde_json::to_string(&Login { mixer: client.address.to_string(), token })?;
    if let Some(directory) = path.parent() {
        world.disk.make_private_dir(directory)?;
    }
    world.disk.write_atomic_private(&path, text.as_bytes())?;
    Ok(path)
}

fn read(world: &World) -> anyhow::Result<Option<Login>> {
    let Ok(path) = path() else { return Ok(None) };
    if !world.disk.exists(&path) {
        return Ok(None);
    }
    let shown = path.display();
    let text = world.disk.read(&path, BYTES_MAX).with_context(|| format!("cannot read `{shown}`"))?;
    serde_json::from_slice(&text).with_context(|| format!("`{shown}` is damaged: log in again")).map(Some)
}

#[allow(clippy::disallowed_methods, reason = "a binary reads the environment")]
fn path() -> anyhow::Result<PathBuf> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    Ok(config.context("neither XDG_CONFIG_HOME nor HOME is set")?.join("fluxrig").join("login.json"))
}
