//! The flat text context of a message: few entries, in canonical key order, shared until edited.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{
    Text,
    value::{canonical, later_wins},
};

/// Names of the metadata that the engine and its gears write.
pub mod keys {
    /// The connection a message came in by; a reply with it goes back there.
    pub const CONN_ID: &str = "conn.id";
    /// Address of the remote peer.
    pub const PEER_IP: &str = "peer.ip";
    /// Port of the remote peer.
    pub const PEER_PORT: &str = "peer.port";
    /// Name of the gear that brought the message in.
    pub const SOURCE: &str = "flux.source";
    /// Why a message is on an error port, as one stable word.
    pub const ERROR_REASON: &str = "error.reason";
    /// What went wrong, in words, without payload.
    pub const ERROR_MESSAGE: &str = "error.message";
    /// Name of the gear that failed.
    pub const ERROR_GEAR: &str = "error.gear";
    /// How often the message was tried before it was replayed.
    pub const ERROR_ATTEMPTS: &str = "error.attempts";
    /// When it was first given up, in nanoseconds since the Unix epoch, on a message that was replayed.
    pub const ERROR_FIRST: &str = "error.first";
}

/// Text by name. Clones in `O(1)`; the first edit of a shared one copies it.
#[derive(Clone, Default, PartialEq)]
pub struct Metadata(
    /// `None` when there are no entries, and only then.
    Option<Arc<Entries>>,
);

type Entries = SmallVec<[(Text, Text); 4]>;

impl Metadata {
    /// No entries.
    pub fn new() -> Metadata {
        Metadata::default()
    }

    /// The text under `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        let entries = self.0.as_deref()?;
        find(entries, key).ok().map(|i| entries[i].1.as_str())
    }

    /// Puts `value` under `key`.
    pub fn set(&mut self, key: &str, value: impl Into<Text>) {
        let entries = Arc::make_mut(self.0.get_or_insert_default());
        match find(entries, key) {
            Ok(i) => entries[i].1 = value.into(),
            Err(i) => entries.insert(i, (key.into(), value.into())),
        }
    }

    /// Takes out what is under `key`; returns whether something was there.
    pub fn delete(&mut self, key: &str) -> bool {
        let Some(at) = self.0.as_deref().and_then(|entries| find(entries, key).ok()) else { return false };
        Arc::make_mut(self.0.get_or_insert_default()).remove(at);
        if self.is_empty() {
            self.0 = None;
        }
        true
    }

    /// The entries in canonical order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0
            .as_deref()
            .map(|entries| entries.as_slice())
            .unwrap_or_default()
            .iter()
            .map(|(k, v)| (&**k, &**v))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.as_deref().map_or(0, |entries| entries.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of keys and values.
    pub fn weight_bytes(&self) -> usize {
        self.iter().map(|(k, v)| k.len() + v.len()).sum()
    }
}

fn find(entries: &Entries, key: &str) -> Result<usize, usize> {
    entries.binary_search_by(|(k, _)| canonical(k, key))
}

impl<K: Into<Text>, V: Into<Text>> FromIterator<(K, V)> for Metadata {
    /// Sorts once: `O(n log n)`. Of two entries with one key the later wins.
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Metadata {
        let mut entries: Entries = entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        entries.sort_by(|(a, _), (b, _)| canonical(a, b));
        entries.dedup_by(later_wins);
        Metadata((!entries.is_empty()).then(|| Arc::new(entries)))
    }
}

impl std::fmt::Debug for Metadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keys only: a value may be card data.
        f.debug_set().entries(self.iter().map(|(k, _)| k)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_canonical_order_and_an_edit_does_not_reach_a_clone() {
        let mut a: Metadata = [("peer.ip", "::1"), ("conn.id", "c1")].into_iter().collect();
        let b = a.clone();
        a.set("b", "x");
        assert!(a.delete("peer.ip"));
        assert!(!a.delete("peer.ip"));
        assert_eq!(a.iter().collect::<Vec<_>>(), [("b", "x"), ("conn.id", "c1")]);
        assert_eq!(b.iter().collect::<Vec<_>>(), [("conn.id", "c1"), ("peer.ip", "::1")]);
    }
}
