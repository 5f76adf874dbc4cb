//! TLS on real sockets: both sides, mutual, and what each failure is called.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flux_pool::tls::{ClientAuth, Identity, TlsClient, TlsError, TlsServer};
use flux_pool::{CloseReason, DialError, EventKind, Events, PeerConfig, PeerPool, PoolBuilder};
use flux_world::{Target, World};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::kit::{config, short};

/// An authority and what it issued, as PEM.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

struct Issued {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn issue(&self, name: &str) -> Issued {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Issued { certificate: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }
}

impl Issued {
    fn identity(&self) -> Identity<'_> {
        Identity { certificates: self.certificate.as_bytes(), key: self.key.as_bytes() }
    }
}

fn server(identity: &Issued, auth: ClientAuth<'_>) -> PeerConfig {
    let clock = World::real().clock;
    PeerConfig { transport: Arc::new(TlsServer::new(identity.identity(), auth, clock).unwrap()), ..config() }
}

fn client(roots: &Authority, identity: Option<&Issued>, name: &str) -> PeerConfig {
    let clock = World::real().clock;
    let identity = identity.map(Issued::identity);
    let transport = TlsClient::new(roots.pem().as_bytes(), identity, Some(name), clock).unwrap();
    PeerConfig { transport: Arc::new(transport), ..config() }
}

fn builder() -> PoolBuilder {
    PeerPool::builder(World::real())
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("long enough")
}

async fn first(events: &mut Events) -> EventKind {
    within(events.recv()).await.unwrap().kind
}

/// What the dialling side is told first, and the accepting side of it.
async fn meet(server_config: PeerConfig, client_config: PeerConfig) -> (EventKind, EventKind) {
    let (acceptor, _accepted) = builder().inbox();
    let (dialer, _inbox) = builder().inbox();
    let (mut accepts, mut dials) = (acceptor.events(), dialer.events());
    let listening = acceptor.listen("127.0.0.1:0", server_config).await.unwrap();
    dialer.dial("server", Target::from(listening.local_addr()), client_config).unwrap();
    let met = (first(&mut dials).await, first(&mut accepts).await);
    within(async {
        tokio::join!(dialer.close(Duration::from_secs(1)), acceptor.close(Duration::from_secs(1)))
    })
    .await;
    met
}

fn failure(event: &EventKind) -> String {
    match event {
        EventKind::DialFailed { error: DialError::Handshake(what), .. } => format!("handshake: {what}"),
        EventKind::Retired { reason: CloseReason::Tls(what), .. } => format!("tls: {what}"),
        other => panic!("no failure of TLS: {other:?}"),
    }
}

#[tokio::test]
async fn frames_cross_both_ways_and_each_side_knows_the_other() {
    let authority = Authority::new("ours");
    let (ours, theirs) = (authority.issue("switch.test"), authority.issue("terminal.test"));
    let (acceptor, mut accepted) = builder().inbox();
    let (dialer, mut inbox) = builder().inbox();
    let roots = authority.pem();
    let listening =
        acceptor.listen("127.0.0.1:0", server(&ours, ClientAuth::Required(roots.as_bytes()))).await.unwrap();
    let config = client(&authority, Some(&theirs), "switch.test");
    let peer = dialer.dial("switch", Target::from(listening.local_addr()), config).unwrap();
    assert!(within(peer.wait_up()).await);
    for n in 0..200_u32 {
        within(peer.send(n.to_be_bytes().repeat(200).into())).await.unwrap();
    }
    let (mut back, mut expected) = (None, 0_u32);
    while expected < 200 {
        let (from, batch) = within(accepted.recv()).await.unwrap();
        for frame in batch.frames {
            assert_eq!(frame, expected.to_be_bytes().repeat(200));
            expected += 1;
        }
        back = Some(from);
    }
    let back = back.unwrap();
    within(back.send_confirmed("0210".into())).await.unwrap();
    assert_eq!(within(inbox.recv()).await.unwrap().1.frames, ["0210"]);
    let tls = |peer: &flux_pool::PeerHandle| peer.link().unwrap().tls.unwrap();
    assert_eq!((&tls(&peer).version[..], &tls(&back).version[..]), ("TLSv1_3", "TLSv1_3"));
    assert!(tls(&back).peer_certificate.is_some() && tls(&peer).peer_certificate.is_some());

    let mut events = acceptor.events();
    within(dialer.close(Duration::from_secs(5))).await;
    let told = within(events.recv()).await.unwrap();
    assert_eq!(
        short(&told),
        format!("disconnected {}: peer_clean", back.id()),
        "close_notify is a clean goodbye"
    );
    within(acceptor.close(Duration::from_secs(5))).await;
}

#[tokio::test]
async fn whoever_cannot_be_trusted_is_refused_on_both_sides() {
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let switch = ours.issue("switch.test");
    let roots = ours.pem();

    let (dialled, accepted) =
        meet(server(&switch, ClientAuth::None), client(&foreign, None, "switch.test")).await;
    assert!(failure(&dialled).contains("UnknownIssuer"), "{dialled:?}");
    assert!(failure(&accepted).contains("UnknownCA"), "{accepted:?}");

    let (dialled, _) = meet(server(&switch, ClientAuth::None), client(&ours, None, "other.test")).await;
    assert!(failure(&dialled).contains("not valid for name"), "{dialled:?}");

    let stranger = foreign.issue("terminal.test");
    for presented in [None, Some(&stranger)] {
        let required = server(&switch, ClientAuth::Required(roots.as_bytes()));
        let (_, accepted) = meet(required, client(&ours, presented, "switch.test")).await;
        assert!(failure(&accepted).starts_with("tls: "), "{accepted:?}");
    }
    let optional = server(&switch, ClientAuth::Optional(roots.as_bytes()));
    let (dialled, accepted) = meet(optional, client(&ours, None, "switch.test")).await;
    assert!(
        matches!(dialled, EventKind::Connected { .. }) && matches!(accepted, EventKind::Connected { .. })
    );
}

#[tokio::test]
async fn one_side_speaking_plainly_is_a_failed_handshake() {
    let authority = Authority::new("ours");
    let switch = authority.issue("switch.test");
    let (acceptor, _accepted) = builder().inbox();
    let (dialer, _inbox) = builder().inbox();
    let mut accepts = acceptor.events();
    let listening = acceptor.listen("127.0.0.1:0", server(&switch, ClientAuth::None)).await.unwrap();
    let peer = dialer.dial("switch", Target::from(listening.local_addr()), config()).unwrap();
    assert!(within(peer.wait_up()).await);
    within(peer.send_confirmed("0200, in clear".into())).await.unwrap();
    assert_eq!(failure(&first(&mut accepts).await), "tls: the peer speaks plain ISO 8583, not TLS");
    let mut browser = std::net::TcpStream::connect(listening.local_addr()).unwrap();
    browser.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(failure(&first(&mut accepts).await), "tls: the peer speaks HTTP, not TLS");
    drop(std::net::TcpStream::connect(listening.local_addr()).unwrap());
    let silent = failure(&first(&mut accepts).await);
    assert_eq!(silent, "tls: the peer closed the connection without a word");
    assert_eq!(acceptor.stats().handshakes_failed, 3);
}

#[tokio::test]
async fn an_end_without_the_goodbye_of_tls_is_an_end_like_without_tls() {
    let authority = Authority::new("ours");
    let switch = authority.issue("switch.test");
    let (acceptor, mut accepted) = builder().inbox();
    let mut accepts = acceptor.events();
    let listening = acceptor.listen("127.0.0.1:0", server(&switch, ClientAuth::None)).await.unwrap();
    for (wire, reason) in [(crate::kit::framed(b"0200"), "peer_clean"), (vec![0, 9, b'0'], "truncated")] {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let addr = listening.local_addr();
        tokio::task::spawn_blocking(move || {
            let name = "switch.test".try_into().unwrap();
            let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
            let socket = std::net::TcpStream::connect(addr).unwrap();
            let mut stream = rustls::StreamOwned::new(session, socket);
            stream.write_all(&wire).unwrap();
            stream.flush().unwrap();
            // What the server says after the handshake is read, or closing would be a reset.
            stream.sock.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 16]);
        })
        .await
        .unwrap();
        assert!(matches!(first(&mut accepts).await, EventKind::Connected { .. }));
        let EventKind::Disconnected { reason: told, .. } = first(&mut accepts).await else { panic!() };
        assert_eq!(told.class(), reason, "{told}");
        assert!(matches!(first(&mut accepts).await, EventKind::Retired { .. }));
    }
    assert_eq!(within(accepted.recv()).await.unwrap().1.frames, ["0200"]);
}

#[tokio::test]
async fn settings_of_the_wrong_side_are_told() {
    let authority = Authority::new("ours");
    let config = server(&authority.issue("switch.test"), ClientAuth::None);
    let (acceptor, _accepted) = builder().inbox();
    let listening = acceptor.listen("127.0.0.1:0", crate::kit::config()).await.unwrap();
    let (dialer, _inbox) = builder().inbox();
    let mut dials = dialer.events();
    dialer.dial("switch", Target::from(listening.local_addr()), config).unwrap();
    assert_eq!(failure(&first(&mut dials).await), "handshake: the settings are those of a server");
}

#[test]
fn keys_and_certificates_that_are_none_are_told() {
    let authority = Authority::new("ours");
    let clock = World::real().clock;
    let (good, other) = (authority.issue("a.test"), authority.issue("b.test"));
    let told = |identity: Identity<'_>| match TlsServer::new(identity, ClientAuth::None, clock) {
        Ok(_) => "fine".to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(told(good.identity()), "fine");
    assert_eq!(
        told(Identity { certificates: b"", ..good.identity() }),
        "the certificate holds no certificate"
    );
    assert!(told(Identity { key: b"", ..good.identity() }).starts_with("cannot read the private key: "));
    assert!(told(Identity { key: other.key.as_bytes(), ..good.identity() }).starts_with("unusable: "));
    let name = TlsClient::new(authority.pem().as_bytes(), None, Some("not a name"), clock);
    assert!(matches!(name.unwrap_err(), TlsError::ServerName(_)));
}
