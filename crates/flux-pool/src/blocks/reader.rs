//! Frames from the link to the inbox, one batch per read.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use flux_world::{Clock, Instant};
use tokio_util::sync::CancellationToken;

use super::heartbeat::Heartbeat;
use crate::inbox::{Batch, InboxSender};
use crate::reason::CloseReason;
use crate::transport::FrameRead;

/// Reads and delivers until the link ends, something is wrong, or `stopping` is cancelled, and tells which.
///
/// What was read is delivered first, also when the read ended with an error; cancelling takes effect between batches.
/// With a `frame_timeout`, a frame that has begun must end within it.
pub async fn run(
    read: &mut dyn FrameRead,
    inbox: &InboxSender,
    heartbeat: &Heartbeat,
    clock: Clock,
    frame_timeout: Option<Duration>,
    stopping: CancellationToken,
) -> CloseReason {
    let mut stopped = pin!(stopping.cancelled());
    let mut batch = Batch { received_at: clock.now(), seq: 0, frames: Vec::new() };
    let mut frame_deadline: Option<Instant> = None;
    loop {
        let next = poll_fn(|cx| read.poll_read(cx, &mut batch.frames));
        let next = async {
            match frame_deadline {
                None => next.await,
                Some(deadline) => {
                    clock.timeout_at(deadline, next).await.unwrap_or(Err(CloseReason::ReadTimeout))
                }
            }
        };
        let outcome = tokio::select! {
            biased;
            () = &mut stopped => return CloseReason::Local,
            outcome = next => outcome,
        };
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
            heartbeat.set_deaf(true);
            let delivered = inbox.deliver(&mut batch).await;
            heartbeat.set_deaf(false);
            heartbeat.restart(clock.now());
            if let Err(reason) = delivered {
                return reason;
            }
        }
        if let Err(reason) = outcome {
            return reason;
        }
    }
}
