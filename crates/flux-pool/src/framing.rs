//! The seam between bytes and frames, and the framings that come with the pool.
//!
//! | framing | on the wire |
//! |---|---|
//! | [`Raw`] | frames are whatever one read returns |
//! | [`Delimited`] | `frame delimiter frame delimiter`, or the delimiter in front |
//! | [`LengthPrefixed`] | `length frame length frame`, the length in 1, 2 or 4 bytes of either byte order |
//!
//! A gear with a protocol of its own implements [`Framing`]. Each session has its own decoder and encoder, so they may
//! keep state. How the bytes were cut into reads must not matter: any split of a stream gives the same frames.

mod delimited;
mod length;
mod raw;

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::write_batch::WriteBatch;

pub use delimited::{Delimited, Position};
pub use length::{ByteOrder, LengthPrefixed, Width};
pub use raw::Raw;

/// Makes the decoder and the encoder of each session.
pub trait Framing: Send + Sync + fmt::Debug {
    /// What cuts a session's incoming bytes into frames.
    fn decoder(&self) -> Box<dyn Decoder>;

    /// What turns a session's outgoing frames into bytes.
    fn encoder(&self) -> Box<dyn Encoder>;

    /// The largest frame, in bytes, either way. A decoder refuses a larger one as soon as it can know.
    fn frame_bytes_max(&self) -> usize;
}

/// Cuts incoming bytes into frames.
pub trait Decoder: Send {
    /// Moves every whole frame from the front of `buffer` to the end of `frames`, without copying.
    ///
    /// What remains in `buffer` is the beginning of the next frame. On an error the frames before it are in `frames`.
    fn decode(&mut self, buffer: &mut BytesMut, frames: &mut Vec<Bytes>) -> Result<(), FramingError>;

    /// The stream ended and `buffer` is what was left of it: an error unless that is nothing, or a frame by itself.
    fn finish(&mut self, buffer: &mut BytesMut, frames: &mut Vec<Bytes>) -> Result<(), FramingError> {
        let _ = frames;
        match buffer.len() {
            0 => Ok(()),
            bytes => Err(FramingError::Truncated { bytes }),
        }
    }
}

/// Turns outgoing frames into bytes.
pub trait Encoder: Send {
    /// Appends `frame` as it goes over the wire. On an error nothing may have been appended.
    fn encode(&mut self, frame: &Bytes, out: &mut WriteBatch) -> Result<(), FramingError>;
}

/// Why bytes make no frame, or a frame no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// The frame is larger than allowed.
    #[error("a frame exceeds the limit of {limit} bytes")]
    TooLarge {
        /// The largest frame allowed.
        limit: usize,
    },
    /// The stream ended within a frame.
    #[error("the stream ended within a frame, after {bytes} bytes of it")]
    Truncated {
        /// Bytes of the frame that came.
        bytes: usize,
    },
    /// The bytes violate the framing.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Refuses a frame larger than `limit`.
fn check_size(bytes: usize, limit: usize) -> Result<(), FramingError> {
    if bytes > limit { Err(FramingError::TooLarge { limit }) } else { Ok(()) }
}
