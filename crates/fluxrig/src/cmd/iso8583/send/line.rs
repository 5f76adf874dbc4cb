//! The line of a terminal: one connection, plain or TLS, that carries whole frames.

use std::{collections::VecDeque, future::poll_fn, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use flux_iso8583::MESSAGE_BYTES_MAX;
use flux_pool::{
    PeerConfig,
    framing::{LengthPrefixed, Width},
    tls::{Identity, TlsClient},
    transport::{Link, Plain, Transport},
};
use flux_scenario::limits::FILE_BYTES_MAX;
use flux_world::{ConnectOptions, Target, World};

use crate::{cmd::iso8583::frames::LengthBytes, input};

/// TLS towards the server.
#[derive(Args)]
pub(super) struct TlsOptions {
    /// Connect by TLS
    #[arg(long, requires = "ca")]
    tls: bool,
    /// Certificates of the authorities that may have issued the server's, PEM
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca: Option<PathBuf>,
    /// Our certificate, for a server that asks for one, PEM
    #[arg(long, value_name = "FILE", requires_all = ["tls", "key"])]
    cert: Option<PathBuf>,
    /// The private key of our certificate, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The name that the server's certificate must bear, where that is not the host connected to
    #[arg(long, value_name = "NAME", requires = "tls")]
    server_name: Option<String>,
}

impl TlsOptions {
    fn transport(&self, world: &World) -> anyhow::Result<Arc<dyn Transport>> {
        let read = |path: &PathBuf| input::file(&world.disk, path, FILE_BYTES_MAX);
        let Some(ca) = self.ca.as_ref().filter(|_| self.tls) else { return Ok(Arc::new(Plain)) };
        let own = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
            _ => None,
        };
        let identity = own.as_ref().map(|(certificates, key)| Identity { certificates, key });
        Ok(Arc::new(TlsClient::new(&read(ca)?, identity, self.server_name.as_deref(), world.clock)?))
    }
}

/// An open line.
pub(super) struct Line {
    link: Link,
    /// Frames that came in and were not taken yet.
    frames: VecDeque<Bytes>,
}

impl Line {
    /// Connects, and shakes hands where TLS is asked for, within `timeout`.
    pub(super) async fn open(
        world: &World,
        target: &Target,
        length: LengthBytes,
        tls: &TlsOptions,
        timeout: Duration,
    ) -> anyhow::Result<Line> {
        let width = match length {
            LengthBytes::Two => Width::Two,
            LengthBytes::Four => Width::Four,
        };
        let config = PeerConfig::new(LengthPrefixed::big_endian(width, MESSAGE_BYTES_MAX));
        let transport = tls.transport(world)?;
        let opening = async {
            let stream = world.net.connect(target, &ConnectOptions::default()).await?;
            anyhow::Ok(transport.connect(stream, target, &config).await?)
        };
        let opened = world.clock.timeout(timeout, opening).await;
        let link = opened.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {timeout:?}")));
        let link = link.with_context(|| format!("cannot connect to {target}"))?;
        Ok(Line { link, frames: VecDeque::new() })
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, frame: &Bytes) -> anyhow::Result<()> {
        self.link.write.begin();
        self.link.write.load(frame)?;
        poll_fn(|cx| self.link.write.poll_write(cx)).await.context("the request could not be written")
    }

    /// The next frame.
    pub(super) async fn receive(&mut self) -> anyhow::Result<Bytes> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(frame);
            }
            let mut frames = Vec::new();
            let read = poll_fn(|cx| self.link.read.poll_read(cx, &mut frames)).await;
            self.frames.extend(frames);
            if self.frames.is_empty() {
                read?;
            }
        }
    }
}
