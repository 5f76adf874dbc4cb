//! Who has a word on the bus, decided by way of the server we run.

use std::collections::BTreeMap;
use std::sync::Arc;

use flux_bus::{Answer, Error, Grants, Name};
use flux_mixer::Authority;
use flux_nats::server::ManagedServer;
use flux_world::Clock;

/// The server, and where Racks find it.
#[derive(Debug)]
pub(crate) struct NatsAuthority {
    pub(crate) server: Arc<ManagedServer>,
    pub(crate) urls: Vec<String>,
    pub(crate) clock: Clock,
}

impl Authority for NatsAuthority {
    fn urls(&self) -> Vec<String> {
        self.urls.clone()
    }

    fn issue(&self, rack: &Name, key: &str, grants: &Grants, expires_unix_ms: u64) -> Result<String, Error> {
        let now = self.clock.unix_ms() / 1_000;
        self.server.issuer().user(rack.as_str(), key, grants, now, Some(expires_unix_ms / 1_000))
    }

    fn revoke(&self, revoked: BTreeMap<String, u64>) -> Answer<'_, ()> {
        Box::pin(self.server.revoke(revoked))
    }
}
