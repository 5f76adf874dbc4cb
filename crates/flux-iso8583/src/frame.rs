//! A quick look at a frame, without a spec: does it start like an ISO 8583 message?

use crate::{
    bitmap::{BitmapForm, Present},
    encoding::Encoding,
};

/// What a link writes message types and bitmaps in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrameEncoding {
    /// Four ASCII characters; bitmaps as 16 hexadecimal characters or 8 bytes.
    #[default]
    Ascii,
    /// Four EBCDIC characters; bitmaps as 16 hexadecimal EBCDIC characters or 8 bytes.
    Ebcdic,
    /// Two bytes of BCD; bitmaps as 8 bytes.
    Bcd,
}

impl FrameEncoding {
    /// The names as configurations write them.
    pub const NAMES: [(&'static str, FrameEncoding); 3] =
        [("ascii", FrameEncoding::Ascii), ("ebcdic", FrameEncoding::Ebcdic), ("bcd", FrameEncoding::Bcd)];
}

/// The message type of a frame that looks like a message: four digits, bitmaps, and room for at least one byte per
/// field they announce. `None` for any other frame.
pub fn sniff(frame: &[u8], encoding: FrameEncoding) -> Option<[u8; 4]> {
    let (mti_encoding, mti_bytes) = match encoding {
        FrameEncoding::Ascii => (Encoding::Ascii, 4),
        FrameEncoding::Ebcdic => (Encoding::Ebcdic, 4),
        FrameEncoding::Bcd => (Encoding::Bcd, 2),
    };
    let (mti, rest) = frame.split_at_checked(mti_bytes)?;
    let mti = mti_encoding.decode(mti, 4, false).ok()?;
    let mti = <[u8; 4]>::try_from(&*mti).ok().filter(|mti| mti.iter().all(u8::is_ascii_digit))?;
    let is_room = |is_hex, bytes: &[u8]| {
        let form = BitmapForm { is_hex, has_tertiary: true };
        Present::read(form, bytes).is_ok_and(|(present, taken)| bytes.len() - taken >= present.iter().count())
    };
    let is_message = match encoding {
        FrameEncoding::Bcd => is_room(false, rest),
        FrameEncoding::Ascii => is_room(true, rest) || is_room(false, rest),
        FrameEncoding::Ebcdic => {
            let bitmaps = &rest[..rest.len().min(48)];
            let mut latin1 = rest.to_vec();
            latin1.iter_mut().zip(bitmaps).for_each(|(c, &byte)| *c = crate::ebcdic::to_latin1(byte));
            is_room(true, &latin1) || is_room(false, rest)
        }
    };
    is_message.then_some(mti)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(frame: &[u8], encoding: FrameEncoding, mti: Option<&[u8; 4]>) {
        assert_eq!(sniff(frame, encoding).as_ref(), mti);
    }

    #[test]
    fn messages_are_told_from_other_frames() {
        use FrameEncoding::{Ascii, Bcd, Ebcdic};
        check(b"08008220000000000000040000000000000004000000000000001301", Ascii, Some(b"0800"));
        check(b"0800\x02\x20\0\0\0\0\0\x00123", Ascii, Some(b"0800"));
        check(&[0x02, 0x00, 0x30, 0, 0, 0, 0, 0, 0, 0, 1, 2], Bcd, Some(b"0200"));
        check(&[0x02, 0x00, 0x30, 0, 0, 0, 0, 0, 0, 0, 1], Bcd, None);
        check(&[0xf0, 0xf8, 0xf0, 0xf0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0xf1], Ebcdic, Some(b"0800"));
        check(b"GET / HTTP/1.1\r\n\r\n", Ascii, None);
        check(b"0200", Ascii, None);
        check(b"", Bcd, None);
    }

    #[test]
    fn a_message_may_end_after_an_empty_bitmap() {
        check(b"08000000000000000000", FrameEncoding::Ascii, Some(b"0800"));
        check(&[0x08, 0x00, 0, 0, 0, 0, 0, 0, 0, 0], FrameEncoding::Bcd, Some(b"0800"));
    }

    #[test]
    fn ebcdic_bitmaps_may_be_text() {
        let text = b"08000020000000000000123456";
        let frame: Vec<u8> = text.iter().map(|&c| crate::ebcdic::from_latin1(c)).collect();
        check(&frame, FrameEncoding::Ebcdic, Some(b"0800"));
        check(&frame[..20], FrameEncoding::Ebcdic, None);
    }
}
