//! TCP as an I/O gear speaks it: a frame is a message, as it is.

use std::sync::Arc;

use flux_gear::{Bytes, GearContext, Lease};
use flux_pool::PeerHandle;
use parking_lot::Mutex;

use super::upstreams::Upstreams;
use crate::endpoint::{Conn, ConnIds, Dialect, Received, WaitingRoom};

/// What becomes of connections and frames in each way of running.
pub(super) enum Tcp {
    /// We listen; what waits for somebody to connect goes to the first who does.
    Server { ctx: GearContext, ids: Arc<ConnIds>, room: Arc<Mutex<WaitingRoom>> },
    /// We connect, and whoever sends to us shares the connections.
    Shared { ctx: GearContext, ids: Arc<ConnIds>, reads_responses: bool },
    /// We connect once for each connection of others.
    PerSource { ctx: GearContext, upstreams: Arc<Upstreams>, reads_responses: bool },
}

impl Dialect for Tcp {
    fn greet(&self, peer: &PeerHandle) -> (String, Option<Lease>) {
        match self {
            Tcp::Server { ids, .. } | Tcp::Shared { ids, .. } => (ids.next(), None),
            // Named after its source by whoever dialled it.
            Tcp::PerSource { upstreams, .. } => {
                let source = peer.id().as_str().to_owned();
                (source.clone(), Some(upstreams.lease(source)))
            }
        }
    }

    fn read(&self, conn: &Conn, frame: Bytes, unix_ns: i64) -> Received {
        match self {
            Tcp::Server { ctx, .. }
            | Tcp::Shared { ctx, reads_responses: true, .. }
            | Tcp::PerSource { ctx, reads_responses: true, .. } => {
                Received::Message(ctx.arrival(frame, conn.metadata.clone(), unix_ns))
            }
            Tcp::Shared { reads_responses: false, .. } | Tcp::PerSource { reads_responses: false, .. } => {
                Received::Handled
            }
        }
    }

    fn up(&self, conn: &Conn) {
        match self {
            Tcp::Server { room, .. } => room.lock().empty_into(&conn.peer),
            Tcp::Shared { .. } => {}
            Tcp::PerSource { upstreams, .. } => upstreams.opened(&conn.id),
        }
    }

    fn down(&self, conn: &Conn) {
        match self {
            Tcp::Server { .. } | Tcp::Shared { .. } => {}
            Tcp::PerSource { upstreams, .. } => upstreams.closed(&conn.peer),
        }
    }

    fn gone_elsewhere(&self, conn_id: &str) {
        if let Tcp::PerSource { upstreams, .. } = self {
            upstreams.source_gone(conn_id);
        }
    }

    fn events_missed(&self) {
        if let Tcp::PerSource { upstreams, .. } = self {
            upstreams.look_for_lost_sources();
        }
    }
}
