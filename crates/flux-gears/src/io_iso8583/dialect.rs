//! ISO 8583 links: a frame is a header and something that should look like a message.

use std::sync::Arc;

use flux_gear::{Bytes, GearContext, Lease, Metadata};
use flux_iso8583::{FrameEncoding, Spec, sniff};
use flux_pool::PeerHandle;

use super::{
    header::{Header, hex},
    network_management,
};
use crate::endpoint::{Conn, ConnIds, Dialect, Received};

/// What a gear makes of its frames.
pub(super) struct Iso8583 {
    pub(super) ctx: GearContext,
    pub(super) ids: Arc<ConnIds>,
    pub(super) reading: Reading,
}

/// How frames are read, as configured.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) header: Header,
    pub(super) encoding: FrameEncoding,
    pub(super) must_look_right: bool,
    /// The spec by which network management is answered here, if it is.
    pub(super) answers_by: Option<Arc<Spec>>,
    pub(super) logs_frames: bool,
}

impl Dialect for Iso8583 {
    fn greet(&self, _: &PeerHandle) -> (String, Option<Lease>) {
        (self.ids.next(), None)
    }

    fn read(&self, conn: &Conn, frame: Bytes, unix_ns: i64) -> Received {
        let Reading { header, encoding, must_look_right, answers_by, logs_frames } = &self.reading;
        if *logs_frames {
            tracing::trace!(gear = self.ctx.name(), conn = %conn.id, frame = hex(&frame), "frame received");
        }
        // A frame of nothing is how many links say that they are alive.
        if frame.is_empty() {
            return Received::Handled;
        }
        let mut message = frame;
        let head = match header.split_off(&mut message) {
            Ok(head) => head,
            Err(why) => return Received::Malformed(why),
        };
        if message.is_empty() {
            return Received::Malformed("the frame has a header and no message");
        }
        let looks = if *must_look_right || answers_by.is_some() { sniff(&message, *encoding) } else { None };
        match (looks, answers_by) {
            (None, _) if *must_look_right => {
                return Received::Malformed(unlike(&message));
            }
            (Some(mti), Some(spec)) if network_management::is_request(&mti) => {
                if self.answer(conn, spec, &head, message.clone()) {
                    return Received::Handled;
                }
            }
            (None | Some(_), _) => {}
        }
        Received::Message(self.ctx.arrival(message, self.metadata(conn, &head), unix_ns))
    }
}

/// Why a frame is refused that is no message in the encoding of this link.
#[cold]
pub(super) fn unlike(message: &[u8]) -> &'static str {
    let is_in = |(_, encoding): &(&str, FrameEncoding)| sniff(message, *encoding).is_some();
    match FrameEncoding::NAMES.into_iter().find(is_in) {
        Some((_, FrameEncoding::Ascii)) => "the frame looks like a message of another `encoding`: ascii",
        Some((_, FrameEncoding::Ebcdic)) => "the frame looks like a message of another `encoding`: ebcdic",
        Some((_, FrameEncoding::Bcd)) => "the frame looks like a message of another `encoding`: bcd",
        None => "the frame does not look like a message",
    }
}

impl Iso8583 {
    /// Whether the request was answered; one that cannot be is a message like others.
    fn answer(&self, conn: &Conn, spec: &Arc<Spec>, head: &[u8], request: Bytes) -> bool {
        let answer = network_management::answer(spec, request);
        let refused = match answer.map(|message| self.reading.header.framed(Some(head), true, &message)) {
            Ok(Ok(frame)) => conn.peer.try_send(frame).err().map(|why| why.to_string()),
            Ok(Err(fault)) => Some(fault.to_string()),
            Err(why) => Some(why.to_string()),
        };
        match &refused {
            None => tracing::debug!(gear = self.ctx.name(), conn = %conn.id, "network management answered"),
            Some(why) => {
                tracing::warn!(gear = self.ctx.name(), conn = %conn.id, why, "cannot answer network management, passed on");
            }
        }
        refused.is_none()
    }

    /// The metadata of a message with this header. Most frames of a connection have the same one.
    fn metadata(&self, conn: &Conn, head: &Bytes) -> Metadata {
        if head.is_empty() {
            return conn.metadata.clone();
        }
        let mut last = conn.last_header.lock();
        if let Some((_, metadata)) = last.as_ref().filter(|(former, _)| former == head) {
            return metadata.clone();
        }
        let mut metadata = conn.metadata.clone();
        self.reading.header.describe(head, &mut metadata);
        // A copy, so that the buffer the frame lies in is not kept for it.
        *last = Some((Bytes::copy_from_slice(head), metadata.clone()));
        metadata
    }
}
