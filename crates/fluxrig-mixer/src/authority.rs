//! Who has a word on the bus: decided by way of the server we run, or signed with a key of an account that somebody else has.

use std::collections::BTreeMap;
use std::sync::Arc;

use flux_bus::{Answer, Error, Grants, Name};
use flux_mixer::Authority;
use flux_nats::server::{AccountKey, ManagedServer};
use flux_world::Clock;

/// The server that we run.
#[derive(Debug)]
pub(crate) struct NatsAuthority {
    pub(crate) server: Arc<ManagedServer>,
    pub(crate) clock: Clock,
}

/// A key of the account, and no word with the servers.
#[derive(Debug)]
pub(crate) struct KeyAuthority {
    pub(crate) key: AccountKey,
    pub(crate) clock: Clock,
}

impl Authority for NatsAuthority {
    fn issue(&self, rack: &Name, key: &str, grants: &Grants, expires_unix_ms: u64) -> Result<String, Error> {
        issue(self.server.users(), self.clock, (rack, key), grants, expires_unix_ms)
    }

    fn may_revoke(&self) -> bool {
        true
    }

    fn revoke(&self, revoked: BTreeMap<String, u64>) -> Answer<'_, ()> {
        Box::pin(self.server.revoke(revoked))
    }
}

impl Authority for KeyAuthority {
    fn issue(&self, rack: &Name, key: &str, grants: &Grants, expires_unix_ms: u64) -> Result<String, Error> {
        issue(&self.key, self.clock, (rack, key), grants, expires_unix_ms)
    }

    fn may_revoke(&self) -> bool {
        false
    }

    fn revoke(&self, _: BTreeMap<String, u64>) -> Answer<'_, ()> {
        let why = "only the operator of the bus makes void what its account signed";
        Box::pin(std::future::ready(Err(Error::Denied(why.into()))))
    }
}

fn issue(
    by: &AccountKey,
    clock: Clock,
    (rack, key): (&Name, &str),
    grants: &Grants,
    expires_unix_ms: u64,
) -> Result<String, Error> {
    by.user(rack.as_str(), key, grants, clock.unix_ms() / 1_000, Some(expires_unix_ms / 1_000))
}
