//! Frames from the queue to the link: everything queued goes out in one batch.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use flux_world::Clock;

use crate::outbound::{InFlight, Outbound, Work};
use crate::reason::CloseReason;
use crate::transport::FrameWrite;

/// Writes until the queue is drained (`None`) or writing fails.
pub async fn run(
    write: &mut dyn FrameWrite,
    outbound: &Outbound,
    clock: Clock,
    write_timeout: Duration,
) -> Option<CloseReason> {
    let mut fates = Vec::new();
    loop {
        match outbound.work().await {
            Work::Drained => return None,
            Work::Probe(question) => {
                write.begin();
                match &question {
                    // A question that cannot be framed asks nothing; the silence that follows is told as such.
                    Some(frame) => drop(write.load(frame)),
                    None => write.load_ping(),
                }
                if let Err(reason) = flush(write, clock, write_timeout).await {
                    return Some(reason);
                }
            }
            Work::Frames(in_flight) => {
                if let Err(reason) = write_all(write, in_flight, clock, write_timeout, &mut fates).await {
                    return Some(reason);
                }
            }
        }
    }
}

async fn write_all(
    write: &mut dyn FrameWrite,
    in_flight: InFlight<'_>,
    clock: Clock,
    write_timeout: Duration,
    fates: &mut Vec<bool>,
) -> Result<(), CloseReason> {
    write.begin();
    fates.clear();
    fates.extend(in_flight.frames().map(|frame| write.load(frame).is_ok()));
    let writing = Writing { write, in_flight, fates };
    flush(writing.write, clock, write_timeout).await
}

/// A batch being written. However it ends, also by being broken off, what became of each frame is settled.
struct Writing<'a> {
    write: &'a mut dyn FrameWrite,
    in_flight: InFlight<'a>,
    fates: &'a [bool],
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let known = known_fates(self.fates, self.write.frames_written());
        self.in_flight.settle(&self.fates[..known], self.write.is_within_frame());
    }
}

/// How many of the first frames have a known fate when `written` of the encoded ones were written whole.
fn known_fates(fates: &[bool], written: usize) -> usize {
    let mut encoded = 0;
    fates
        .iter()
        .position(|is_encoded| {
            encoded += usize::from(*is_encoded);
            encoded > written
        })
        .unwrap_or(fates.len())
}

async fn flush(write: &mut dyn FrameWrite, clock: Clock, timeout: Duration) -> Result<(), CloseReason> {
    // Most batches find room in the socket at once: no timer is made for those.
    let written = match poll_fn(|cx| Poll::Ready(write.poll_write(cx))).await {
        Poll::Ready(written) => Ok(written),
        Poll::Pending => clock.timeout(timeout, poll_fn(|cx| write.poll_write(cx))).await,
    };
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(CloseReason::from_io(&error)),
        Err(_) => Err(CloseReason::WriteTimeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates_are_known_up_to_the_first_unwritten_frame() {
        assert_eq!(known_fates(&[true, true, true], 2), 2);
        assert_eq!(known_fates(&[true, false, true], 1), 2);
        assert_eq!(known_fates(&[false, true], 0), 1);
        assert_eq!(known_fates(&[true, false], 1), 2);
        assert_eq!(known_fates(&[], 0), 0);
    }
}
