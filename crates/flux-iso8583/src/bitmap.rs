//! Which fields a message has: up to three bitmaps of 64 bits (ISO 8583 clause 4.3).
//!
//! ```text
//! primary    bit 1 = a secondary follows, bits 2 to 64 = fields 2 to 64
//! secondary  bit 1 = a tertiary follows (field 65), the others fields 66 to 128
//! tertiary   fields 129 to 192
//! ```
//! The bitmaps follow one another, before the first field. A spec that defines field 65 as data has no tertiary.

use crate::{error::Expected, limits::FIELD_MAX};

/// The set of fields of a message, without the bits that announce bitmaps. The first field is the lowest bit, other
/// than on the wire: what is lowest is found and taken away fastest.
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

/// The bit that announces the next bitmap.
const FIRST: u64 = 1;

#[inline]
fn place(field: u8) -> (usize, u64) {
    (usize::from((field - 1) / 64), FIRST << ((field - 1) % 64))
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

    /// Whether `field` and all behind it are absent.
    #[inline]
    pub(crate) fn ends_before(self, field: u8) -> bool {
        let (word, bit) = place(field);
        let [_, secondary, tertiary] = self.0;
        let behind = match word {
            0 => secondary | tertiary,
            1 => tertiary,
            _ => 0,
        };
        behind | self.0[word] & !(bit - 1) == 0
    }

    /// How many fields there are before `field`.
    #[inline]
    pub(crate) fn rank(self, field: u8) -> usize {
        let (word, bit) = place(field);
        let below: usize = self.0[..word].iter().map(|word| word.count_ones() as usize).sum();
        below + (self.0[word] & (bit - 1)).count_ones() as usize
    }

    /// The fields in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u8> + use<> {
        self.0.into_iter().zip([1, 65, 129]).flat_map(|(mut bits, first)| {
            std::iter::from_fn(move || (bits != 0).then(|| first + take_lowest(&mut bits) as u8))
        })
    }

    /// The bits of each bitmap, for [`take_lowest`], with the number of the field that the lowest one stands for.
    #[inline]
    pub(crate) fn words(&self) -> impl Iterator<Item = (u64, u8)> {
        self.0.iter().copied().zip([1, 65, 129])
    }

    /// Reads the bitmaps at the start of `bytes`; also how many bytes they take. On a failure it says at which byte.
    #[inline]
    pub(crate) fn read(form: BitmapForm, bytes: &[u8]) -> Result<(Present, usize), usize> {
        let primary = form.bits(bytes).ok_or(0_usize)?;
        if primary & FIRST == 0 {
            Ok((Present([primary, 0, 0]), form.width()))
        } else {
            Present::read_more(form, primary & !FIRST, bytes)
        }
    }

    /// The same behind a primary bitmap that announces another one.
    #[inline(never)]
    fn read_more(form: BitmapForm, primary: u64, bytes: &[u8]) -> Result<(Present, usize), usize> {
        let second = form.width();
        let secondary = form.bits(&bytes[second..]).ok_or(second)?;
        let third = 2 * second;
        if !form.has_tertiary || secondary & FIRST == 0 {
            return Ok((Present([primary, secondary, 0]), third));
        }
        let tertiary = form.bits(&bytes[third..]).ok_or(third)?;
        Ok((Present([primary, secondary & !FIRST, tertiary]), third + second))
    }

    /// Why the bitmap at the start of `bytes` cannot be read.
    #[cold]
    pub(crate) fn refusal(form: BitmapForm, bytes: &[u8]) -> Expected {
        let needed = form.width();
        if bytes.len() < needed { Expected::Bytes { needed, left: bytes.len() } } else { Expected::HexDigits }
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
                (true, false) => out.extend_from_slice(&word.reverse_bits().to_be_bytes()),
                (true, true) => write_hex(word).iter().for_each(|half| out.extend_from_slice(half)),
            }
        }
    }
}

impl BitmapForm {
    /// The bitmap at the start of `bytes`.
    #[inline]
    fn bits(self, bytes: &[u8]) -> Option<u64> {
        if self.is_hex {
            bytes.first_chunk().and_then(read_hex)
        } else {
            bytes.first_chunk().map(|raw| u64::from_be_bytes(*raw).reverse_bits())
        }
    }

    /// Bytes of one bitmap.
    pub(crate) fn width(self) -> usize {
        if self.is_hex { 16 } else { 8 }
    }
}

/// The bits of 16 hexadecimal characters, the first one lowest.
#[inline]
fn read_hex(raw: &[u8; 16]) -> Option<u64> {
    let (halves, _) = raw.as_chunks::<8>();
    let low = u64::from(read_hex_half(halves[0])?);
    Some(turned(low | u64::from(read_hex_half(halves[1])?) << 32))
}

/// The 16 hexadecimal characters of these bits, in two halves.
fn write_hex(bits: u64) -> [[u8; 8]; 2] {
    let digits = turned(bits);
    [digits as u32, (digits >> 32) as u32].map(write_hex_half)
}

/// The four bits of each digit the other way round.
#[inline]
fn turned(digits: u64) -> u64 {
    const SINGLES: u64 = 0x5555_5555_5555_5555;
    const PAIRS: u64 = 0x3333_3333_3333_3333;
    let swapped = digits >> 1 & SINGLES | (digits & SINGLES) << 1;
    swapped >> 2 & PAIRS | (swapped & PAIRS) << 2
}

/// One in each byte.
const ONES: u64 = 0x0101_0101_0101_0101;

/// The values of eight hexadecimal characters, the first one lowest. They are looked at together, each in a byte of
/// one word.
#[inline]
fn read_hex_half(digits: [u8; 8]) -> Option<u32> {
    let characters = u64::from_le_bytes(digits);
    // Bit 6 tells letters from digits; a letter stands nine above the low four bits of its code.
    let letters = characters >> 6 & ONES;
    let values = (characters & (0x0f * ONES)) + letters * 9;
    let upper_case = characters & !(letters << 5);
    let is_known = upper_case == 0x30 * ONES + values + letters * 7;
    let is_in_range = values & (0x10 * ONES) == 0 && (values + 6 * ONES) & (0x10 * ONES) == letters << 4;
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    (is_known && is_in_range).then_some((fours | fours >> 16) as u32)
}

/// The inverse of [`read_hex_half`], in upper case.
fn write_hex_half(digits: u32) -> [u8; 8] {
    let digits = u64::from(digits);
    let fours = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    let pairs = (fours | fours << 8) & 0x00ff_00ff_00ff_00ff;
    let values = (pairs | pairs << 4) & (0x0f * ONES);
    let letters = (values + 6 * ONES) >> 4 & ONES;
    (values + 0x30 * ONES + letters * 7).to_le_bytes()
}

/// Takes the lowest bit away; says which it was, from 0.
#[inline(always)]
pub(crate) fn take_lowest(bits: &mut u64) -> usize {
    let lowest = bits.trailing_zeros() as usize;
    *bits &= *bits - 1;
    lowest
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
        let last = *fields.last().unwrap();
        assert!(last == FIELD_MAX || present.ends_before(last + 1));
        for (rank, &field) in fields.iter().enumerate() {
            assert_eq!(present.rank(field), rank, "field {field}");
            assert!(!present.ends_before(field));
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
        assert_eq!(Present::read(form, b"g000000000000000"), Err(0));
        assert_eq!(Present::read(form, b"80000000000000001234"), Err(16));
        assert_eq!(Present::refusal(form, b"1234"), Expected::Bytes { needed: 16, left: 4 });
    }

    #[test]
    fn hexadecimal_digits_are_told_from_everything_else_at_every_place() {
        for place in 0..16 {
            for byte in 0..=255_u8 {
                let mut raw = *b"0123456789abcDEF";
                raw[place] = byte;
                let text = raw.iter().copied().map(char::from).collect::<String>();
                let value = || u64::from_str_radix(&text, 16).unwrap().reverse_bits();
                let known = byte.is_ascii_hexdigit().then(value);
                assert_eq!(read_hex(&raw), known, "{byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn without_a_tertiary_bit_65_is_a_field() {
        let form = BitmapForm { is_hex: false, has_tertiary: false };
        let wire = [0x80, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
        let (present, taken) = Present::read(form, &wire).unwrap();
        assert_eq!((present.iter().collect::<Vec<_>>(), taken), (vec![65], 16));
    }
}
