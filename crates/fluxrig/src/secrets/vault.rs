//! A secret of Vault's KV engine, version 2: `GET /v1/<mount>/data/<path>`, with a token out of a file.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context, anyhow, bail, ensure};
use bytes::Bytes;
use flux_scenario::settings::Vault;
use flux_world::World;
use http_body_util::Full;
use hyper::{Request, StatusCode, header};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::{
    http::{self, Address, escaped},
    terminal,
};

/// Port of Vault where none is said.
const PORT: u16 = 8200;
/// Longest answer.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Longest file of a token, and of certificates.
const TOKEN_BYTES_MAX: usize = 64 << 10;
const CA_BYTES_MAX: usize = 1 << 20;

/// All that stands under its keys. Blocks, on a thread of its own: whoever asks may be inside a runtime.
pub(super) fn read(
    world: &World,
    vault: &Vault,
    directory: &Path,
) -> Result<BTreeMap<String, String>, String> {
    let asked = || terminal::runtime(1)?.block_on(ask(world, vault, directory));
    let answer = std::thread::scope(|scope| scope.spawn(asked).join());
    let answer = answer.unwrap_or_else(|why| std::panic::resume_unwind(why));
    answer.map_err(|why| format!("{why:#}"))
}

async fn ask(world: &World, vault: &Vault, directory: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let address = Address::read(&vault.url, "Vault", PORT).context("`secrets.vault.url`")?;
    let path = directory.join(&vault.token_file);
    let token = world.disk.read_input(&path, TOKEN_BYTES_MAX);
    let token = token.with_context(|| format!("`secrets.vault.token_file`: {}", path.display()))?;
    let token = std::str::from_utf8(&token).context("`secrets.vault.token_file` is no text")?.trim();
    let way: Vec<String> = vault.path.split('/').map(escaped).collect();
    let mut request = Request::get(format!("/v1/{}/data/{}", escaped(&vault.mount), way.join("/")))
        .header(header::HOST, address.target.to_string())
        .header("X-Vault-Request", "true")
        .header("X-Vault-Token", token);
    if let Some(namespace) = &vault.namespace {
        request = request.header("X-Vault-Namespace", namespace);
    }
    let request = request.body(Full::<Bytes>::default()).context("the token, or the namespace, is none")?;
    let asked = async {
        let connected = address.connect(world, || tls(world, vault, directory), "the Vault").await?;
        http::ask(connected, request, ANSWER_BYTES_MAX).await
    };
    let (status, _, body) = world
        .clock
        .timeout(vault.timeout.0, asked)
        .await
        .map_err(|_| anyhow!("it does not answer within {}", vault.timeout))
        .and_then(|asked| asked)
        .with_context(|| format!("cannot ask Vault at {address}"))?;
    match status {
        StatusCode::OK => answer(&body),
        StatusCode::FORBIDDEN => {
            bail!("Vault refuses the token: it has expired, or its policy does not have this path")
        }
        StatusCode::NOT_FOUND => bail!("Vault has no such secret, or it was deleted"),
        status => bail!("Vault answers {status}"),
    }
}

/// Whom to believe that it is Vault.
fn tls(world: &World, vault: &Vault, directory: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let file = vault
        .ca_file
        .as_ref()
        .context("who vouches for Vault is not known: name it with `secrets.vault.ca_file`")?;
    let path = directory.join(file);
    let shown = || format!("`secrets.vault.ca_file`: {}", path.display());
    let pem = world.disk.read_input(&path, CA_BYTES_MAX).with_context(shown)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.with_context(shown)?).with_context(shown)?;
    }
    ensure!(!roots.is_empty(), "{} has no certificate", shown());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// As Vault answers: what it wraps is not of interest, and what is no text is no secret for a value.
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    data: BTreeMap<String, Json>,
}

fn answer(body: &[u8]) -> anyhow::Result<BTreeMap<String, String>> {
    // Why it cannot be read is not told: that would quote it.
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|_| anyhow!("what it answers is no secret of a KV engine, version 2: is the mount one?"))?;
    let text = |(key, value)| match value {
        Json::String(text) => Some((key, text)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => None,
    };
    Ok(answer.data.data.into_iter().filter_map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_secrets_or_refused_and_never_quoted() {
        bolero::check!().for_each(|input: &[u8]| {
            if let Err(why) = answer(input) {
                assert!(why.to_string().starts_with("what it answers is no secret"));
            }
        });
        let body = br#"{"request_id":"x","data":{"data":{"A":"tiger","B":7},"metadata":{"version":3}}}"#;
        assert_eq!(answer(body).unwrap(), [("A".to_owned(), "tiger".to_owned())].into());
        // Version 1 of the engine.
        let why = answer(br#"{"data":{"A":"tiger"}}"#).unwrap_err().to_string();
        assert!(!why.contains("tiger"), "{why}");
    }
}
