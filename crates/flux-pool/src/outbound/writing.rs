//! The writer's side of the outbound queue.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Entry, Outbound, Phase};

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
/// Whatever has not been reported written when this is dropped goes back to the front of the queue, except a frame
/// which the peer got a part of.
#[derive(Debug)]
pub struct InFlight<'a> {
    outbound: &'a Outbound,
    entries: VecDeque<Entry>,
    /// Frames at the front of which the fate is known.
    settled: usize,
    is_first_partial: bool,
}

impl Outbound {
    /// Waits for something to do. Cancel-safe.
    pub async fn work(&self) -> Work<'_> {
        loop {
            if let Some(work) = self.try_work() {
                return work;
            }
            self.work.notified().await;
        }
    }

    fn try_work(&self) -> Option<Work<'_>> {
        let mut state = self.state.lock();
        if let Some(probe) = state.probe.take() {
            return Some(Work::Probe(probe));
        }
        match state.phase {
            Phase::Down | Phase::Closed => None,
            Phase::Draining if state.queue.is_empty() => Some(Work::Drained),
            Phase::Up if state.queue.is_empty() => None,
            Phase::Up | Phase::Draining => {
                let entries = std::mem::take(&mut state.queue);
                Some(Work::Frames(InFlight { outbound: self, entries, settled: 0, is_first_partial: false }))
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
    /// `is_next_partial` says that the peer got a part of the one after them.
    pub fn settle(&mut self, fates: &[bool], is_next_partial: bool) {
        let now = self.outbound.clock.now();
        let mut state = self.outbound.state.lock();
        for (entry, is_written) in self.entries.iter_mut().zip(fates).skip(self.settled) {
            state.forget(entry);
            if !is_written {
                state.dropped += 1;
                entry.confirm = None;
                continue;
            }
            state.written += 1;
            state.written_bytes += entry.frame.len() as u64;
            if let Some(queued_at) = entry.queued_at {
                state.latency.record(now.saturating_duration_since(queued_at));
            }
            if let Some(confirm) = entry.confirm.take() {
                // Nobody waiting for the confirmation any more is fine.
                let _ = confirm.send(());
            }
        }
        self.settled = self.settled.max(fates.len().min(self.entries.len()));
        self.is_first_partial = is_next_partial;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let outbound = self.outbound;
        let mut state = outbound.state.lock();
        self.entries.drain(..self.settled);
        if self.is_first_partial
            && let Some(partial) = self.entries.pop_front()
        {
            state.forget(&partial);
            state.dropped += 1;
        }
        while let Some(entry) = self.entries.pop_back() {
            state.queue.push_front(entry);
        }
        match state.phase {
            Phase::Up | Phase::Draining => {}
            Phase::Down => state.apply(outbound.config.when_down, outbound.clock.now()),
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
        drop(state);
        outbound.room.made();
    }
}
