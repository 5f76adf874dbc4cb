//! What happened to peers, told to whoever listens; nobody waits for those who do not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flux_world::Instant;
use tokio::sync::broadcast;

use crate::id::PeerId;
use crate::reason::{CloseReason, DialError};
use crate::state::LinkInfo;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// What.
    pub kind: EventKind,
}

/// What happened. For each peer `Connected` and `Disconnected` strictly alternate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A session opened.
    Connected {
        /// Whose.
        peer: PeerId,
        /// Its two ends.
        link: LinkInfo,
    },
    /// The session ended.
    Disconnected {
        /// Whose.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// An attempt failed; one event per attempt. An attempt we broke off ourselves did not fail.
    DialFailed {
        /// Whose.
        peer: PeerId,
        /// How.
        error: DialError,
    },
    /// The peer left the pool on its own: given up, or an accepted connection that ended.
    Retired {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// A queue of the peer ran full. Told once, and again only after it ran empty in between.
    Overflowing {
        /// Whose.
        peer: PeerId,
        /// Which of its two queues.
        queue: Queue,
    },
    /// A listener closes connections above its limit. Told at once, then at most every 10 s.
    Refusing {
        /// The listener.
        local: SocketAddr,
    },
    /// A listener could not accept and tries again. Told at once, then at most every 10 s.
    AcceptFailed {
        /// The listener.
        local: SocketAddr,
        /// What the operating system says.
        error: Arc<str>,
    },
}

/// One of a peer's two queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Frames to be written.
    Outbound,
    /// Frames to be taken.
    Inbound,
}

/// Tells events; never waits.
#[derive(Clone, Debug)]
pub struct EventSender {
    sender: broadcast::Sender<Event>,
    lagged: Arc<AtomicU64>,
}

impl EventSender {
    pub(crate) fn new(events_max: usize) -> Self {
        Self { sender: broadcast::channel(events_max).0, lagged: Arc::default() }
    }

    /// Tells `kind` to those who listen now.
    pub fn emit(&self, at: Instant, kind: EventKind) {
        // Nobody listening is not an error.
        let _ = self.sender.send(Event { at, kind });
    }

    pub(crate) fn subscribe(&self) -> Events {
        Events { receiver: self.sender.subscribe(), lagged: self.lagged.clone() }
    }

    /// Events that subscribers lost because they were slow.
    pub(crate) fn lagged(&self) -> u64 {
        self.lagged.load(Ordering::Relaxed)
    }
}

/// A subscription: the events from now on. A slow reader loses the oldest, counted, and can look at the state of the
/// peers instead.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
    lagged: Arc<AtomicU64>,
}

impl Events {
    /// The next event; `None` when the pool is gone. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(lost)) => self.count(lost),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The next event, if one is there.
    pub fn try_recv(&mut self) -> Option<Event> {
        loop {
            match self.receiver.try_recv() {
                Ok(event) => return Some(event),
                Err(broadcast::error::TryRecvError::Lagged(lost)) => self.count(lost),
                Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => {
                    return None;
                }
            }
        }
    }

    fn count(&self, lost: u64) {
        self.lagged.fetch_add(lost, Ordering::Relaxed);
    }
}
