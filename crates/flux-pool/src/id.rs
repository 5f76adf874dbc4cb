//! The name of a peer, which is not its address.

use std::borrow::Borrow;
use std::fmt;

use compact_str::CompactString;

/// The name a peer is known by in its pool: chosen by whoever dials it, generated (`c-000000000001`) for an accepted one.
///
/// Up to 24 bytes are kept in place, so that a clone allocates nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(CompactString);

impl PeerId {
    /// The id of the `n`-th connection a pool accepts.
    pub(crate) fn accepted(n: u64) -> Self {
        Self(compact_str::format_compact!("c-{n:012}"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PeerId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<String> for PeerId {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

impl Borrow<str> for PeerId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
