//! Frames as both ends of a line have them: two bytes that say how long a message is, then the message.

use bytes::{Buf, BytesMut};
use flux_world::net::ReadHalf;

/// The bytes before each message.
const LENGTH_BYTES: usize = 2;

/// What comes by a connection, frame by frame.
pub(super) struct Frames {
    read: ReadHalf,
    received: BytesMut,
}

impl Frames {
    pub(super) fn of(read: ReadHalf) -> Frames {
        Frames { read, received: BytesMut::new() }
    }

    /// The next message; none when the connection ends. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<BytesMut> {
        loop {
            if let Some(length) = self.received.first_chunk::<LENGTH_BYTES>() {
                let end = LENGTH_BYTES + usize::from(u16::from_be_bytes(*length));
                if self.received.len() >= end {
                    let mut frame = self.received.split_to(end);
                    frame.advance(LENGTH_BYTES);
                    return Some(frame);
                }
            }
            if !matches!(self.read.read(&mut self.received).await, Ok(1..)) {
                return None;
            }
        }
    }
}

/// A message as a frame.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("messages of a simulation are short");
    [&length.to_be_bytes(), message].concat()
}
