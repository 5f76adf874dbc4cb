//! A delimiter between frames: a line end, a control character, any sequence of bytes.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem::Finder;

use super::{Decoder, Encoder, Framing, FramingError, check_size};
use crate::write_batch::WriteBatch;

/// Where the delimiter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// After each frame; a rest at the end of the stream is no frame.
    Suffix,
    /// Before each frame; a frame is complete when the next delimiter or the end of the stream comes.
    Prefix,
}

/// Frames with a delimiter between them.
///
/// A frame that contains the delimiter is several frames to the receiver; nothing is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delimited {
    /// The delimiter, at least one byte.
    pub delimiter: Bytes,
    /// Where it stands.
    pub position: Position,
    /// Whether received frames keep their delimiter.
    pub keeps_delimiter: bool,
    /// Whether sent frames get the delimiter; otherwise they bring their own.
    pub adds_delimiter: bool,
    /// Whether a carriage return before the delimiter is part of it (lines of either line end).
    pub trims_carriage_return: bool,
    /// The largest frame, in bytes, delimiter included.
    pub frame_bytes_max: usize,
}

impl Delimited {
    /// Lines, ended by LF or CR LF when received and by LF when sent.
    pub fn lines(frame_bytes_max: usize) -> Self {
        let delimited = Self::suffixed(Bytes::from_static(b"\n"), frame_bytes_max);
        Self { trims_carriage_return: true, ..delimited }
    }

    /// Frames followed by `delimiter`, which is taken off and put back on.
    pub fn suffixed(delimiter: Bytes, frame_bytes_max: usize) -> Self {
        assert!(!delimiter.is_empty(), "a delimiter has at least one byte");
        Self {
            delimiter,
            position: Position::Suffix,
            keeps_delimiter: false,
            adds_delimiter: true,
            trims_carriage_return: false,
            frame_bytes_max,
        }
    }
}

impl Framing for Delimited {
    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(DelimitedDecoder {
            finder: Finder::new(&self.delimiter).into_owned(),
            framing: self.clone(),
            searched_bytes: 0,
        })
    }

    fn encoder(&self) -> Box<dyn Encoder> {
        Box::new(self.clone())
    }

    fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }
}

struct DelimitedDecoder {
    framing: Delimited,
    finder: Finder<'static>,
    /// The front of the buffer known to hold no delimiter, so that a long frame in small reads is searched once.
    searched_bytes: usize,
}

impl DelimitedDecoder {
    /// The index of the next delimiter at or after `from`; else remembers how far it looked.
    fn find(&mut self, buffer: &[u8], from: usize) -> Option<usize> {
        let start = self.searched_bytes.max(from);
        let found = buffer.get(start..).and_then(|rest| self.finder.find(rest)).map(|at| start + at);
        self.searched_bytes = match found {
            Some(_) => 0,
            // The delimiter may straddle two reads.
            None => buffer.len().saturating_sub(self.finder.needle().len() - 1),
        };
        found
    }

    fn limit(&self, bytes: usize) -> Result<(), FramingError> {
        check_size(bytes, self.framing.frame_bytes_max)
    }

    fn suffixed(&mut self, buffer: &mut BytesMut, frames: &mut Vec<Bytes>) -> Result<(), FramingError> {
        let width = self.finder.needle().len();
        while let Some(at) = self.find(buffer, 0) {
            self.limit(at + width)?;
            let mut frame = buffer.split_to(at + width);
            if !self.framing.keeps_delimiter {
                frame.truncate(at);
                if self.framing.trims_carriage_return && frame.ends_with(b"\r") {
                    frame.truncate(at - 1);
                }
            }
            frames.push(frame.freeze());
        }
        self.limit(buffer.len())
    }

    fn prefixed(&mut self, buffer: &mut BytesMut, frames: &mut Vec<Bytes>) -> Result<(), FramingError> {
        let width = self.finder.needle().len();
        loop {
            let head = buffer.len().min(width);
            if buffer[..head] != self.framing.delimiter[..head] {
                return Err(FramingError::Malformed("the stream does not begin with the delimiter"));
            }
            let Some(at) = self.find(buffer, width) else { break };
            self.limit(at)?;
            let frame = buffer.split_to(at);
            frames.push(self.without_prefix(frame));
        }
        // The last bytes may be the beginning of the next delimiter.
        self.limit(buffer.len().saturating_sub(width - 1))
    }

    fn without_prefix(&self, mut frame: BytesMut) -> Bytes {
        if !self.framing.keeps_delimiter {
            frame.advance(self.finder.needle().len());
        }
        frame.freeze()
    }
}

impl Decoder for DelimitedDecoder {
    fn decode(&mut self, buffer: &mut BytesMut, frames: &mut Vec<Bytes>) -> Result<(), FramingError> {
        match self.framing.position {
            Position::Suffix => self.suffixed(buffer, frames),
            Position::Prefix => self.prefixed(buffer, frames),
        }
    }

    fn finish(&mut self, buffer: &mut BytesMut, frames: &mut Vec<Bytes>) -> Result<(), FramingError> {
        let rest = buffer.split();
        let width = self.finder.needle().len();
        match self.framing.position {
            _ if rest.is_empty() => Ok(()),
            // Nobody knows whether the frame was meant to end here.
            Position::Suffix => Err(FramingError::Truncated { bytes: rest.len() }),
            Position::Prefix if rest.len() < width => Err(FramingError::Truncated { bytes: rest.len() }),
            Position::Prefix => {
                self.limit(rest.len())?;
                frames.push(self.without_prefix(rest));
                Ok(())
            }
        }
    }
}

impl Encoder for Delimited {
    fn encode(&mut self, frame: &Bytes, out: &mut WriteBatch) -> Result<(), FramingError> {
        let added = if self.adds_delimiter { self.delimiter.len() } else { 0 };
        check_size(frame.len() + added, self.frame_bytes_max)?;
        match (self.adds_delimiter, self.position) {
            (false, _) => out.put_shared(frame),
            (true, Position::Suffix) => {
                out.put_shared(frame);
                out.put(&self.delimiter);
            }
            (true, Position::Prefix) => {
                out.put(&self.delimiter);
                out.put_shared(frame);
            }
        }
        Ok(())
    }
}
