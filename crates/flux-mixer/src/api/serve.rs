//! Connections to the API: HTTP/1.1, over TLS with a certificate that can be exchanged while it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use flux_world::{Clock, ListenOptions, Listener, Stream, World};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::{Mutex, RwLock};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::caller::Peer;
use super::write_deadline::WriteDeadline;
use crate::ca::Certified;
use crate::limits::{CONNECTIONS_MAX, CONNECTIONS_OF_ADDRESS_MAX, HEAD_DEADLINE};

/// How long nobody is accepted after that failed: it may be for want of descriptors.
const ACCEPT_AGAIN: std::time::Duration = std::time::Duration::from_millis(50);

/// Why the API is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Nothing can listen there.
    #[error("cannot listen on `{address}`: {why}")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        #[source]
        why: io::Error,
    },
    /// The certificate is not usable.
    #[error("the certificate of the server is not usable: {0}")]
    Certificate(String),
    /// It would be reached by anybody, from anywhere.
    #[error(
        "`{0}` reaches beyond this machine: without TLS and authentication only a loopback address is served"
    )]
    Exposed(SocketAddr),
}

/// The certificate of the server, which can be exchanged: connections from then on see the new one.
#[derive(Debug)]
pub struct ServerIdentity(RwLock<Arc<CertifiedKey>>);

impl ServerIdentity {
    /// Shows this certificate.
    ///
    /// # Errors
    /// When key and certificate do not fit.
    pub fn new(certified: &Certified) -> Result<ServerIdentity, ServeError> {
        Ok(ServerIdentity(RwLock::new(key_of(certified)?)))
    }

    /// Shows another one from now on.
    ///
    /// # Errors
    /// When key and certificate do not fit: the old one stays.
    pub fn exchange(&self, certified: &Certified) -> Result<(), ServeError> {
        *self.0.write() = key_of(certified)?;
        Ok(())
    }
}

impl ResolvesServerCert for ServerIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

/// An API that listens, and is served by [`Served::run`].
pub struct Served {
    listener: Listener,
    address: SocketAddr,
    routes: Router,
    tls: Option<TlsAcceptor>,
    clock: Clock,
}

/// Listens. Without an identity it is plain HTTP, which is for this machine alone.
///
/// # Errors
/// [`ServeError::Exposed`] for plain HTTP on an address that others reach.
pub async fn serve(
    world: &World,
    address: &str,
    routes: Router,
    identity: Option<Arc<ServerIdentity>>,
) -> Result<Served, ServeError> {
    let listen_error = |why| ServeError::Listen { address: address.to_owned(), why };
    let listener = world.net.listen(address, &ListenOptions::default()).await.map_err(listen_error)?;
    let local = listener.local_addr().map_err(listen_error)?;
    if identity.is_none() && !local.ip().is_loopback() {
        return Err(ServeError::Exposed(local));
    }
    let tls = identity.map(acceptor).transpose()?;
    Ok(Served { listener, address: local, routes, tls, clock: world.clock })
}

impl Served {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address for those on this machine.
    pub fn url(&self) -> String {
        format!("http{}://{}", if self.tls.is_some() { "s" } else { "" }, self.address)
    }

    /// Serves until it is dropped, and all connections with it.
    pub async fn run(mut self) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let addresses = Arc::new(Mutex::new(BTreeMap::new()));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(place) = room.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok(stream) => {
                    // One address does not have all there is room for.
                    let Some(counted) = Counted::of(&addresses, stream.peer.ip()) else { continue };
                    let (routes, tls, clock) = (self.routes.clone(), self.tls.clone(), self.clock);
                    connections.spawn(async move {
                        let _place = (place, counted);
                        connection(stream, routes, tls, clock).await;
                    });
                }
                Err(why) => {
                    tracing::warn!(%why, "a connection to the API is not accepted");
                    self.clock.sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
}

/// A connection of an address, counted while it is there.
struct Counted {
    of: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Counted {
    /// None where the address has as many as it may.
    fn of(addresses: &Arc<Mutex<BTreeMap<IpAddr, usize>>>, address: IpAddr) -> Option<Counted> {
        let mut counts = addresses.lock();
        let count = counts.entry(address).or_default();
        if *count >= CONNECTIONS_OF_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Counted { of: addresses.clone(), address })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.of.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

async fn connection(stream: Stream, routes: Router, tls: Option<TlsAcceptor>, clock: Clock) {
    let peer = stream.peer;
    match tls {
        None => requests(WriteDeadline::new(stream, clock), peer, routes).await,
        Some(tls) => match clock.timeout(HEAD_DEADLINE, tls.accept(stream)).await {
            Ok(Ok(stream)) => requests(WriteDeadline::new(stream, clock), peer, routes).await,
            Ok(Err(why)) => tracing::debug!(%peer, %why, "no TLS"),
            Err(_) => tracing::debug!(%peer, "no TLS in time"),
        },
    }
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    routes: Router,
) {
    let routes = routes.layer(axum::Extension(Peer(peer)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .with_upgrades();
    if let Err(why) = served.await {
        tracing::debug!(%peer, %why, "a connection to the API ends");
    }
}

fn acceptor(identity: Arc<ServerIdentity>) -> Result<TlsAcceptor, ServeError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| ServeError::Certificate(why.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(identity);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn key_of(certified: &Certified) -> Result<Arc<CertifiedKey>, ServeError> {
    let unusable = |why: String| ServeError::Certificate(why);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certified.chain.as_bytes()).collect();
    let chain = chain.map_err(|why| unusable(why.to_string()))?;
    let key =
        PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).map_err(|why| unusable(why.to_string()))?;
    let key =
        rustls::crypto::ring::sign::any_supported_type(&key).map_err(|why| unusable(why.to_string()))?;
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served").field("address", &self.address).finish_non_exhaustive()
    }
}
