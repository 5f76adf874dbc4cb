//! One direction of a simulated connection: bytes under way, and the two ends that hold it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio::io::ReadBuf;
use tokio::time::Sleep;

use super::network::Network;
use crate::Instant;

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) from: String,
    pub(super) to: String,
    connection: u64,
    under_way: VecDeque<Parcel>,
    buffered_bytes: usize,
    busy_until: Instant,
    arrives_last: Instant,
    /// Everything written is lost without a word, as on a link somebody unplugged.
    pub(super) is_lossy: bool,
    is_reset: bool,
    has_ended: bool,
    is_reader_gone: bool,
    is_writer_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What travels, and when it arrives; no content is the end of the stream.
#[derive(Debug)]
struct Parcel {
    at: Instant,
    content: Option<Bytes>,
}

impl Lane {
    pub(super) fn new(from: &str, to: &str, connection: u64, now: Instant) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            connection,
            under_way: VecDeque::new(),
            buffered_bytes: 0,
            busy_until: now,
            arrives_last: now,
            is_lossy: false,
            is_reset: false,
            has_ended: false,
            is_reader_gone: false,
            is_writer_gone: false,
            reader: None,
            writer: None,
        }
    }

    pub(super) fn joins(&self, a: &str, b: &str) -> bool {
        (self.from == a && self.to == b) || (self.from == b && self.to == a)
    }

    /// Both ends get "connection reset" from now on.
    pub(super) fn reset(&mut self) {
        self.is_reset = true;
        self.under_way.clear();
        self.wake();
    }

    pub(super) fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    fn name(&self) -> String {
        format!("#{} {}>{}", self.connection, self.from, self.to)
    }
}

/// The receiving end.
#[derive(Debug)]
pub(crate) struct SimRead {
    network: Arc<Mutex<Network>>,
    lane: u64,
    arrival: Option<Pin<Box<Sleep>>>,
}

/// The sending end.
#[derive(Debug)]
pub(crate) struct SimWrite {
    network: Arc<Mutex<Network>>,
    lane: u64,
}

impl SimRead {
    pub(super) fn new(network: Arc<Mutex<Network>>, lane: u64) -> Self {
        Self { network, lane, arrival: None }
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(arrives_at) = self.try_read(cx, buf)? else { return Poll::Ready(Ok(())) };
            let Some(at) = arrives_at else { return Poll::Pending };
            let mut arrival = Box::pin(tokio::time::sleep_until(at));
            if arrival.as_mut().poll(cx).is_pending() {
                self.arrival = Some(arrival);
                return Poll::Pending;
            }
        }
    }

    /// `None` when something was read or the stream ended; else when to look again, if that is known.
    fn try_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> io::Result<Option<Option<Instant>>> {
        let mut network = self.network.lock();
        let now = network.clock.now();
        let network = &mut *network;
        let lane = network.lanes.get_mut(&self.lane).expect("a lane lives while one of its ends does");
        if lane.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        lane.reader = Some(cx.waker().clone());
        let is_parted = network.parted.contains(&super::network::pair(&lane.from, &lane.to));
        let Some(parcel) = lane.under_way.front_mut().filter(|_| !is_parted) else { return Ok(Some(None)) };
        if parcel.at > now {
            return Ok(Some(Some(parcel.at)));
        }
        let Some(content) = &mut parcel.content else { return Ok(None) };
        let taken = content.len().min(buf.remaining());
        buf.put_slice(&content[..taken]);
        content.advance(taken);
        if content.is_empty() {
            lane.under_way.pop_front();
        }
        lane.buffered_bytes -= taken;
        if let Some(writer) = lane.writer.take() {
            writer.wake();
        }
        network.trace.note(&format!("{} {taken} bytes arrive", lane.name()));
        Ok(None)
    }
}

impl SimWrite {
    pub(super) fn new(network: Arc<Mutex<Network>>, lane: u64) -> Self {
        Self { network, lane }
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut network = self.network.lock();
        let network = &mut *network;
        let lane = network.lanes.get_mut(&self.lane).expect("a lane lives while one of its ends does");
        if lane.is_reset || lane.is_reader_gone {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if lane.has_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let key = super::network::pair(&lane.from, &lane.to);
        let link = network.links.get(&key).copied().unwrap_or(network.default_link);
        let room = link.buffer_bytes_max.saturating_sub(lane.buffered_bytes);
        if room == 0 {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let content = gather(slices, room);
        let taken = content.len();
        lane.buffered_bytes += taken;
        if !lane.is_lossy {
            let sent_at = link.sent_at(network.clock.now(), lane.busy_until, taken);
            lane.busy_until = sent_at;
            lane.send(sent_at + link.latency(&network.entropy), Some(content));
        }
        network.trace.note(&format!("{} {taken} bytes leave", lane.name()));
        Poll::Ready(Ok(taken))
    }

    /// Ends the stream: the peer reads what is under way, then its end.
    pub(crate) fn shutdown(&mut self) -> io::Result<()> {
        let mut network = self.network.lock();
        let network = &mut *network;
        let Some(lane) = network.lanes.get_mut(&self.lane) else { return Ok(()) };
        if lane.has_ended || lane.is_reset {
            return Ok(());
        }
        lane.has_ended = true;
        if !lane.is_lossy {
            let key = super::network::pair(&lane.from, &lane.to);
            let link = network.links.get(&key).copied().unwrap_or(network.default_link);
            lane.send(network.clock.now() + link.latency(&network.entropy), None);
        }
        network.trace.note(&format!("{} ends", lane.name()));
        Ok(())
    }
}

impl Lane {
    fn send(&mut self, at: Instant, content: Option<Bytes>) {
        // Each write has its own latency, but none overtakes another.
        self.arrives_last = self.arrives_last.max(at);
        self.under_way.push_back(Parcel { at: self.arrives_last, content });
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

fn gather(slices: &[IoSlice<'_>], bytes_max: usize) -> Bytes {
    let mut gathered = Vec::new();
    for slice in slices {
        let room = bytes_max - gathered.len();
        gathered.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    gathered.into()
}

impl Drop for SimRead {
    fn drop(&mut self) {
        let mut network = self.network.lock();
        if let Some(lane) = network.lanes.get_mut(&self.lane) {
            lane.is_reader_gone = true;
            lane.wake();
            if lane.is_writer_gone {
                network.lanes.remove(&self.lane);
            }
        }
    }
}

impl Drop for SimWrite {
    fn drop(&mut self) {
        // Like a socket's: dropping the sending half tells the peer that no more comes.
        let _ = self.shutdown();
        let mut network = self.network.lock();
        if let Some(lane) = network.lanes.get_mut(&self.lane) {
            lane.is_writer_gone = true;
            if lane.is_reader_gone {
                network.lanes.remove(&self.lane);
            }
        }
    }
}
