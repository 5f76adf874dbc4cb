//! The suite of all buses, on each server, and across a leaf node.

use std::sync::Arc;
use std::time::Duration;

use flux_bus::Bus;
use flux_bus::conformance::{self, Site};
use flux_nats::NatsBus;
use flux_world::{Clock, World};

use crate::server::{Server, Version, free_port, is_up};

/// A bus on a server, or by way of another one.
struct OnServer {
    server: Server,
    _leaf: Option<Server>,
    bus: Arc<NatsBus>,
}

impl Site for OnServer {
    fn bus(&self) -> Arc<dyn Bus> {
        self.bus.clone()
    }

    fn clock(&self) -> Clock {
        World::real().clock
    }

    /// The bus stays: it connects again by itself.
    async fn restart(&mut self) {
        self.server.kill();
        self.server.begin();
        is_up(&self.bus).await;
    }
}

async fn on(version: Version) {
    let Some(program) = version.program() else { return };
    let server = Server::start(program, None, "");
    let bus = server.bus(server.settings()).await;
    conformance::check(&mut OnServer { server, _leaf: None, bus }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_newest_server() {
    on(Version::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_an_old_server() {
    on(Version::Old).await;
}

/// The streams are the hub's; the bus is on a leaf node, which has a JetStream of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_leaf_node_in_the_domain_of_its_hub() {
    let Some(program) = Version::Newest.program() else { return };
    let port = free_port();
    let server =
        Server::start(program.clone(), Some("hub"), &format!("leafnodes {{ listen: 127.0.0.1:{port} }}"));
    let remote =
        format!("leafnodes {{ reconnect: 1s, remotes: [ {{ url: \"nats://127.0.0.1:{port}\" }} ] }}");
    let leaf = Server::start(program, Some("leaf"), &remote);
    let mut settings = leaf.settings();
    settings.domain = Some("hub".parse().unwrap());
    settings.verify_every = Duration::from_millis(200);
    let bus = leaf.bus(settings).await;
    conformance::check(&mut OnServer { server, _leaf: Some(leaf), bus }).await;
}
