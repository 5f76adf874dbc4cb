//! A managed server with a CA of its own, and everything two Racks need of it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use flux_bus::{Bus, ConsumerConfig, Grants, MeshWire, Name, Pattern, Retention, StreamConfig};
use flux_nats::server::{ManagedServer, Program, Seeds, ServerConfig, ServerTls};
use flux_nats::{BusKey, Credentials, NatsBus, Settings, Tls};
use flux_world::World;
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::ca::Ca;
use crate::server::{Version, free_port};

const SEEDS: Seeds = Seeds { operator: [1; 32], account: [2; 32], system: [3; 32] };

/// A server with a CA, streams for two Racks and a wire from north to south.
pub(crate) struct House {
    pub(crate) directory: TempDir,
    pub(crate) server: ManagedServer,
    pub(crate) world: World,
    /// Port for leaf nodes.
    pub(crate) leaf: u16,
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
        let jwt = self.server.users().user(rack, &key.public(), &grants, now, Some(now + 3_600)).unwrap();
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
