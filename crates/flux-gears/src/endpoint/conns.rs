//! The connections that are up, by `conn.id` and by peer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use flux_gear::{Bytes, FluxMsg, GearContext, Lease, Metadata};
use flux_pool::{PeerHandle, PeerId};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;

/// One session of a peer, from up to down.
pub(crate) struct Conn {
    /// Its `conn.id`.
    pub(crate) id: Box<str>,
    /// The peer.
    pub(crate) peer: PeerHandle,
    /// The metadata of everything that comes in by it.
    pub(crate) metadata: Metadata,
    /// On which everything that comes in by it is, when somebody waits for the end of all of it.
    pub(crate) lease: Option<Lease>,
    /// For a dialect that adds what a header says: the last header, and the metadata that came of it.
    pub(crate) last_header: Mutex<Option<(Bytes, Metadata)>>,
    /// Whether it is being closed for a malformed frame.
    pub(crate) is_condemned: AtomicBool,
    /// Emptied messages of the last read: their room is used again.
    buffer: Mutex<Vec<FluxMsg>>,
}

impl Conn {
    pub(crate) fn new(id: String, peer: &PeerHandle, metadata: Metadata, lease: Option<Lease>) -> Conn {
        Conn {
            id: id.into(),
            peer: peer.clone(),
            metadata,
            lease,
            last_header: Mutex::default(),
            is_condemned: AtomicBool::new(false),
            buffer: Mutex::default(),
        }
    }

    pub(super) fn take_buffer(&self) -> Vec<FluxMsg> {
        std::mem::take(&mut *self.buffer.lock())
    }

    pub(super) fn return_buffer(&self, emptied: Vec<FluxMsg>) {
        *self.buffer.lock() = emptied;
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Conns(RwLock<Maps>);

#[derive(Default)]
struct Maps {
    by_peer: FxHashMap<PeerId, Arc<Conn>>,
    by_id: FxHashMap<Box<str>, Arc<Conn>>,
    /// In the order they came up.
    up: Vec<Arc<Conn>>,
}

impl Conns {
    pub(super) fn insert(&self, conn: Arc<Conn>) {
        let mut maps = self.0.write();
        maps.by_peer.insert(conn.peer.id().clone(), conn.clone());
        maps.by_id.insert(conn.id.clone(), conn.clone());
        maps.up.push(conn);
    }

    pub(super) fn remove(&self, peer: &PeerId) -> Option<Arc<Conn>> {
        let mut maps = self.0.write();
        let conn = maps.by_peer.remove(peer)?;
        maps.by_id.remove(&conn.id);
        maps.up.retain(|other| !Arc::ptr_eq(other, &conn));
        Some(conn)
    }

    pub(super) fn of_peer(&self, peer: &PeerId) -> Option<Arc<Conn>> {
        self.0.read().by_peer.get(peer).cloned()
    }

    /// Does something quick with the connection of that id; `None` when it is not up.
    pub(crate) fn with<T>(&self, conn_id: &str, act: impl FnOnce(&Conn) -> T) -> Option<T> {
        self.0.read().by_id.get(conn_id).map(|conn| act(conn))
    }

    /// Does something quick with all connections, in the order they came up.
    pub(crate) fn among<T>(&self, act: impl FnOnce(&[Arc<Conn>]) -> T) -> T {
        act(&self.0.read().up)
    }
}

/// Makes the ids of a gear's connections: `<gear>:<start>-<n>`, which no other gear makes, nor the same gear after a
/// restart. A reply that is late can therefore not reach a stranger.
pub(crate) struct ConnIds {
    gear: String,
    start: u64,
    next: AtomicU64,
}

impl ConnIds {
    /// For one running gear.
    pub(crate) fn new(ctx: &GearContext) -> ConnIds {
        ConnIds { gear: ctx.name().into(), start: ctx.world().clock.unix_ms(), next: AtomicU64::new(1) }
    }

    /// A new one.
    pub(crate) fn next(&self) -> String {
        format!("{}:{:x}-{}", self.gear, self.start, self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether the id belongs to a connection of this gear, up or gone.
    pub(crate) fn is_own(&self, conn_id: &str) -> bool {
        conn_id.strip_prefix(self.gear.as_str()).is_some_and(|rest| rest.starts_with(':'))
    }
}
