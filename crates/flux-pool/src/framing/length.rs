//! A length in front of each frame.
//!
//! ```text
//! +----------------------+---------------+
//! | length, 1/2/4 bytes  | frame         |
//! +----------------------+---------------+
//! ```
//! The length counts the frame, or the frame and itself.

use bytes::{Buf, Bytes, BytesMut};

use super::{Decoder, Encoder, Framing, FramingError, check_size};
use crate::write_batch::WriteBatch;

/// How many bytes the length takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 1 byte: up to 255.
    One,
    /// 2 bytes: up to 65,535.
    Two,
    /// 4 bytes: up to the frame limit.
    Four,
}

/// Which byte of the length comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// The most significant one.
    Big,
    /// The least significant one.
    Little,
}

/// Frames with their length in front. An empty frame is a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthPrefixed {
    /// Bytes of the length.
    pub width: Width,
    /// Byte order of the length.
    pub order: ByteOrder,
    /// Whether the length counts its own bytes too.
    pub counts_itself: bool,
    /// The largest frame, in bytes, without the length.
    pub frame_bytes_max: usize,
}

impl LengthPrefixed {
    /// A big-endian length that counts the frame only, as most protocols have it.
    pub fn big_endian(width: Width, frame_bytes_max: usize) -> Self {
        Self { width, order: ByteOrder::Big, counts_itself: false, frame_bytes_max }
    }

    /// What the width leaves of the limit.
    fn limit(&self) -> usize {
        let countable = match self.width {
            Width::One => usize::from(u8::MAX),
            Width::Two => usize::from(u16::MAX),
            Width::Four => u32::MAX as usize,
        };
        self.frame_bytes_max.min(countable - self.own_bytes())
    }

    fn width_bytes(&self) -> usize {
        match self.width {
            Width::One => 1,
            Width::Two => 2,
            Width::Four => 4,
        }
    }

    fn own_bytes(&self) -> usize {
        if self.counts_itself { self.width_bytes() } else { 0 }
    }

    fn read_length(&self, head: &[u8]) -> usize {
        match (self.width, self.order) {
            (Width::One, _) => usize::from(head[0]),
            (Width::Two, ByteOrder::Big) => usize::from(u16::from_be_bytes([head[0], head[1]])),
            (Width::Two, ByteOrder::Little) => usize::from(u16::from_le_bytes([head[0], head[1]])),
            (Width::Four, ByteOrder::Big) => {
                u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize
            }
            (Width::Four, ByteOrder::Little) => {
                u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize
            }
        }
    }
}

impl Framing for LengthPrefixed {
    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(*self)
    }

    fn encoder(&self) -> Box<dyn Encoder> {
        Box::new(*self)
    }

    fn frame_bytes_max(&self) -> usize {
        self.limit()
    }
}

impl Decoder for LengthPrefixed {
    fn decode(&mut self, buffer: &mut BytesMut, frames: &mut Vec<Bytes>) -> Result<(), FramingError> {
        let width = self.width_bytes();
        while buffer.len() >= width {
            let counted = self.read_length(buffer);
            let length = counted
                .checked_sub(self.own_bytes())
                .ok_or(FramingError::Malformed("the length is smaller than itself"))?;
            check_size(length, self.limit())?;
            if buffer.len() - width < length {
                break;
            }
            buffer.advance(width);
            frames.push(buffer.split_to(length).freeze());
        }
        Ok(())
    }
}

impl Encoder for LengthPrefixed {
    fn encode(&mut self, frame: &Bytes, out: &mut WriteBatch) -> Result<(), FramingError> {
        check_size(frame.len(), self.limit())?;
        let counted = (frame.len() + self.own_bytes()) as u32;
        let width = self.width_bytes();
        match self.order {
            ByteOrder::Big => out.put(&counted.to_be_bytes()[4 - width..]),
            ByteOrder::Little => out.put(&counted.to_le_bytes()[..width]),
        }
        out.put_shared(frame);
        Ok(())
    }
}
