//! Frames from the link to the inbox, one batch per read.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use flux_world::{Clock, Instant};

use super::halt::Halt;
use super::heartbeat::Heartbeat;
use crate::inbox::{Batch, InboxSender};
use crate::reason::CloseReason;
use crate::transport::FrameRead;

/// Reads and delivers until the link ends, something is wrong, or a halt is ordered, and tells which.
///
/// What was read is delivered first, also when the read ended with an error; a halt takes effect between batches.
/// With a `frame_timeout`, a frame that has begun must end within it.
pub async fn run(
    read: &mut dyn FrameRead,
    inbox: &InboxSender,
    heartbeat: &Heartbeat,
    clock: Clock,
    frame_timeout: Option<Duration>,
    halt: &Halt,
) -> CloseReason {
    let mut batch = Batch { received_at: clock.now(), seq: 0, frames: Vec::new() };
    let mut frame_deadline: Option<Instant> = None;
    let _reading = halt.reading();
    loop {
        let next = halt.unless(|cx| read.poll_read(cx, &mut batch.frames));
        let next = match frame_deadline {
            None => next.await,
            Some(deadline) => {
                clock.timeout_at(deadline, next).await.unwrap_or(Some(Err(CloseReason::ReadTimeout)))
            }
        };
        let Some(outcome) = next else { return CloseReason::Local };
        let now = clock.now();
        if outcome.is_ok() {
            heartbeat.beat(now);
        }
        if !read.is_within_frame() {
            frame_deadline = None;
        } else if frame_deadline.is_none() || !batch.frames.is_empty() {
            frame_deadline = frame_timeout.map(|timeout| now + timeout);
        }
        if !batch.frames.is_empty() {
            batch.received_at = now;
            if let Err(reason) = deliver(inbox, &mut batch, heartbeat, clock).await {
                return reason;
            }
        }
        if let Err(reason) = outcome {
            return reason;
        }
    }
}

/// Delivers a batch. While the consumer makes us wait we hear nothing, and silence is not the peer's.
async fn deliver(
    inbox: &InboxSender,
    batch: &mut Batch,
    heartbeat: &Heartbeat,
    clock: Clock,
) -> Result<(), CloseReason> {
    let mut delivery = pin!(inbox.deliver(batch));
    if let Poll::Ready(delivered) = poll_fn(|cx| Poll::Ready(delivery.as_mut().poll(cx))).await {
        return delivered;
    }
    heartbeat.set_deaf(true);
    let delivered = delivery.await;
    heartbeat.set_deaf(false);
    heartbeat.restart(clock.now());
    delivered
}
