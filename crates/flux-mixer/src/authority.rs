//! What a Mixer needs of whoever decides who has a word on the bus: a port, for a server that only a binary names.

use std::collections::BTreeMap;
use std::fmt;

use flux_bus::{Answer, Error, Grants, Name};

/// Makes bus identities, and makes them void.
pub trait Authority: Send + Sync + fmt::Debug {
    /// What a Rack shows that has the key: what it may, and until when, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key is none.
    fn issue(&self, rack: &Name, key: &str, grants: &Grants, expires_unix_ms: u64) -> Result<String, Error>;

    /// Whether it can make void what it issued. Where it cannot, an identity is good until it expires.
    fn may_revoke(&self) -> bool;

    /// Has everything refused that was issued to these keys until then, in seconds since 1970, what is connected by it closed,
    /// and what was refused before and is not among them accepted again.
    fn revoke(&self, revoked: BTreeMap<String, u64>) -> Answer<'_, ()>;
}
