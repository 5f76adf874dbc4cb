//! One request to a Mixer at a time, over a connection of its own, within a deadline.

use std::{str::FromStr, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use flux_identity::{Problem, parse_fingerprint};
use flux_world::World;
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode,
    header::{self, HeaderName},
};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::pin::Pinned;
use crate::http::{self, Address, Driver, Sender};

/// How long a request may take, connection and all.
const DEADLINE: Duration = Duration::from_secs(30);
/// Longest answer: a text of a release has 10 MiB, a passport with the part of a scenario less.
pub(super) const BYTES_MAX: usize = 16 << 20;
/// Port of a Mixer where none is said.
const PORT: u16 = 8090;

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

/// A request, as far as each has its own.
#[derive(Debug)]
pub(crate) struct Asking {
    method: Method,
    path: String,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
}

/// What a Mixer answered.
#[derive(Debug)]
pub(crate) struct Answered {
    /// What tells it from what was and will be, as it stands in the head of the answer.
    pub(crate) etag: Option<String>,
    pub(crate) body: Bytes,
}

/// What the Mixer says, where it answered and does not.
pub(crate) fn refused(why: &anyhow::Error) -> Option<&Problem> {
    why.downcast_ref::<Refused>().map(|Refused(problem)| problem)
}

impl Asking {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Asking {
        Asking { method, path: path.into(), headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Asking {
        self.headers.push((name, value.into()));
        self
    }

    /// With something to read.
    pub(crate) fn with(self, media: &str, body: impl Into<Bytes>) -> Asking {
        Asking { body: body.into(), ..self.header(header::CONTENT_TYPE, media) }
    }
}

impl Answered {
    /// Read as `T`; an answer without a body is `null`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        let body = if self.body.is_empty() { &b"null"[..] } else { &self.body };
        serde_json::from_slice(body)
            .context("the answer of the Mixer is not understood: is it another version?")
    }
}

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
        let asking = Asking::new(method, path);
        let asking = match body {
            Some(body) => asking.with("application/json", body.to_string()),
            None => asking,
        };
        self.send(asking).await?.read()
    }

    /// What a Mixer answers, as it is.
    ///
    /// # Errors
    /// [`Refused`] when it says that it does not.
    pub(crate) async fn send(&self, asking: Asking) -> anyhow::Result<Answered> {
        let (status, answered) = self.within(self.exchange(asking)).await?;
        if status.is_success() {
            return Ok(answered);
        }
        Err(self.refusal(status, &answered.body))
    }

    /// What is asked of a Mixer, within the deadline.
    pub(super) async fn within<T>(
        &self,
        asked: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let answered = self.world.clock.timeout(DEADLINE, asked).await;
        answered
            .map_err(|_| anyhow!("it does not answer within {} s", DEADLINE.as_secs()))
            .and_then(|answered| answered)
            .with_context(|| format!("cannot ask the Mixer at {}", self.address))
    }

    /// Why it does not, as it says.
    pub(super) fn refusal(&self, status: StatusCode, body: &[u8]) -> anyhow::Error {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => Refused(problem).into(),
            Err(_) => anyhow!("what is at {} answers {status}: is it a Mixer?", self.address),
        }
    }

    async fn exchange(&self, asking: Asking) -> anyhow::Result<(StatusCode, Answered)> {
        let request = self.request(asking)?;
        let (status, head, body) = http::ask(self.connect().await?, request, BYTES_MAX).await?;
        let etag = head.get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        Ok((status, Answered { etag, body }))
    }

    /// A connection of its own.
    pub(super) async fn connect(&self) -> anyhow::Result<(Sender, Driver)> {
        let pinned = || {
            tls(self.fingerprint.context(
                "which CA certified it is not known: give its token, or `--fingerprint` as the Mixer printed it",
            )?)
        };
        self.address.connect(&self.world, pinned, "the Mixer").await
    }

    pub(super) fn request(&self, asking: Asking) -> anyhow::Result<Request<Full<Bytes>>> {
        let Asking { method, path, headers, body } = asking;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, self.address.target.to_string())
            .header(header::USER_AGENT, concat!("fluxrig/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        Ok(request.body(Full::new(body))?)
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

    /// Reads the address of a Mixer.
    fn from_str(text: &str) -> anyhow::Result<Address> {
        Address::read(text, "a Mixer", PORT)
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
