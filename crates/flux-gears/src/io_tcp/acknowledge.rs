//! Acknowledgements on a connection: a server says of each message, in their order, that it is safe; a client keeps what
//! it sent until the server has said so.
//!
//! ```text
//! client ----------- message 1, message 2, message 3 ----------> server
//!        <---- one frame for each that came to its end, in order ----
//! ```
//!
//! A message has come to its end when it is on disk in a durable wire, was accepted by a sink, or is a dead letter. What
//! was sent and not acknowledged when a connection ends is sent again by the next one: at least once.

use std::{collections::VecDeque, sync::Arc};

use flux_gear::{Bytes, FluxMsg, Held, Lease, LeaseEnd};
use flux_pool::{CloseReason, PeerHandle};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

/// The server's side: what the messages of each connection have come to.
pub(super) struct Acknowledging {
    text: Bytes,
    by_conn: RwLock<FxHashMap<Box<str>, Arc<Pending>>>,
    /// Rings when a connection has nothing any more that is not acknowledged.
    changed: Arc<Notify>,
}

/// The messages of one connection that have not been acknowledged.
struct Pending {
    text: Bytes,
    peer: PeerHandle,
    state: Mutex<PendingState>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct PendingState {
    /// Number of the first of them.
    first: u64,
    /// Whether each has come to its end.
    is_safe: VecDeque<bool>,
}

impl Acknowledging {
    pub(super) fn new(text: Bytes) -> Acknowledging {
        Acknowledging { text, by_conn: RwLock::default(), changed: Arc::default() }
    }

    pub(super) fn up(&self, conn_id: &str, peer: &PeerHandle) {
        let (text, peer, changed) = (self.text.clone(), peer.clone(), self.changed.clone());
        let pending = Arc::new(Pending { text, peer, state: Mutex::default(), changed });
        self.by_conn.write().insert(conn_id.into(), pending);
    }

    pub(super) fn down(&self, conn_id: &str) {
        self.by_conn.write().remove(conn_id);
        self.changed.notify_waiters();
    }

    /// Whether every message of a connection is acknowledged.
    pub(super) fn is_settled(&self, conn_id: &str) -> bool {
        self.by_conn.read().get(conn_id).is_none_or(|pending| pending.state.lock().is_safe.is_empty())
    }

    /// Ends when every message is acknowledged.
    pub(super) async fn settled(self: Arc<Acknowledging>) {
        loop {
            let changed = self.changed.notified();
            if self.by_conn.read().values().all(|pending| pending.state.lock().is_safe.is_empty()) {
                return;
            }
            changed.await;
        }
    }

    /// Acknowledges this message once it has come to its end.
    pub(super) fn track(&self, conn_id: &str, msg: &mut FluxMsg) {
        let Some(pending) = self.by_conn.read().get(conn_id).cloned() else { return };
        let number = pending.begin();
        msg.attach_lease(Lease::new(move |end| pending.end(number, end)));
    }
}

impl Pending {
    fn begin(&self) -> u64 {
        let mut state = self.state.lock();
        if state.is_safe.is_empty() {
            // It may be as silent as it likes until it has its acknowledgement.
            self.peer.excuse(true);
        }
        state.is_safe.push_back(false);
        state.first + state.is_safe.len() as u64 - 1
    }

    fn end(&self, number: u64, end: LeaseEnd) {
        if end != LeaseEnd::Settled {
            // Nothing after it can be acknowledged either: the client is to send again from there.
            self.peer.disconnect(CloseReason::Protocol("a message was given up".into()));
            return;
        }
        let mut state = self.state.lock();
        let at = number - state.first;
        if let Some(is_safe) = usize::try_from(at).ok().and_then(|at| state.is_safe.get_mut(at)) {
            *is_safe = true;
        }
        while state.is_safe.front() == Some(&true) {
            state.is_safe.pop_front();
            state.first += 1;
            if self.peer.try_send(self.text.clone()).is_err() {
                // Gone, or it does not read what it asked for.
                self.peer.disconnect(CloseReason::SlowConsumer);
            }
        }
        if state.is_safe.is_empty() {
            self.peer.excuse(false);
            self.changed.notify_waiters();
        }
    }
}

/// The client's side: what was accepted and not acknowledged, in order.
pub(super) struct Unacknowledged {
    state: Mutex<UnacknowledgedState>,
    /// Rings when something was acknowledged, and when the connection is gone.
    changed: Notify,
}

#[derive(Default)]
struct UnacknowledgedState {
    messages: VecDeque<Held>,
    messages_max: usize,
    /// How many of them were sent by the connection that is up.
    sent: usize,
    peer: Option<PeerHandle>,
    /// Whether another connection is to take the place of the one there is: nothing more is sent by that.
    is_parting: bool,
    /// Whether what is left is to be given back: nothing more is sent at all.
    is_over: bool,
}

impl Unacknowledged {
    pub(super) fn new(messages_max: usize) -> Unacknowledged {
        let state = UnacknowledgedState { messages_max, ..UnacknowledgedState::default() };
        Unacknowledged { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Keeps so many from now on; what is kept already stays.
    pub(super) fn resize(&self, messages_max: usize) {
        self.state.lock().messages_max = messages_max;
        self.changed.notify_waiters();
    }

    /// Keeps a message and sends it, by the next connection if none is up. Gives it back while there is no room.
    pub(super) fn try_send(&self, msg: FluxMsg) -> Result<(), FluxMsg> {
        let mut state = self.state.lock();
        if state.messages.len() >= state.messages_max {
            return Err(msg);
        }
        state.messages.push_back(Held::new(msg));
        state.send();
        Ok(())
    }

    /// The same, waiting for room. Who breaks off the wait has the message still.
    pub(super) async fn send(&self, mut msg: FluxMsg) {
        loop {
            let changed = self.changed.notified();
            match self.try_send(msg) {
                Ok(()) => return,
                Err(back) => msg = back,
            }
            changed.await;
        }
    }

    pub(super) fn up(&self, peer: &PeerHandle) {
        let mut state = self.state.lock();
        state.sent = 0;
        state.peer = Some(peer.clone());
        state.send();
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state.lock().peer.is_some()
    }

    pub(super) fn down(&self) {
        self.state.lock().peer = None;
        self.changed.notify_waiters();
    }

    /// The server acknowledged the oldest. False where nothing was sent that it could mean.
    pub(super) fn acknowledge(&self) -> bool {
        let mut state = self.state.lock();
        if state.sent == 0 {
            return false;
        }
        state.sent -= 1;
        let oldest = state.messages.pop_front();
        state.send();
        drop(state);
        if let Some(oldest) = oldest {
            oldest.end();
        }
        self.changed.notify_waiters();
        true
    }

    /// Sends nothing more by the connection there is. Ends when all that was sent by it is acknowledged, or it is gone.
    pub(super) fn part(self: Arc<Unacknowledged>) -> impl Future<Output = ()> {
        self.state.lock().is_parting = true;
        async move { self.until(|state| state.sent == 0 || state.peer.is_none()).await }
    }

    pub(super) fn is_parting(&self) -> bool {
        self.state.lock().is_parting
    }

    /// Sends by the connection that comes next.
    pub(super) fn meet(&self) {
        let mut state = self.state.lock();
        state.is_parting = false;
        state.send();
    }

    /// Sends again, although it was settled.
    pub(super) fn reopen(&self) {
        let mut state = self.state.lock();
        state.is_over = false;
        state.send();
    }

    /// Whether everything is acknowledged, and the connection is to stay.
    pub(super) fn may_move(&self) -> bool {
        let state = self.state.lock();
        state.messages.is_empty() && !state.is_parting
    }

    /// Ends when everything is acknowledged, and when nobody is there to do that: what is left is to be given back, so that
    /// whoever waits for it delivers it again, and nobody who comes now gets it as well.
    pub(super) async fn settled(self: Arc<Unacknowledged>) {
        let is_settled = |state: &mut UnacknowledgedState| {
            state.is_over |= state.peer.is_none() && !state.messages.is_empty();
            state.is_over || state.messages.is_empty()
        };
        self.until(is_settled).await;
    }

    /// Gives back what is not acknowledged, and says how much of it nobody delivers again.
    pub(super) fn give_back(&self) -> u64 {
        let left = std::mem::take(&mut self.state.lock().messages);
        let lost = left.iter().filter(|held| held.msg().lease().is_none()).count();
        left.into_iter().for_each(Held::give_back);
        lost as u64
    }

    async fn until(&self, is_so: impl Fn(&mut UnacknowledgedState) -> bool) {
        loop {
            let changed = self.changed.notified();
            if is_so(&mut self.state.lock()) {
                return;
            }
            changed.await;
        }
    }
}

impl UnacknowledgedState {
    /// Sends what was not, as far as the queue of the peer has room.
    fn send(&mut self) {
        let Some(peer) = self.peer.as_ref().filter(|_| !self.is_parting && !self.is_over) else { return };
        while let Some(next) = self.messages.get(self.sent) {
            if peer.try_send(next.msg().payload.clone()).is_err() {
                return;
            }
            self.sent += 1;
        }
    }
}
