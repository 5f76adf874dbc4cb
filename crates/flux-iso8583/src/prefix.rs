//! The length in front of a field: written in five codes, or as a BER length, or not at all when it is fixed.

use crate::{ber, ebcdic, encoding::hex_value, error::Expected};

/// How a field says its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// Not at all: it is the length of the spec.
    Fixed,
    /// A number of `digits` digits in `code`.
    Number {
        /// What the number is written in.
        code: PrefixCode,
        /// The count of `L`s, 1 to 6: decimal digits, or bytes for Binary and Hex.
        digits: u8,
    },
    /// A BER length, which counts bytes whatever the encoding of the content.
    Ber,
}

/// What a length number is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefixCode {
    /// Decimal ASCII characters.
    Ascii,
    /// Decimal digits, two per byte, right aligned.
    Bcd,
    /// A big-endian integer of as many bytes.
    Binary,
    /// Decimal EBCDIC characters.
    Ebcdic,
    /// A big-endian integer of as many bytes, each as two hexadecimal characters.
    Hex,
}

impl PrefixCode {
    /// The names as a spec writes them.
    pub(crate) const NAMES: [(&'static str, PrefixCode); 5] = [
        ("ASCII", PrefixCode::Ascii),
        ("BCD", PrefixCode::Bcd),
        ("Binary", PrefixCode::Binary),
        ("EBCDIC", PrefixCode::Ebcdic),
        ("Hex", PrefixCode::Hex),
    ];

    fn noun(self) -> &'static str {
        match self {
            PrefixCode::Ascii => "ASCII digits",
            PrefixCode::Bcd => "BCD digits",
            PrefixCode::Binary => "bytes",
            PrefixCode::Ebcdic => "EBCDIC digits",
            PrefixCode::Hex => "hexadecimal bytes",
        }
    }
}

impl Prefix {
    /// The length at the start of `bytes`, and how many bytes it takes itself. `fixed` is the length of the spec.
    pub(crate) fn read(self, bytes: &[u8], fixed: usize) -> Result<(usize, usize), Expected> {
        match self {
            Prefix::Fixed => Ok((fixed, 0)),
            Prefix::Ber => ber::read_length(bytes),
            Prefix::Number { code, digits } => {
                let needed = width(code, digits);
                let prefix = bytes.get(..needed).ok_or(Expected::Bytes { needed, left: bytes.len() })?;
                let number = read_number(code, digits, prefix);
                number.map(|n| (n, needed)).ok_or(Expected::LengthPrefix { digits, code: code.noun() })
            }
        }
    }

    /// Writes a length; one that has no room in the prefix is refused.
    pub(crate) fn write(self, length: usize, out: &mut Vec<u8>) -> Result<(), Expected> {
        match self {
            Prefix::Fixed => Ok(()),
            Prefix::Ber => {
                ber::write_length(length, out);
                Ok(())
            }
            Prefix::Number { code, digits } => {
                let max = length_max(code, digits);
                if length > max {
                    return Err(Expected::LengthMax { max, got: length });
                }
                write_number(code, digits, length, out);
                Ok(())
            }
        }
    }

    /// The greatest length it can say.
    pub(crate) fn length_max(self) -> usize {
        match self {
            Prefix::Fixed | Prefix::Ber => usize::MAX,
            Prefix::Number { code, digits } => length_max(code, digits),
        }
    }
}

fn width(code: PrefixCode, digits: u8) -> usize {
    let digits = usize::from(digits);
    match code {
        PrefixCode::Ascii | PrefixCode::Ebcdic | PrefixCode::Binary => digits,
        PrefixCode::Bcd => digits.div_ceil(2),
        PrefixCode::Hex => digits * 2,
    }
}

fn length_max(code: PrefixCode, digits: u8) -> usize {
    match code {
        PrefixCode::Ascii | PrefixCode::Ebcdic | PrefixCode::Bcd => match digits {
            1 => 9,
            2 => 99,
            3 => 999,
            4 => 9_999,
            5 => 99_999,
            _ => 999_999,
        },
        PrefixCode::Binary | PrefixCode::Hex => (1 << (8 * u32::from(digits))) - 1,
    }
}

fn read_number(code: PrefixCode, digits: u8, prefix: &[u8]) -> Option<usize> {
    let decimal = |number: usize, digit: u8| (digit < 10).then(|| number * 10 + usize::from(digit));
    match code {
        PrefixCode::Ascii => prefix.iter().try_fold(0, |n, &b| decimal(n, b.wrapping_sub(b'0'))),
        PrefixCode::Ebcdic => {
            prefix.iter().try_fold(0, |n, &b| decimal(n, ebcdic::to_latin1(b).wrapping_sub(b'0')))
        }
        PrefixCode::Bcd => {
            let nibbles = prefix.iter().flat_map(|&byte| [byte >> 4, byte & 15]);
            nibbles.skip(usize::from(digits % 2)).try_fold(0, decimal)
        }
        PrefixCode::Binary => Some(prefix.iter().fold(0, |n, &byte| n << 8 | usize::from(byte))),
        PrefixCode::Hex => {
            prefix.iter().try_fold(0, |n, &digit| Some(n << 4 | usize::from(hex_value(digit)?)))
        }
    }
}

fn write_number(code: PrefixCode, digits: u8, length: usize, out: &mut Vec<u8>) {
    let count = usize::from(digits);
    let byte = |place: usize| (length >> (8 * place)) as u8;
    match code {
        PrefixCode::Ascii => out.extend_from_slice(&decimal(length)[DECIMALS - count..]),
        PrefixCode::Ebcdic => {
            out.extend(decimal(length)[DECIMALS - count..].iter().map(|&digit| ebcdic::from_latin1(digit)));
        }
        PrefixCode::Bcd => {
            let pairs = &decimal(length)[DECIMALS - count.next_multiple_of(2)..];
            out.extend(pairs.chunks(2).map(|pair| pair[0] << 4 | pair[1] & 15));
        }
        PrefixCode::Binary => out.extend((0..count).rev().map(byte)),
        PrefixCode::Hex => {
            let bytes: Vec<u8> = (0..count).rev().map(byte).collect();
            out.extend(crate::encoding::hex_encode(&bytes));
        }
    }
}

/// Decimal digits of the longest prefix.
const DECIMALS: usize = 6;

/// A length as ASCII digits with leading zeros.
#[inline]
fn decimal(length: usize) -> [u8; DECIMALS] {
    let mut digits = [b'0'; DECIMALS];
    let mut rest = length;
    for digit in digits.iter_mut().rev() {
        if rest == 0 {
            break;
        }
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::hex_text;

    #[track_caller]
    fn check(code: PrefixCode, digits: u8, length: usize, wire: &str) {
        let prefix = Prefix::Number { code, digits };
        let mut out = Vec::new();
        prefix.write(length, &mut out).unwrap();
        assert_eq!(hex_text(&out), wire);
        assert_eq!(prefix.read(&out, 0), Ok((length, out.len())));
    }

    #[test]
    fn each_code_writes_its_known_bytes_and_reads_them_back() {
        check(PrefixCode::Ascii, 2, 19, "3139");
        check(PrefixCode::Ascii, 6, 999_999, "393939393939");
        check(PrefixCode::Bcd, 2, 37, "37");
        check(PrefixCode::Bcd, 3, 104, "0104");
        check(PrefixCode::Bcd, 1, 7, "07");
        check(PrefixCode::Binary, 1, 200, "C8");
        check(PrefixCode::Binary, 2, 258, "0102");
        check(PrefixCode::Ebcdic, 3, 120, "F1F2F0");
        check(PrefixCode::Hex, 1, 255, "4646");
        check(PrefixCode::Hex, 3, 24, "303030303138");
    }

    #[test]
    fn what_does_not_fit_or_is_no_number_is_refused() {
        let ll = Prefix::Number { code: PrefixCode::Ascii, digits: 2 };
        assert_eq!(ll.write(100, &mut Vec::new()), Err(Expected::LengthMax { max: 99, got: 100 }));
        assert_eq!(ll.read(b"1x", 0), Err(Expected::LengthPrefix { digits: 2, code: "ASCII digits" }));
        assert_eq!(ll.read(b"1", 0), Err(Expected::Bytes { needed: 2, left: 1 }));
        let bcd = Prefix::Number { code: PrefixCode::Bcd, digits: 2 };
        assert_eq!(bcd.read(&[0x1a], 0), Err(Expected::LengthPrefix { digits: 2, code: "BCD digits" }));
    }
}
