//! Messages accepted for a peer that is not there yet: bounded, in order, never dropped.

use std::collections::VecDeque;

use flux_gear::{Fault, FluxMsg, Held};
use flux_pool::PeerHandle;

use super::send::try_send;

/// Bytes of payload kept waiting at most, whatever their number.
pub(crate) const WAITING_BYTES_MAX: usize = 16 << 20;

/// The messages that wait.
#[derive(Default)]
pub(crate) struct WaitingRoom {
    messages: VecDeque<Held>,
    bytes: usize,
    messages_max: usize,
    is_closed: bool,
}

impl WaitingRoom {
    /// Room for so many messages.
    pub(crate) fn new(messages_max: usize) -> WaitingRoom {
        WaitingRoom { messages_max, ..WaitingRoom::default() }
    }

    /// Room for so many from now on. Those it holds stay.
    pub(crate) fn resize(&mut self, messages_max: usize) {
        self.messages_max = messages_max;
    }

    /// Keeps a message. When there is no room the message fails, so that nothing is lost in silence.
    pub(crate) fn keep(&mut self, msg: &FluxMsg) -> Result<(), Fault> {
        if self.is_closed || self.messages_max == 0 {
            return Err(super::not_now(msg, "nobody is connected"));
        }
        let bytes = self.bytes + msg.payload.len();
        if self.messages.len() >= self.messages_max || bytes > WAITING_BYTES_MAX {
            let kept = self.messages.len();
            let why = format!("nobody is connected and {kept} messages wait");
            return Err(super::not_now(msg, &why).reason("buffer_full"));
        }
        self.messages.push_back(Held::new(msg.clone()));
        self.bytes = bytes;
        Ok(())
    }

    /// Queues what waits for a peer, oldest first, as far as its queue has room.
    pub(crate) fn empty_into(&mut self, peer: &PeerHandle) {
        while let Some(held) = self.messages.front() {
            let bytes = held.msg().payload.len();
            if try_send(peer, held.msg().payload.clone(), held.msg()).is_err() {
                return;
            }
            self.bytes -= bytes;
            drop(self.messages.pop_front().map(Held::release));
        }
    }

    /// Keeps no more, and gives up what waits.
    pub(crate) fn close(&mut self) -> Vec<Held> {
        self.is_closed = true;
        self.bytes = 0;
        self.messages.drain(..).collect()
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}
