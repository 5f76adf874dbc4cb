//! TLS on either side, mutual where both present a certificate.
//!
//! Versions 1.2 and 1.3, by rustls with the `ring` provider. Keys and certificates come as PEM bytes (RFC 7468): who
//! reads the files decides when to read them again. The validity of certificates is judged by the world's clock.

mod greeting;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use flux_world::{Clock, Stream, Target};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, CommonState, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::config::PeerConfig;
use crate::inbox::BoxFuture;
use crate::reason::DialError;
use crate::state::{LinkInfo, TlsInfo};
use crate::transport::{Link, Transport};

use greeting::{Greeted, misunderstanding};

/// A certificate chain and its private key, as PEM.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// The certificate, then those of its issuers up to but without the root.
    pub certificates: &'a [u8],
    /// The private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: &'a [u8],
}

/// What an accepting side asks of those who connect.
#[derive(Clone, Copy)]
pub enum ClientAuth<'a> {
    /// Nothing.
    None,
    /// A certificate issued by one of these, as PEM, if they present one.
    Optional(&'a [u8]),
    /// A certificate issued by one of these, as PEM.
    Required(&'a [u8]),
}

/// Why keys and certificates make no configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The bytes are no PEM of that kind.
    #[error("cannot read the {what}: {error}")]
    Pem {
        /// What was to be read.
        what: &'static str,
        /// Why not.
        #[source]
        error: rustls_pki_types::pem::Error,
    },
    /// There is no certificate in it.
    #[error("the {0} holds no certificate")]
    Empty(&'static str),
    /// The name is no host name and no address.
    #[error("`{0}` is no server name")]
    ServerName(String),
    /// Key and certificate do not fit, or a certificate is unusable.
    #[error("unusable: {0}")]
    Unusable(String),
}

/// TLS for a peer we dial.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
    server_name: Option<ServerName<'static>>,
}

/// TLS for peers we accept.
#[derive(Clone)]
pub struct TlsServer {
    acceptor: TlsAcceptor,
}

impl TlsClient {
    /// Trusts servers with a certificate issued by one of `roots` (PEM) for `server_name`, or for the host of the target
    /// where that is `None`; presents `identity` when asked.
    pub fn new(
        roots: &[u8],
        identity: Option<Identity<'_>>,
        server_name: Option<&str>,
        clock: Clock,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_details(provider, Arc::new(WorldTime(clock)))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(root_store(roots)?);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(
                    certificates(identity.certificates, "certificate")?,
                    key(identity.key)?,
                )
                .map_err(unusable)?,
        };
        let server_name = server_name.map(parse_server_name).transpose()?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server_name })
    }
}

impl TlsServer {
    /// Presents `identity` and asks for what `client_auth` says.
    pub fn new(identity: Identity<'_>, client_auth: ClientAuth<'_>, clock: Clock) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = |roots| {
            let roots = Arc::new(root_store(roots)?);
            Ok::<_, TlsError>(WebPkiClientVerifier::builder_with_provider(roots, provider.clone()))
        };
        let verifier = match client_auth {
            ClientAuth::None => WebPkiClientVerifier::no_client_auth(),
            ClientAuth::Optional(roots) => {
                verifier(roots)?.allow_unauthenticated().build().map_err(unusable)?
            }
            ClientAuth::Required(roots) => verifier(roots)?.build().map_err(unusable)?,
        };
        let config = ServerConfig::builder_with_details(provider.clone(), Arc::new(WorldTime(clock)))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates(identity.certificates, "certificate")?, key(identity.key)?)
            .map_err(unusable)?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

impl Transport for TlsClient {
    fn connect<'a>(
        &'a self,
        stream: Stream,
        target: &'a Target,
        config: &'a PeerConfig,
    ) -> BoxFuture<'a, Result<Link, DialError>> {
        Box::pin(async move {
            let name = match &self.server_name {
                Some(name) => name.clone(),
                None => parse_server_name(target.host()).map_err(handshake_failed)?,
            };
            let (local, peer) = (stream.local, stream.peer);
            let connected = self.connector.connect(name, stream).await;
            let stream = connected.map_err(|error| handshake_failed(in_words(&error)))?;
            Ok(link(TlsStream::Client(stream), local, peer, config))
        })
    }

    fn accept<'a>(&'a self, _: Stream, _: &'a PeerConfig) -> BoxFuture<'a, Result<Link, DialError>> {
        Box::pin(std::future::ready(Err(handshake_failed("the settings are those of a client"))))
    }
}

impl Transport for TlsServer {
    fn connect<'a>(
        &'a self,
        _: Stream,
        _: &'a Target,
        _: &'a PeerConfig,
    ) -> BoxFuture<'a, Result<Link, DialError>> {
        Box::pin(std::future::ready(Err(handshake_failed("the settings are those of a server"))))
    }

    fn accept<'a>(
        &'a self,
        stream: Stream,
        config: &'a PeerConfig,
    ) -> BoxFuture<'a, Result<Link, DialError>> {
        Box::pin(async move {
            let (local, peer) = (stream.local, stream.peer);
            let stream = Greeted::wait(stream).await.map_err(handshake_failed)?;
            let greeting = stream.greeting();
            let accepted = self.acceptor.accept(stream).await;
            let stream = accepted.map_err(|error| {
                handshake_failed(misunderstanding(&greeting).unwrap_or_else(|| in_words(&error)))
            })?;
            Ok(link(TlsStream::Server(stream), local, peer, config))
        })
    }
}

/// Both directions share the cipher state, so these halves share a lock, held for the length of one poll.
fn link<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: TlsStream<S>,
    local: std::net::SocketAddr,
    peer: std::net::SocketAddr,
    config: &PeerConfig,
) -> Link {
    let tls = agreed(stream.get_ref().1);
    let (read, write) = tokio::io::split(stream);
    Link::over_bytes(read, write, LinkInfo { local, peer, tls: Some(Arc::new(tls)) }, config)
}

fn agreed(state: &CommonState) -> TlsInfo {
    TlsInfo {
        version: state.protocol_version().map_or_else(String::new, |version| format!("{version:?}")),
        peer_certificate: state.peer_certificates().and_then(|chain| chain.first()).map(|own| own.to_vec()),
    }
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| TlsError::Pem { what, error })?;
    if chain.is_empty() { Err(TlsError::Empty(what)) } else { Ok(chain) }
}

fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| TlsError::Pem { what: "private key", error })
}

fn root_store(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem, "authority")? {
        store.add(certificate).map_err(unusable)?;
    }
    Ok(store)
}

fn parse_server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
}

fn unusable(error: impl std::fmt::Display) -> TlsError {
    TlsError::Unusable(error.to_string())
}

/// What a failed handshake says, for those who do not know the library.
fn in_words(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => "what the peer sends is not TLS".to_owned(),
        Some(rustls::Error::AlertReceived(alert)) => format!("the peer refuses the handshake: {alert:?}"),
        Some(tls) => tls.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the peer closed the connection within the handshake".to_owned()
        }
        None => error.to_string(),
    }
}

fn handshake_failed(error: impl std::fmt::Display) -> DialError {
    DialError::Handshake(error.to_string().into())
}

/// The world's clock as rustls asks for it.
#[derive(Debug)]
struct WorldTime(Clock);

impl TimeProvider for WorldTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.unix_ms())))
    }
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsClient").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsServer")
    }
}
