//! HTTP to one server: an address that is encrypted or on this machine, a connection for each request, and answers up to a limit.

use std::{fmt, pin::Pin, sync::Arc};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use flux_world::{ConnectOptions, Target, World};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, StatusCode, Uri, body::Incoming, client::conn::http1::SendRequest, header::HeaderMap};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) target: Target,
    pub(crate) is_tls: bool,
}

/// Who asks on a connection.
pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// What drives a connection; none when it ended.
pub(crate) struct Driver(Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>);

impl Address {
    /// Reads `https://host:port`, or `http://` for this machine: the address of `whose`, on a port where none is said.
    pub(crate) fn read(text: &str, whose: &str, port: u16) -> anyhow::Result<Address> {
        let uri: Uri = text.parse().with_context(|| format!("`{text}` is no address"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => bail!("`{text}` is no address of {whose}: write https://host:{port}"),
        };
        let host = uri.host().with_context(|| format!("`{text}` names no host"))?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            bail!("`{text}`: the address of {whose} has no path");
        }
        let target = Target::new(host, uri.port_u16().unwrap_or(port))?;
        if !is_tls && !matches!(target.host(), "localhost" | "127.0.0.1" | "::1") {
            bail!("`{text}`: plain HTTP is for {whose} on this machine; write https://");
        }
        Ok(Address { target, is_tls })
    }

    /// A connection of its own. Over TLS whoever answers is believed as `tls` has it.
    pub(crate) async fn connect(
        &self,
        world: &World,
        tls: impl FnOnce() -> anyhow::Result<Arc<ClientConfig>>,
        whose: &str,
    ) -> anyhow::Result<(Sender, Driver)> {
        let stream = world.net.connect(&self.target, &ConnectOptions::default()).await?;
        if !self.is_tls {
            return shake_hands(stream).await;
        }
        let name = ServerName::try_from(self.target.host().to_owned())?;
        let stream = TlsConnector::from(tls()?).connect(name, stream).await.with_context(|| {
            format!("it is not {whose} that was meant: the CA, the name or the dates of its certificate are others")
        })?;
        shake_hands(stream).await
    }
}

async fn shake_hands(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> anyhow::Result<(Sender, Driver)> {
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    Ok((sender, Driver(Some(Box::pin(connection)))))
}

/// Asks once, on a connection that goes with the answer.
pub(crate) async fn ask(
    (mut sender, mut driver): (Sender, Driver),
    request: Request<Full<Bytes>>,
    bytes_max: usize,
) -> anyhow::Result<(StatusCode, HeaderMap, Bytes)> {
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok((head.status, head.headers, whole(body, bytes_max).await?))
    };
    driver.drive(answer).await
}

/// All of an answer.
pub(crate) async fn whole(body: Incoming, bytes_max: usize) -> anyhow::Result<Bytes> {
    Ok(Limited::new(body, bytes_max).collect().await.map_err(|why| anyhow!(why))?.to_bytes())
}

impl Driver {
    /// Drives the connection for as long as something takes that needs it.
    pub(crate) async fn drive<T>(
        &mut self,
        needs_it: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::pin!(needs_it);
        if let Some(connection) = &mut self.0 {
            let ended = tokio::select! {
                biased;
                done = &mut needs_it => return done,
                ended = connection => ended,
            };
            self.0 = None;
            ended?;
        }
        // What came before the end is there still.
        needs_it.await
    }
}

/// Text in a path or a query: all but letters and digits in percent.
pub(crate) fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://{}", if self.is_tls { "s" } else { "" }, self.target)
    }
}
