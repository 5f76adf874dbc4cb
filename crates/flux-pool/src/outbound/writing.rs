//! The writer's side of the outbound queue.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::MutexGuard;

use super::{Entry, Follower, Outbound, Phase, State, release};

/// What there is for the writer to do.
#[derive(Debug)]
pub enum Work<'a> {
    /// Ask the peer this; `None` is the transport's own ping.
    Probe(Option<Bytes>),
    /// Write these.
    Frames(InFlight<'a>),
    /// Everything is written and nothing more will come.
    Drained,
}

/// Frames taken from the queue to be written. They still count against its limits.
///
/// What has not been settled when this is dropped goes back to the front of the queue.
#[derive(Debug)]
pub struct InFlight<'a> {
    outbound: &'a Outbound,
    entries: VecDeque<Entry>,
    is_settled: bool,
}

impl Outbound {
    /// Waits for something to do. Cancel-safe.
    pub async fn work(&self) -> Work<'_> {
        poll_fn(|cx| self.poll_work(cx)).await
    }

    fn poll_work(&self, cx: &mut Context<'_>) -> Poll<Work<'_>> {
        let mut state = self.state.lock();
        if let Some(probe) = state.probe.take() {
            return Poll::Ready(Work::Probe(probe));
        }
        match state.phase {
            Phase::Draining if state.queue.is_empty() => Poll::Ready(Work::Drained),
            Phase::Up | Phase::Draining if !state.queue.is_empty() => {
                let entries = std::mem::take(&mut state.queue);
                Poll::Ready(Work::Frames(InFlight { outbound: self, entries, is_settled: false }))
            }
            Phase::Up | Phase::Draining | Phase::Down | Phase::Closed => {
                state.idle_writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl InFlight<'_> {
    /// The frames, in order.
    pub fn frames(&self) -> impl Iterator<Item = &Bytes> {
        self.entries.iter().map(|entry| &entry.frame)
    }

    /// The fates of the first frames: `true` was written whole, `false` cannot be encoded and is dropped.
    ///
    /// The others go back to the front of the queue; without the first of them if `is_next_partial`, which says that
    /// the peer got a part of it.
    pub fn settle(&mut self, fates: &[bool], is_next_partial: bool) {
        let outbound = self.outbound;
        let mut state = outbound.state.lock();
        let settled = fates.len().min(self.entries.len());
        let mut written = Vec::new();
        for (mut entry, is_written) in self.entries.drain(..settled).zip(fates) {
            if !is_written {
                state.lose(entry);
                continue;
            }
            state.forget(&entry);
            state.written += 1;
            state.written_bytes += entry.frame.len() as u64;
            if let Some(queued_at) = entry.queued_at {
                state.latency.record(outbound.clock.now().saturating_duration_since(queued_at));
            }
            written.extend(entry.follower.take());
        }
        if is_next_partial && let Some(partial) = self.entries.pop_front() {
            state.lose(partial);
        }
        self.put_back(state);
        written.into_iter().for_each(|follower: Box<dyn Follower>| follower.written());
    }

    fn put_back(&mut self, mut state: MutexGuard<'_, State>) {
        self.is_settled = true;
        while let Some(entry) = self.entries.pop_back() {
            state.queue.push_front(entry);
        }
        match state.phase {
            Phase::Up | Phase::Draining => {}
            Phase::Down => state.apply(self.outbound.config.when_down, self.outbound.clock.now()),
            Phase::Closed => state.retain(|_| false),
        }
        if state.queue.is_empty() {
            state.is_overflowing = false;
            if state.queue.capacity() == 0 {
                // The emptied queue goes back, so that its memory is used again.
                std::mem::swap(&mut state.queue, &mut self.entries);
            }
        }
        let bytes = state.bytes;
        state.share.shrink_to(bytes);
        release(state);
        self.outbound.room.made();
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.put_back(self.outbound.state.lock());
        }
    }
}
