//! Handing a frame to a peer, and a message that found none back to the error port.

use flux_gear::{Bytes, EmitError, Emitter, Fault, FaultClass, FluxMsg, GearContext, Held, Step, keys};
use flux_pool::{CloseReason, Follower, PeerHandle, SendError, TrySendError};

use super::wait;

/// What `error.reason` says of a message for a connection that is not there.
pub(crate) const NO_CONNECTION: &str = "no_connection";

/// What it says of one for a peer that does not read.
const SLOW_PEER: &str = "slow_peer";

/// Keeps the lease of a message that is on its way to a peer: it ends well when the operating system has the message, and
/// the message is given back when the connection is lost before.
#[derive(Debug)]
struct OnItsWay(Option<Held>);

impl OnItsWay {
    fn of(msg: &FluxMsg) -> Box<OnItsWay> {
        Box::new(OnItsWay(Some(Held::new(msg.clone()))))
    }
}

impl Follower for OnItsWay {
    fn written(mut self: Box<Self>) {
        self.0.take().into_iter().for_each(Held::end);
    }

    fn refused(mut self: Box<Self>) {
        // Whoever sends it has it still.
        drop(self.0.take().map(Held::release));
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Held::give_back);
    }
}

/// Queues a frame made of a message. The lease of that, if there is one, ends when the frame is written.
pub(super) fn try_send(peer: &PeerHandle, frame: Bytes, msg: &FluxMsg) -> Result<(), TrySendError> {
    match msg.lease() {
        Some(_) => peer.try_send_followed(frame, OnItsWay::of(msg)),
        None => peer.try_send(frame),
    }
}

/// Queues a frame for a peer. While the queue is full the step waits, for the peer's `write_timeout` at most.
pub(crate) fn send(peer: &PeerHandle, frame: Bytes, msg: &FluxMsg) -> Result<Step, Fault> {
    match try_send(peer, frame, msg) {
        Ok(()) => Ok(Step::Done),
        Err(TrySendError::Full(frame)) => {
            let (peer, msg) = (peer.clone(), msg.clone());
            Ok(wait(async move { send_when_there_is_room(&peer, frame, &msg).await }))
        }
        Err(why) => Err(refused(why, msg)),
    }
}

/// Queues a frame for a peer, waiting for room.
pub(super) async fn send_when_there_is_room(
    peer: &PeerHandle,
    frame: Bytes,
    msg: &FluxMsg,
) -> Result<(), Fault> {
    let sent = match msg.lease() {
        Some(_) => peer.send_followed(frame, OnItsWay::of(msg)).await,
        None => peer.send(frame).await,
    };
    match sent {
        Ok(()) => Ok(()),
        Err(SendError::NotQueued(why)) => Err(refused(why, msg)),
        Err(SendError::TimedOut(_) | SendError::NotWritten) => {
            // Whoever takes nothing for so long would only delay the others again.
            peer.disconnect(CloseReason::SlowConsumer);
            Err(not_now(msg, "the peer does not take what is sent").reason(SLOW_PEER))
        }
    }
}

fn refused(why: TrySendError, msg: &FluxMsg) -> Fault {
    match why {
        TrySendError::TooLarge(frame) => {
            Fault::invalid(format!("a frame of {} bytes is over the limit", frame.len()))
                .reason("frame_too_large")
        }
        TrySendError::Full(_) | TrySendError::Dropped | TrySendError::Overflowed => {
            not_now(msg, "the queue of the peer is full").reason(SLOW_PEER)
        }
        TrySendError::Disconnected(_) | TrySendError::Closed(_) => not_now(msg, "the connection is gone"),
    }
}

/// The message cannot be sent now, for nobody is there to take it. What a durable wire keeps waits for that; anything
/// else is refused at once, since whoever sent it may wait for an answer.
#[cold]
pub(crate) fn not_now(msg: &FluxMsg, what: &str) -> Fault {
    let class = if msg.is_patient() { FaultClass::Transient } else { FaultClass::Invalid };
    Fault::new(class, what).reason(NO_CONNECTION)
}

/// The message can never be sent: whom it was for is gone.
#[cold]
pub(crate) fn no_connection(what: &str) -> Fault {
    Fault::invalid(what).reason(NO_CONNECTION)
}

/// Emits at the error port what was accepted and cannot be sent after all; waits while its wire is full. When the
/// rack accepts nothing any more, says so in the log and abandons the leases.
pub(crate) async fn send_back(ctx: &GearContext, emit: &Emitter, messages: Vec<Held>, why: &str) {
    let Ok(port) = ctx.output("error") else { return };
    if messages.is_empty() {
        return;
    }
    tracing::warn!(gear = ctx.name(), messages = messages.len(), why, "messages cannot be sent");
    let mut back: Vec<FluxMsg> =
        messages.into_iter().map(|held| addressed(held.release(), ctx, why)).collect();
    while let Err(refused) = emit.emit_all(port, &mut back).await {
        match refused {
            EmitError::Limit(limit) => {
                // It passed the limits on its way in; only the two words just added can have put it over.
                tracing::error!(gear = ctx.name(), id = %back[0].id, %limit, "message lost");
                drop(Held::new(back.remove(0)));
            }
            EmitError::Stopping => {
                tracing::error!(gear = ctx.name(), messages = back.len(), "messages left unsent");
                return back.into_iter().for_each(|msg| drop(Held::new(msg)));
            }
        }
    }
}

fn addressed(mut msg: FluxMsg, ctx: &GearContext, why: &str) -> FluxMsg {
    msg.metadata.set(keys::ERROR_GEAR, ctx.name());
    msg.metadata.set(keys::ERROR_REASON, NO_CONNECTION);
    msg.metadata.set(keys::ERROR_MESSAGE, why);
    msg
}
