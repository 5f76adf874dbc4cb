//! One request to a Mixer at a time, over a connection of its own, within a deadline.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use flux_identity::{Problem, limits::ANSWER_BYTES_MAX, parse_fingerprint};
use flux_world::{ConnectOptions, Target, World};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::pin::Pinned;

/// How long a request may take, connection and all.
const DEADLINE: Duration = Duration::from_secs(30);
/// Port of a Mixer where none is said.
const PORT: u16 = 8090;

/// Where a Mixer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    target: Target,
    is_tls: bool,
}

/// A Mixer, and what is shown to it.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: Address,
    /// Of the CA; needed for all but plain HTTP, which is for this machine alone.
    pub(crate) fingerprint: Option<[u8; 32]>,
    /// A token for the API.
    pub(crate) token: Option<String>,
    pub(crate) world: World,
}

/// The Mixer answered, and does not.
#[derive(Debug, thiserror::Error)]
#[error("{} ({}): {}", .0.title, .0.code, .0.detail)]
pub(crate) struct Refused(pub(crate) Problem);

impl Client {
    /// What a Mixer answers, read as `T`.
    ///
    /// # Errors
    /// [`Refused`] when it says that it does not.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> anyhow::Result<T> {
        let answer = self.send(method, path, body).await?;
        // An answer without a body is `null`.
        let answer = if answer.is_empty() { &b"null"[..] } else { &answer };
        serde_json::from_slice(answer)
            .context("the answer of the Mixer is not understood: is it another version?")
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Json>) -> anyhow::Result<Bytes> {
        let sent = self.world.clock.timeout(DEADLINE, self.exchange(method, path, body)).await;
        let address = &self.address;
        let (status, answer) = sent
            .map_err(|_| anyhow!("it does not answer within {} s", DEADLINE.as_secs()))
            .and_then(|sent| sent)
            .with_context(|| format!("cannot ask the Mixer at {address}"))?;
        if status.is_success() {
            return Ok(answer);
        }
        match serde_json::from_slice::<Problem>(&answer) {
            Ok(problem) => Err(Refused(problem).into()),
            Err(_) => bail!("what is at {address} answers {status}: is it a Mixer?"),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let Address { target, is_tls } = &self.address;
        let stream = self.world.net.connect(target, &ConnectOptions::default()).await?;
        let request = self.request(method, path, body)?;
        if !is_tls {
            return over(stream, request).await;
        }
        let fingerprint = self.fingerprint.context(
            "which CA certified it is not known: give its token, or `--fingerprint` as the Mixer printed it",
        )?;
        let name = ServerName::try_from(target.host().to_owned())?;
        let stream = TlsConnector::from(tls(fingerprint)?).connect(name, stream).await.context(
            "it is not the Mixer that was meant: the CA, the name or the dates of its certificate are others",
        )?;
        over(stream, request).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let target = &self.address.target;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, target.to_string())
            .header(header::USER_AGENT, concat!("fluxrig/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        Ok(request.body(Full::new(body))?)
    }
}

async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((status, body.map_err(|why| anyhow!(why))?.to_bytes()))
    };
    // The connection is driven for as long as the answer takes, and goes with it.
    tokio::pin!(connection);
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended?;
            answer.await
        }
    }
}

fn tls(fingerprint: [u8; 32]) -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned::new(fingerprint, provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl FromStr for Address {
    type Err = anyhow::Error;

    /// Reads `https://host:port`, or `http://` for this machine.
    fn from_str(text: &str) -> anyhow::Result<Address> {
        let uri: Uri = text.parse().with_context(|| format!("`{text}` is no address"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => bail!("`{text}` is no address of a Mixer: write https://host:{PORT}"),
        };
        let host = uri.host().with_context(|| format!("`{text}` names no host"))?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            bail!("`{text}`: the address of a Mixer has no path");
        }
        let target = Target::new(host, uri.port_u16().unwrap_or(PORT))?;
        if !is_tls && !matches!(target.host(), "localhost" | "127.0.0.1" | "::1") {
            bail!("`{text}`: plain HTTP is for a Mixer on this machine; write https://");
        }
        Ok(Address { target, is_tls })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://{}", if self.is_tls { "s" } else { "" }, self.target)
    }
}

/// A fingerprint on the command line.
pub(crate) fn fingerprint(text: &str) -> Result<Fingerprint, &'static str> {
    parse_fingerprint(text).map(Fingerprint)
}

/// SHA-256 of the certificate of a CA.
#[derive(Clone, Copy)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encrypted_or_here() {
        let read = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(read("https://mixer.example").unwrap(), "https://mixer.example:8090");
        assert_eq!(read("https://[::1]:9/").unwrap(), "https://[::1]:9");
        assert_eq!(read("http://127.0.0.1:1").unwrap(), "http://127.0.0.1:1");
        for bad in ["mixer", "http://mixer.example", "ftp://x", "https://x/api", "https://", "https://a b"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
