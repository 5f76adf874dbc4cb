//! Waits for whatever ends a session from our side: an order, or silence.

use flux_world::World;

use super::keepalive;
use crate::control::Stop;
use crate::peer::PeerHandle;
use crate::reason::CloseReason;

/// Why the session should end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The peer is to be stopped for good.
    Stop(Stop),
    /// This session is to be closed.
    Close(CloseReason),
}

/// Returns the first cause to end session number `session`. Cancel-safe.
pub async fn run(peer: &PeerHandle, session: u64, world: &World) -> Cause {
    let config = peer.config();
    let heartbeat = peer.core().heartbeat();
    tokio::select! {
        biased;
        stop = peer.control().stopped() => Cause::Stop(stop),
        reason = peer.control().disconnected(session) => Cause::Close(reason),
        () = keepalive::silence(world, heartbeat, config.idle_timeout) => Cause::Close(CloseReason::Idle),
        () = keepalive::unanswered(world, heartbeat, peer.outbound(), config.probe.as_ref()) => {
            Cause::Close(CloseReason::Idle)
        }
    }
}
