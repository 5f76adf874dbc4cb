//! The merged inbox: peers with something to take stand in a ring and are served one batch each in turn.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Batch;
use crate::peer::PeerHandle;

/// The ring, shared by the lanes and the one who takes.
#[derive(Default)]
pub(crate) struct Merge {
    ring: Mutex<VecDeque<PeerHandle>>,
    news: Notify,
    /// Nobody takes any more.
    is_closed: AtomicBool,
    /// Nothing will be put any more.
    has_ended: AtomicBool,
}

/// The receiving end of a pool without a direct consumer: the batches of all peers, fairly merged.
#[derive(Debug)]
pub struct Inbox {
    merge: Arc<Merge>,
}

pub(crate) fn inbox() -> (Arc<Merge>, Inbox) {
    let merge = Arc::new(Merge::default());
    (merge.clone(), Inbox { merge })
}

impl Inbox {
    /// The next batch and whose it is; `None` when the pool is closed and everything was taken. Cancel-safe.
    ///
    /// A peer with much to say gets one batch, then all others with anything to say get theirs.
    pub async fn recv(&mut self) -> Option<(PeerHandle, Batch)> {
        loop {
            if let Some(received) = self.try_recv() {
                return Some(received);
            }
            if self.merge.has_ended.load(Ordering::Acquire) {
                return self.try_recv();
            }
            self.merge.news.notified().await;
        }
    }

    /// The next batch, if one is there.
    pub fn try_recv(&mut self) -> Option<(PeerHandle, Batch)> {
        loop {
            let peer = self.merge.ring.lock().pop_front()?;
            // A lane can be in the ring and empty when its oldest frames were dropped.
            let Some((batch, has_more)) = peer.core().lane().take() else { continue };
            if has_more {
                self.merge.ring.lock().push_back(peer.clone());
            }
            return Some((peer, batch));
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.merge.is_closed.store(true, Ordering::Release);
        let abandoned = std::mem::take(&mut *self.merge.ring.lock());
        abandoned.iter().for_each(|peer| peer.core().lane().clear());
    }
}

impl Merge {
    pub(super) fn ready(&self, peer: PeerHandle) {
        self.ring.lock().push_back(peer);
        self.news.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// The last session ended.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.news.notify_one();
    }
}

impl fmt::Debug for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge").field("ready", &self.ring.lock().len()).finish()
    }
}
