//! How the characters of a field are written as bytes, and back.
//!
//! Decoded content is one byte per character: Latin-1 for EBCDIC, the bytes as they are for ASCII and Binary, digits
//! for BCD, hexadecimal digits for ASCIIToHex.

use std::borrow::Cow;

use crate::{ebcdic, error::Expected};

/// The encodings of field content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// One byte per character, as it is.
    #[default]
    Ascii,
    /// Two digits per byte; an odd count has its filler in the first nibble.
    Bcd,
    /// Two digits per byte; an odd count has its filler in the last nibble.
    Lbcd,
    /// One ASCII character, a sign, and then digits as in [`Encoding::Bcd`]: the `x+n` amounts of ISO 8583.
    SignedBcd,
    /// EBCDIC code page 037.
    Ebcdic,
    /// Bytes as they are.
    Binary,
    /// Bytes written as two hexadecimal characters each.
    HexToAscii,
    /// Hexadecimal characters written as one byte per pair.
    AsciiToHex,
    /// The bytes of a BER-TLV tag.
    BerTlvTag,
}

/// What one unit of a field's length takes on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Byte,
    Nibble,
    /// The first one a byte, the others nibbles.
    NibbleBehindByte,
    TwoBytes,
}

impl Unit {
    /// Bytes on the wire of `units`.
    #[inline(always)]
    pub(crate) fn bytes(self, units: usize) -> usize {
        match self {
            Unit::Byte => units,
            Unit::Nibble => units.div_ceil(2),
            Unit::NibbleBehindByte => units.min(1) + units / 2,
            Unit::TwoBytes => units * 2,
        }
    }

    /// The most units that `bytes` can hold.
    pub(crate) fn units(self, bytes: usize) -> usize {
        match self {
            Unit::Byte => bytes,
            Unit::Nibble => bytes * 2,
            Unit::NibbleBehindByte => (bytes * 2).saturating_sub(1),
            Unit::TwoBytes => bytes / 2,
        }
    }
}

impl Encoding {
    /// The names as a spec writes them.
    pub(crate) const NAMES: [(&'static str, Encoding); 9] = [
        ("ASCII", Encoding::Ascii),
        ("BCD", Encoding::Bcd),
        ("LBCD", Encoding::Lbcd),
        ("SignedBCD", Encoding::SignedBcd),
        ("EBCDIC", Encoding::Ebcdic),
        ("Binary", Encoding::Binary),
        ("HexToASCII", Encoding::HexToAscii),
        ("ASCIIToHex", Encoding::AsciiToHex),
        ("BerTLVTag", Encoding::BerTlvTag),
    ];

    /// The name as a spec writes it.
    pub(crate) fn name(self) -> &'static str {
        Encoding::NAMES.iter().find(|(_, encoding)| *encoding == self).map_or("", |(name, _)| name)
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Encoding::Bcd | Encoding::Lbcd => Unit::Nibble,
            Encoding::SignedBcd => Unit::NibbleBehindByte,
            Encoding::HexToAscii => Unit::TwoBytes,
            Encoding::Ascii
            | Encoding::Ebcdic
            | Encoding::Binary
            | Encoding::AsciiToHex
            | Encoding::BerTlvTag => Unit::Byte,
        }
    }

    /// Whether decoded content is the bytes on the wire.
    pub(crate) fn is_identity(self) -> bool {
        matches!(self, Encoding::Ascii | Encoding::Binary | Encoding::BerTlvTag)
    }

    /// Decoded characters of `units` on the wire.
    pub(crate) fn characters(self, units: usize) -> usize {
        if self == Encoding::AsciiToHex { units * 2 } else { units }
    }

    /// Units on the wire of `characters` of decoded content.
    pub(crate) fn units(self, characters: usize) -> usize {
        if self == Encoding::AsciiToHex { characters.div_ceil(2) } else { characters }
    }

    /// Decodes content of `units`. BCD nibbles above nine are what a magnetic stripe holds there (`:` to `?`, ISO/IEC
    /// 7811-2 five-bit characters) when `track` is set, and refused otherwise.
    pub(crate) fn decode(self, content: &[u8], units: usize, track: bool) -> Result<Cow<'_, [u8]>, Expected> {
        let nibble_max = if track { 15 } else { 9 };
        match self {
            Encoding::Ascii | Encoding::Binary | Encoding::BerTlvTag => Ok(Cow::Borrowed(content)),
            Encoding::Ebcdic => Ok(Cow::Owned(content.iter().map(|&b| ebcdic::to_latin1(b)).collect())),
            Encoding::Bcd => unpack(content, units % 2, units, nibble_max).map(Cow::Owned),
            Encoding::Lbcd => unpack(content, 0, units, nibble_max).map(Cow::Owned),
            Encoding::SignedBcd => {
                let Some((sign, digits)) = content.split_first() else { return Ok(Cow::Borrowed(content)) };
                let mut characters = unpack(digits, (units - 1) % 2, units - 1, nibble_max)?;
                characters.insert(0, *sign);
                Ok(Cow::Owned(characters))
            }
            Encoding::HexToAscii => hex_decode(content).map(Cow::Owned),
            Encoding::AsciiToHex => Ok(Cow::Owned(hex_encode(content))),
        }
    }

    /// Encodes decoded content onto `out`.
    pub(crate) fn encode(self, characters: &[u8], track: bool, out: &mut Vec<u8>) -> Result<(), Expected> {
        match self {
            Encoding::Ascii | Encoding::Binary | Encoding::BerTlvTag => out.extend_from_slice(characters),
            Encoding::Ebcdic => out.extend(characters.iter().map(|&c| ebcdic::from_latin1(c))),
            Encoding::Bcd => pack(characters, characters.len() % 2, track, out)?,
            Encoding::Lbcd => pack(characters, 0, track, out)?,
            Encoding::SignedBcd => {
                let (sign, digits) = characters.split_at(characters.len().min(1));
                out.extend_from_slice(sign);
                pack(digits, digits.len() % 2, track, out)?;
            }
            Encoding::HexToAscii => out.extend(hex_encode(characters)),
            Encoding::AsciiToHex => out.extend(hex_decode(characters)?),
        }
        Ok(())
    }
}

/// `units` nibbles of `content` from nibble `skip` on, as digits.
fn unpack(content: &[u8], skip: usize, units: usize, nibble_max: u8) -> Result<Vec<u8>, Expected> {
    let nibbles = content.iter().flat_map(|&byte| [byte >> 4, byte & 15]);
    let mut digits = Vec::with_capacity(units);
    for nibble in nibbles.skip(skip).take(units) {
        if nibble > nibble_max {
            return Err(Expected::Digits);
        }
        digits.push(b'0' + nibble);
    }
    Ok(digits)
}

/// Digits as nibbles, with `lead` zero nibbles before them and one after them when the count is odd.
fn pack(digits: &[u8], lead: usize, track: bool, out: &mut Vec<u8>) -> Result<(), Expected> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit & 15),
        b':'..=b'?' if track => Ok(digit & 15),
        b'D' | b'd' if track => Ok(13),
        _ => Err(Expected::Digits),
    };
    let (head, pairs) = digits.split_at(lead);
    if let [digit] = head {
        out.push(nibble(*digit)?);
    }
    for pair in pairs.chunks(2) {
        let low = pair.get(1).map_or(Ok(0), |&digit| nibble(digit))?;
        out.push(nibble(pair[0])? << 4 | low);
    }
    Ok(())
}

/// Whether every character is a decimal digit. Eight or four are looked at together: a digit has the high nibble 3,
/// and still has it when six is added.
#[inline]
pub(crate) fn all_digits(characters: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let eight = |word: u64| {
        (word & (0xf0 * ONES)) == 0x30 * ONES && (word.wrapping_add(6 * ONES) & (0xf0 * ONES)) == 0x30 * ONES
    };
    let four = |word: u32| {
        let ones = ONES as u32;
        (word & (0xf0 * ones)) == 0x30 * ones && (word.wrapping_add(6 * ones) & (0xf0 * ones)) == 0x30 * ones
    };
    let (eights, rest) = characters.as_chunks::<8>();
    let (fours, rest) = rest.as_chunks::<4>();
    eights.iter().all(|word| eight(u64::from_le_bytes(*word)))
        && fours.iter().all(|word| four(u32::from_le_bytes(*word)))
        && rest.iter().all(u8::is_ascii_digit)
}

/// Two upper-case hexadecimal digits per byte.
pub(crate) fn hex_encode(bytes: &[u8]) -> Vec<u8> {
    let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The same as text.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    hex_encode(bytes).into_iter().map(char::from).collect()
}

/// The value of one hexadecimal digit, in either case.
#[inline]
pub(crate) fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The bytes of an even count of hexadecimal digits.
pub(crate) fn hex_decode(digits: &[u8]) -> Result<Vec<u8>, Expected> {
    let (pairs, odd) = digits.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(Expected::HexDigits);
    }
    let byte = |[high, low]: &[u8; 2]| Some(hex_value(*high)? << 4 | hex_value(*low)?);
    pairs.iter().map(|pair| byte(pair).ok_or(Expected::HexDigits)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(encoding: Encoding, track: bool, characters: &str, wire: &str) {
        let mut out = Vec::new();
        encoding.encode(characters.as_bytes(), track, &mut out).unwrap();
        assert_eq!(hex_text(&out), wire, "{encoding:?}");
        let units = encoding.units(characters.len());
        assert_eq!(encoding.unit().bytes(units), out.len());
        assert_eq!(encoding.decode(&out, units, track).unwrap(), characters.as_bytes());
    }

    #[test]
    fn each_encoding_writes_its_known_bytes_and_reads_them_back() {
        check(Encoding::Ascii, false, "12A", "313241");
        check(Encoding::Binary, false, "12A", "313241");
        check(Encoding::Ebcdic, false, "12A", "F1F2C1");
        check(Encoding::Bcd, false, "1234", "1234");
        check(Encoding::Bcd, false, "123", "0123");
        check(Encoding::Lbcd, false, "123", "1230");
        check(Encoding::SignedBcd, false, "D00000125", "4400000125");
        check(Encoding::SignedBcd, false, "C123", "430123");
        check(Encoding::SignedBcd, false, "C", "43");
        check(Encoding::SignedBcd, false, "", "");
        check(Encoding::Bcd, true, "4111=2512", "04111D2512");
        check(Encoding::HexToAscii, false, "12", "33313332");
        check(Encoding::AsciiToHex, false, "5F2A", "5F2A");
    }

    #[test]
    fn digits_are_told_from_everything_else_at_every_place() {
        for place in 0..20 {
            for byte in 0..=255 {
                let mut characters = *b"01234567890123456789";
                characters[place] = byte;
                assert_eq!(all_digits(&characters), byte.is_ascii_digit(), "{byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn what_no_digit_is_is_refused() {
        let mut out = Vec::new();
        assert_eq!(Encoding::Bcd.encode(b"12A4", false, &mut out), Err(Expected::Digits));
        assert_eq!(Encoding::Bcd.decode(&[0x1a], 2, false), Err(Expected::Digits));
        assert_eq!(Encoding::HexToAscii.decode(b"5G", 1, false), Err(Expected::HexDigits));
        assert_eq!(Encoding::AsciiToHex.encode(b"5F2", false, &mut out), Err(Expected::HexDigits));
    }
}
