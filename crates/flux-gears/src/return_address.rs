//! Where an answer goes: metadata that belongs together.

use flux_gear::{Metadata, keys};

/// What the I/O gears say of the connection that a message came by.
const KEYS: [&str; 4] = [keys::CONN_ID, keys::PEER_IP, keys::PEER_PORT, keys::SOURCE];

/// Copies the return address from one message's metadata into another's which may have another.
pub(crate) fn copy(from: &Metadata, to: &mut Metadata) {
    for key in KEYS {
        match from.get(key) {
            Some(value) => to.set(key, value),
            None => {
                to.delete(key);
            }
        }
    }
}

/// The return address alone.
pub(crate) fn of(metadata: &Metadata) -> Metadata {
    let mut address = Metadata::new();
    copy(metadata, &mut address);
    address
}
