//! A managed server with a CA of its own, and everything two Racks need of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use flux_bus::{Bus, ConsumerConfig, Grants, MeshWire, Name, Pattern, Retention, StreamConfig};
use flux_nats::server::{ManagedServer, Program, Seeds, ServerConfig, ServerTls};
use flux_nats::{BusKey, Credentials, NatsBus, Settings, Tls};
use flux_world::World;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::server::{Version, free_port};

pub(crate) const SEEDS: Seeds = Seeds { operator: [1; 32], account: [2; 32], system: [3; 32] };

/// A server with a CA, streams for two Racks and a wire from north to south.
pub(crate) struct House {
    pub(crate) directory: TempDir,
    pub(crate) server: ManagedServer,
    pub(crate) world: World,
    /// Port for leaf nodes.
    pub(crate) leaf: u16,
}

/// Certificates of one CA, as files.
pub(crate) struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
}

impl Ca {
    pub(crate) fn new(directory: &Path, name: &str) -> Ca {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = directory.join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("ca.pem"), issuer.pem()).unwrap();
        Ca { issuer, directory }
    }

    /// A certificate for a name, and its key; `years` from 2020 on it ends.
    pub(crate) fn issue(&self, name: &str, years: i32) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020 + years, 1, 1);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = [".pem", ".key"].map(|ending| self.directory.join(format!("{name}{ending}")));
        fs::write(&files[0], certificate.pem()).unwrap();
        fs::write(&files[1], key.serialize_pem()).unwrap();
        let [certificate, key] = files;
        (certificate, key)
    }

    pub(crate) fn roots(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn wires() -> Vec<MeshWire> {
    let wire = |wire, from, to| MeshWire { wire: name(wire), from: name(from), to: name(to) };
    vec![wire("w1", "north", "south"), wire("w2", "south", "north")]
}

impl House {
    pub(crate) async fn start(version: Version) -> Option<(House, Ca)> {
        let (directory, world) = (tempfile::tempdir().unwrap(), World::real());
        let ca = Ca::new(directory.path(), "ca");
        let (certificate, key) = ca.issue("server", 30);
        let leaf = free_port();
        let config = ServerConfig {
            program: Program::find(&world, Some(&version.program()?), None, None).await.unwrap(),
            directory: directory.path().join("bus"),
            name: "fluxrig-test".into(),
            listen: format!("127.0.0.1:{}", free_port()).parse().unwrap(),
            listen_leaf: Some(format!("127.0.0.1:{leaf}").parse().unwrap()),
            store_bytes_max: 8 << 30,
            tls: ServerTls { certificate, key, ca: ca.roots() },
            store_key: "07".repeat(32),
        };
        let server = ManagedServer::start(&world, config, &SEEDS, BTreeMap::new()).await.unwrap();
        Some((House { directory, server, world, leaf }, ca))
    }

    pub(crate) async fn mixer(&self, ca: &Ca) -> NatsBus {
        let grants = Grants::of_mixer();
        let settings = self.server.settings("mixer", &grants, ca.issue("mixer", 30)).unwrap();
        NatsBus::connect(&self.world, settings).await.unwrap()
    }

    /// The settings of an enrolled Rack.
    pub(crate) fn rack(&self, ca: &Ca, rack: &str, key: &BusKey) -> Settings {
        let grants = Grants::of_rack(&name(rack), &wires()).unwrap();
        let now = self.world.clock.unix_ms() / 1_000;
        let jwt = self.server.issuer().user(rack, &key.public(), &grants, now, Some(now + 3_600)).unwrap();
        let mut settings = Settings::new(vec![self.server.url()]);
        settings.credentials = Credentials::Jwt(key.credentials(&jwt));
        settings.inbox_prefix = Some(grants.inbox);
        settings.tls = Some(Tls { roots: ca.roots(), identity: Some(ca.issue(rack, 30)) });
        settings.request_deadline = Duration::from_secs(3);
        settings
    }

    /// Streams and consumers of both Racks, as a Mixer makes them.
    pub(crate) async fn furnish(&self, bus: &NatsBus) {
        for wire in wires() {
            let (stream, packs) = (wire.stream().unwrap(), Pattern::from(&wire.packs()));
            bus.make_stream(StreamConfig::new(stream.clone(), vec![packs.clone()], Retention::Queue))
                .await
                .unwrap();
            bus.make_consumer(stream, ConsumerConfig::new(wire.consumer(), packs)).await.unwrap();
        }
    }
}

/// A client that is not ours and tells every error of the server.
pub(crate) async fn raw(settings: &Settings) -> (Client, mpsc::UnboundedReceiver<String>) {
    let (errors, heard) = mpsc::unbounded_channel();
    let Credentials::Jwt(text) = &settings.credentials else { panic!("a JWT") };
    let tls = settings.tls.as_ref().unwrap();
    let (certificate, key) = tls.identity.clone().unwrap();
    let client = ConnectOptions::with_credentials(text)
        .unwrap()
        .require_tls(true)
        .add_root_certificates(tls.roots.clone())
        .add_client_certificate(certificate, key)
        .event_callback(move |event| {
            if let Event::ServerError(error) = event {
                let _ = errors.send(error.to_string());
            }
            async {}
        })
        .connect(settings.servers[0].as_str())
        .await
        .unwrap();
    (client, heard)
}
