//! Messages on a stream: a length in front of each, and a TPDU where the link has one.
//!
//! ```text
//! +-----------------------------+-----------------+---------+
//! | length, 2 or 4 bytes, big   | TPDU, 5 bytes   | message |
//! | endian, counts what follows | where asked for |         |
//! +-----------------------------+-----------------+---------+
//! ```

use bytes::{Buf, Bytes, BytesMut};
use clap::ValueEnum;
use flux_iso8583::{MESSAGE_BYTES_MAX, header::TPDU_BYTES};

use crate::cmd::msg;

/// Bytes of the length in front of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LengthBytes {
    /// Messages up to 65,535 bytes
    #[default]
    #[value(name = "2")]
    Two,
    /// Messages up to 2 MiB
    #[value(name = "4")]
    Four,
}

impl LengthBytes {
    pub(crate) fn count(self) -> usize {
        match self {
            LengthBytes::Two => 2,
            LengthBytes::Four => 4,
        }
    }

    /// Takes the next whole frame from the front of `buffer`, without copying. Empty frames are signs of life, and
    /// passed over.
    pub(crate) fn next(self, buffer: &mut BytesMut) -> anyhow::Result<Option<Bytes>> {
        loop {
            match self.next_of_any_size(buffer)? {
                Some(frame) if frame.is_empty() => {}
                found => return Ok(found),
            }
        }
    }

    fn next_of_any_size(self, buffer: &mut BytesMut) -> anyhow::Result<Option<Bytes>> {
        let length = match (self, buffer.as_ref()) {
            (LengthBytes::Two, &[a, b, ..]) => usize::from(u16::from_be_bytes([a, b])),
            (LengthBytes::Four, &[a, b, c, d, ..]) => u32::from_be_bytes([a, b, c, d]) as usize,
            (LengthBytes::Two | LengthBytes::Four, _) => return Ok(None),
        };
        anyhow::ensure!(length <= MESSAGE_BYTES_MAX, "the peer announces a frame of {length} bytes");
        if buffer.len() - self.count() < length {
            return Ok(None);
        }
        buffer.advance(self.count());
        Ok(Some(buffer.split_to(length).freeze()))
    }

    /// Appends a frame whose content `write` appends; one that is too long for its length is not appended.
    pub(crate) fn put(self, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) -> anyhow::Result<()> {
        let (start, count) = (out.len(), self.count());
        out.extend_from_slice(&[0; 4][..count]);
        write(out);
        let length = (out.len() - start - count) as u32;
        let digits = length.to_be_bytes();
        let (over, digits) = digits.split_at(4 - count);
        if over.iter().any(|byte| *byte != 0) {
            out.truncate(start);
            anyhow::bail!("a frame of {length} bytes does not fit a length of {count} bytes");
        }
        out[start..start + count].copy_from_slice(digits);
        Ok(())
    }
}

/// The bytes of a TPDU.
pub(crate) type Tpdu = [u8; TPDU_BYTES];

/// Reads a TPDU from hexadecimal digits.
pub(crate) fn parse_tpdu(text: &str) -> Result<Tpdu, String> {
    let bytes = msg::from_hex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "expected 10 hexadecimal digits, as in 6000010002".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_come_back_however_they_are_cut(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..6),
            cut in 1_usize..20,
            is_long: bool,
        ) {
            let width = if is_long { LengthBytes::Four } else { LengthBytes::Two };
            let mut stream = BytesMut::new();
            for frame in &frames {
                width.put(&mut stream, |out| out.extend_from_slice(frame)).unwrap();
            }
            let (mut buffer, mut back) = (BytesMut::new(), Vec::new());
            for piece in stream.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(frame) = width.next(&mut buffer).unwrap() {
                    back.push(frame.to_vec());
                }
            }
            let frames: Vec<_> = frames.into_iter().filter(|frame| !frame.is_empty()).collect();
            prop_assert_eq!(back, frames);
            prop_assert!(buffer.is_empty());
        }
    }

    #[test]
    fn absurd_lengths_are_refused() {
        let mut buffer = BytesMut::from(&[0xff, 0, 0, 0][..]);
        assert!(LengthBytes::Four.next(&mut buffer).is_err());
        let mut out = BytesMut::from(&b"before"[..]);
        assert!(LengthBytes::Two.put(&mut out, |out| out.resize(70_000, 0)).is_err());
        assert_eq!(out, &b"before"[..]);
    }
}
