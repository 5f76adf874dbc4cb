//! BER-TLV tags and lengths (ISO/IEC 8825-1 section 8.1, as EMV Book 3 Annex B uses them).
//!
//! ```text
//! tag     CCPNNNNN                  one byte, unless NNNNN = 11111:
//!         CCP11111 1xxxxxxx 0xxxxxxx   further bytes while the high bit is set, four bytes in all
//! length  0LLLLLLL                  short form, 0 to 127
//!         1nnnnnnn L1 .. Ln         long form, 1 to 4 length bytes, big endian
//! ```

use crate::error::Expected;

const TAG_BYTES_MAX: usize = 4;

/// The length of the tag at the start of `bytes`.
pub(crate) fn tag_len(bytes: &[u8]) -> Result<usize, Expected> {
    let first = *bytes.first().ok_or(Expected::BerTag)?;
    if first & 0x1f != 0x1f {
        return Ok(1);
    }
    let more = bytes[1..].iter().take(TAG_BYTES_MAX - 1).position(|byte| byte & 0x80 == 0);
    more.map(|last| last + 2).ok_or(Expected::BerTag)
}

/// The length at the start of `bytes`, and how many bytes it takes itself.
pub(crate) fn read_length(bytes: &[u8]) -> Result<(usize, usize), Expected> {
    let first = *bytes.first().ok_or(Expected::BerLength)?;
    let count = usize::from(first & 0x7f);
    if first & 0x80 == 0 {
        return Ok((count, 1));
    }
    match bytes.get(1..=count) {
        Some(digits) if (1..=4).contains(&count) => {
            Ok((digits.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), 1 + count))
        }
        _ => Err(Expected::BerLength),
    }
}

/// Writes a length in its shortest form.
pub(crate) fn write_length(length: usize, out: &mut Vec<u8>) {
    if let Ok(short @ 0..=0x7f) = u8::try_from(length) {
        out.push(short);
        return;
    }
    let bytes = length.to_be_bytes();
    let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    out.push(0x80 | digits.len() as u8);
    out.extend_from_slice(digits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_end_where_the_high_bit_is_clear() {
        assert_eq!(tag_len(&[0x5a, 0x08]), Ok(1));
        assert_eq!(tag_len(&[0x9f, 0x26, 0x08]), Ok(2));
        assert_eq!(tag_len(&[0xdf, 0x81, 0x01]), Ok(3));
        assert_eq!(tag_len(&[0xdf, 0x81, 0x81, 0x01]), Ok(4));
        assert_eq!(tag_len(&[0xdf, 0x81, 0x81, 0x81, 0x01]), Err(Expected::BerTag));
        assert_eq!(tag_len(&[0x9f]), Err(Expected::BerTag));
        assert_eq!(tag_len(&[]), Err(Expected::BerTag));
    }

    #[test]
    fn lengths_have_a_short_and_a_long_form() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0xffff_ffff] {
            let mut out = Vec::new();
            write_length(length, &mut out);
            assert_eq!(read_length(&out), Ok((length, out.len())));
        }
        assert_eq!(read_length(&[0x82, 0x00, 0x05]), Ok((5, 3)), "longer than needed is legal");
        for bytes in [&[][..], &[0x80], &[0x81], &[0x84, 0, 0, 0], &[0x85, 0, 0, 0, 0, 1], &[0xff]] {
            assert_eq!(read_length(bytes), Err(Expected::BerLength), "{bytes:02x?}");
        }
    }
}
