//! No framing: whatever one read returns is a frame.

use bytes::{Bytes, BytesMut};

use super::{Decoder, Encoder, Framing, FramingError, check_size};
use crate::write_batch::WriteBatch;

/// Bytes as they come. Only their order means something; where one frame ends and the next begins does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw {
    /// The largest frame, in bytes; a longer read becomes several. At least 1.
    pub frame_bytes_max: usize,
}

impl Framing for Raw {
    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(*self)
    }

    fn encoder(&self) -> Box<dyn Encoder> {
        Box::new(*self)
    }

    fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }
}

impl Decoder for Raw {
    fn decode(&mut self, buffer: &mut BytesMut, frames: &mut Vec<Bytes>) -> Result<(), FramingError> {
        while !buffer.is_empty() {
            let bytes = buffer.len().min(self.frame_bytes_max.max(1));
            frames.push(buffer.split_to(bytes).freeze());
        }
        Ok(())
    }
}

impl Encoder for Raw {
    fn encode(&mut self, frame: &Bytes, out: &mut WriteBatch) -> Result<(), FramingError> {
        check_size(frame.len(), self.frame_bytes_max)?;
        out.put_shared(frame);
        Ok(())
    }
}
