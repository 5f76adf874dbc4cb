//! Which fields a message has: up to three bitmaps of 64 bits (ISO 8583 clause 4.3).
//!
//! ```text
//! primary    bit 1 = a secondary follows, bits 2 to 64 = fields 2 to 64
//! secondary  bit 1 = a tertiary follows (field 65), the others fields 66 to 128
//! tertiary   fields 129 to 192
//! ```
//! The bitmaps follow one another, before the first field. A spec that defines field 65 as data has no tertiary.

use crate::{error::Expected, limits::FIELD_MAX};

/// The set of fields of a message, without the bits that announce bitmaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Present([u64; 3]);

/// How the bitmaps are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BitmapForm {
    /// As 16 hexadecimal characters rather than 8 bytes.
    pub(crate) is_hex: bool,
    /// Whether bit 65 announces a tertiary bitmap.
    pub(crate) has_tertiary: bool,
}

const FIRST: u64 = 1 << 63;

fn place(field: u8) -> (usize, u64) {
    (usize::from((field - 1) / 64), FIRST >> ((field - 1) % 64))
}

impl Present {
    #[inline]
    pub(crate) fn contains(self, field: u8) -> bool {
        if !(2..=FIELD_MAX).contains(&field) {
            return false;
        }
        let (word, bit) = place(field);
        self.0[word] & bit != 0
    }

    #[inline]
    pub(crate) fn insert(&mut self, field: u8) {
        let (word, bit) = place(field);
        self.0[word] |= bit;
    }

    pub(crate) fn remove(&mut self, field: u8) {
        let (word, bit) = place(field);
        self.0[word] &= !bit;
    }

    /// How many fields there are.
    #[inline]
    pub(crate) fn count(self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// How many fields there are before `field`.
    #[inline]
    pub(crate) fn rank(self, field: u8) -> usize {
        let (word, bit) = place(field);
        let below: usize = self.0[..word].iter().map(|word| word.count_ones() as usize).sum();
        below + (self.0[word] & !(bit | (bit - 1))).count_ones() as usize
    }

    /// The fields in order.
    #[inline]
    pub(crate) fn iter(self) -> Fields {
        Fields { words: self.0, word: 0 }
    }

    /// Reads the bitmaps at the start of `bytes`; also how many bytes they take.
    #[inline]
    pub(crate) fn read(form: BitmapForm, bytes: &[u8]) -> Result<(Present, usize), (usize, Expected)> {
        let width = form.width();
        let mut words = [0; 3];
        let mut at = 0;
        for (index, word) in words.iter_mut().enumerate() {
            let Some(raw) = bytes.get(at..at + width) else {
                return Err((at, Expected::Bytes { needed: width, left: bytes.len() - at }));
            };
            let bits = if form.is_hex { read_hex(raw) } else { read_binary(raw) };
            let bits = bits.ok_or((at, Expected::HexDigits))?;
            at += width;
            let announces = index == 0 || index == 1 && form.has_tertiary;
            *word = if announces { bits & !FIRST } else { bits };
            if !announces || bits & FIRST == 0 {
                break;
            }
        }
        Ok((Present(words), at))
    }

    /// The bitmaps a message with these fields needs, as they are written.
    pub(crate) fn write(self, form: BitmapForm, out: &mut bytes::BytesMut) {
        let [mut primary, mut secondary, tertiary] = self.0;
        if tertiary != 0 {
            secondary |= FIRST;
        }
        if secondary != 0 {
            primary |= FIRST;
        }
        for (word, is_needed) in [(primary, true), (secondary, secondary != 0), (tertiary, tertiary != 0)] {
            match (is_needed, form.is_hex) {
                (false, _) => {}
                (true, false) => out.extend_from_slice(&word.to_be_bytes()),
                (true, true) => out.extend_from_slice(&write_hex(word)),
            }
        }
    }
}

impl BitmapForm {
    /// Bytes of one bitmap.
    pub(crate) fn width(self) -> usize {
        if self.is_hex { 16 } else { 8 }
    }
}

#[inline]
fn read_binary(raw: &[u8]) -> Option<u64> {
    raw.try_into().ok().map(u64::from_be_bytes)
}

/// The value of each hexadecimal character; 0x80 marks any other.
const HEX: [u8; 256] = {
    let mut table = [0x80; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            digit @ b'A'..=b'F' => digit - b'A' + 10,
            _ => 0x80,
        };
        byte += 1;
    }
    table
};

#[inline]
fn read_hex(raw: &[u8]) -> Option<u64> {
    let digits: &[u8; 16] = raw.try_into().ok()?;
    let (mut bits, mut seen) = (0_u64, 0);
    for &digit in digits {
        let value = HEX[usize::from(digit)];
        seen |= value;
        bits = bits << 4 | u64::from(value & 15);
    }
    (seen & 0x80 == 0).then_some(bits)
}

fn write_hex(word: u64) -> [u8; 16] {
    std::array::from_fn(|digit| b"0123456789ABCDEF"[(word >> (60 - 4 * digit) & 15) as usize])
}

/// The fields of a [`Present`] in order.
pub(crate) struct Fields {
    words: [u64; 3],
    word: usize,
}

impl Iterator for Fields {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        while self.word < 3 {
            let bits = &mut self.words[self.word];
            if *bits != 0 {
                let lead = bits.leading_zeros();
                *bits &= !(FIRST >> lead);
                return Some((self.word as u32 * 64 + lead + 1) as u8);
            }
            self.word += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    #[track_caller]
    fn check(fields: &[u8], is_hex: bool, wire: &[u8]) {
        let form = BitmapForm { is_hex, has_tertiary: true };
        let mut present = Present::default();
        fields.iter().for_each(|&field| present.insert(field));
        let mut out = BytesMut::new();
        present.write(form, &mut out);
        assert_eq!(&out[..], wire);
        assert_eq!(Present::read(form, wire), Ok((present, wire.len())));
        assert_eq!(present.iter().collect::<Vec<_>>(), fields);
        assert_eq!(present.count(), fields.len());
        for (rank, &field) in fields.iter().enumerate() {
            assert_eq!(present.rank(field), rank, "field {field}");
        }
    }

    #[test]
    fn bitmaps_are_written_as_needed_and_read_back() {
        check(&[3, 4, 11], false, &[0x30, 0x20, 0, 0, 0, 0, 0, 0]);
        check(&[3, 4, 11], true, b"3020000000000000");
        check(&[2, 70], true, b"C0000000000000000400000000000000");
        let tertiary = b"C000000000000000800000000000000180000000000000F1";
        check(&[2, 128, 129, 185, 186, 187, 188, 192], true, tertiary);
        check(&[64], false, &[0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn an_empty_secondary_and_lower_case_are_read() {
        let form = BitmapForm { is_hex: true, has_tertiary: true };
        let (present, taken) = Present::read(form, b"c0000000000000000000000000000000").unwrap();
        assert_eq!((present.iter().collect::<Vec<_>>(), taken), (vec![2], 32));
        assert_eq!(Present::read(form, b"g000000000000000"), Err((0, Expected::HexDigits)));
        let short = Present::read(form, b"80000000000000001234");
        assert_eq!(short, Err((16, Expected::Bytes { needed: 16, left: 4 })));
    }

    #[test]
    fn without_a_tertiary_bit_65_is_a_field() {
        let form = BitmapForm { is_hex: false, has_tertiary: false };
        let wire = [0x80, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
        let (present, taken) = Present::read(form, &wire).unwrap();
        assert_eq!((present.iter().collect::<Vec<_>>(), taken), (vec![65], 16));
    }
}
