//! TCP as an I/O gear speaks it: a frame is a message, as it is.

use std::sync::Arc;

use flux_gear::{Bytes, Drain, GearContext, Held, Lease};
use flux_pool::{CloseReport, PeerHandle, PeerPool};
use flux_world::Stream;
use parking_lot::Mutex;

use super::{
    acknowledge::{Acknowledging, Unacknowledged},
    upstreams::Upstreams,
};
use crate::endpoint::{Conn, ConnIds, Dialect, Received, WaitingRoom, in_hand};

/// What becomes of connections and frames in each way of running.
pub(super) enum Tcp {
    /// We listen; what waits for somebody to connect goes to the first who does.
    Server {
        ctx: GearContext,
        ids: Arc<ConnIds>,
        room: Arc<Mutex<WaitingRoom>>,
        acknowledging: Option<Arc<Acknowledging>>,
    },
    /// We connect, and whoever sends to us shares the connections.
    Shared { ctx: GearContext, ids: Arc<ConnIds>, reads_responses: bool },
    /// We connect once, and keep what we send until it is acknowledged.
    Acknowledged { ids: Arc<ConnIds>, unacknowledged: Arc<Unacknowledged> },
    /// We connect once for each connection of others.
    PerSource { ctx: GearContext, upstreams: Arc<Upstreams>, reads_responses: bool },
}

impl Dialect for Tcp {
    fn greet(&self, peer: &PeerHandle) -> (String, Option<Lease>) {
        match self {
            Tcp::Server { ids, .. } | Tcp::Shared { ids, .. } | Tcp::Acknowledged { ids, .. } => {
                (ids.next(), None)
            }
            // Named after its source by whoever dialled it.
            Tcp::PerSource { upstreams, .. } => {
                let source = peer.id().as_str().to_owned();
                (source.clone(), Some(upstreams.lease(source)))
            }
        }
    }

    fn read(&self, conn: &Conn, frame: Bytes, unix_ns: i64) -> Received {
        match self {
            Tcp::Server { ctx, acknowledging, .. } => {
                let mut msg = ctx.arrival(frame, conn.metadata.clone(), unix_ns);
                if let Some(acknowledging) = acknowledging {
                    acknowledging.track(&conn.id, &mut msg);
                }
                Received::Message(msg)
            }
            Tcp::Acknowledged { unacknowledged, .. } if unacknowledged.acknowledge() => Received::Handled,
            Tcp::Acknowledged { .. } => Received::Malformed("an acknowledgement of nothing"),
            Tcp::Shared { ctx, reads_responses: true, .. }
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
            Tcp::Server { room, acknowledging, .. } => {
                if let Some(acknowledging) = acknowledging {
                    acknowledging.up(&conn.id, &conn.peer);
                }
                room.lock().empty_into(&conn.peer);
            }
            Tcp::Shared { .. } => {}
            Tcp::Acknowledged { unacknowledged, .. } => unacknowledged.up(&conn.peer),
            Tcp::PerSource { upstreams, .. } => upstreams.opened(&conn.id),
        }
    }

    fn down(&self, conn: &Conn) {
        match self {
            Tcp::Server { acknowledging, .. } => {
                if let Some(acknowledging) = acknowledging {
                    acknowledging.down(&conn.id);
                }
            }
            Tcp::Shared { .. } => {}
            Tcp::Acknowledged { unacknowledged, .. } => unacknowledged.down(),
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

    fn settled(&self) -> Drain {
        match self {
            Tcp::Server { acknowledging: Some(acknowledging), .. } => {
                Box::pin(acknowledging.clone().settled())
            }
            Tcp::Acknowledged { unacknowledged, .. } => Box::pin(unacknowledged.clone().settled()),
            Tcp::PerSource { upstreams, .. } => Box::pin(upstreams.clone().settled()),
            Tcp::Server { acknowledging: None, .. } | Tcp::Shared { .. } => Box::pin(async {}),
        }
    }

    fn part(&self) -> Drain {
        match self {
            Tcp::Acknowledged { unacknowledged, .. } => Box::pin(unacknowledged.clone().part()),
            Tcp::Server { .. } | Tcp::Shared { .. } | Tcp::PerSource { .. } => Box::pin(async {}),
        }
    }

    fn is_parting(&self) -> bool {
        matches!(self, Tcp::Acknowledged { unacknowledged, .. } if unacknowledged.is_parting())
    }

    fn meet(&self) {
        if let Tcp::Acknowledged { unacknowledged, .. } = self {
            unacknowledged.meet();
        }
    }

    fn reopen(&self) {
        if let Tcp::Acknowledged { unacknowledged, .. } = self {
            unacknowledged.reopen();
        }
    }

    fn lost(&self, report: &CloseReport) -> [(&'static str, u64); 2] {
        match self {
            // A frame that came in is no message, and one that was not written is kept.
            Tcp::Acknowledged { unacknowledged, .. } => {
                [("unacknowledged", unacknowledged.give_back()), ("unread", 0)]
            }
            // Nor is what came in acknowledged: the client sends it again.
            Tcp::Server { acknowledging: Some(_), .. } => {
                [("unwritten", report.frames_dropped), ("unread", 0)]
            }
            Tcp::Server { acknowledging: None, .. } | Tcp::Shared { .. } | Tcp::PerSource { .. } => {
                in_hand(report)
            }
        }
    }

    fn may_move(&self, conn: &Conn) -> bool {
        match self {
            Tcp::Server { acknowledging: Some(acknowledging), .. } => acknowledging.is_settled(&conn.id),
            Tcp::Acknowledged { unacknowledged, .. } => unacknowledged.may_move(),
            Tcp::Server { acknowledging: None, .. } | Tcp::Shared { .. } | Tcp::PerSource { .. } => true,
        }
    }

    fn take_waiting(&self) -> Vec<Held> {
        match self {
            Tcp::Server { room, .. } => room.lock().close(),
            Tcp::PerSource { upstreams, .. } => upstreams.take_waiting(),
            Tcp::Shared { .. } | Tcp::Acknowledged { .. } => Vec::new(),
        }
    }

    fn resume(&self, peer: &str, stream: Stream, pool: &PeerPool) {
        if let Tcp::PerSource { upstreams, .. } = self {
            upstreams.resume(peer, stream, pool);
        }
    }
}
