//! Writes single items in their preferred form (RFC 8949 section 4.1), or only counts their bytes.

use half::f16;

use super::{BIGNUM, BIGNUM_NEGATIVE};

/// Where encoded bytes go.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts what would be written.
#[derive(Default)]
pub(super) struct Length(pub(super) usize);

impl Sink for Length {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// The major types of RFC 8949 section 3.1 that have a number in their head.
#[derive(Clone, Copy)]
pub(super) enum Major {
    Uint = 0,
    Nint = 1,
    Bytes = 2,
    Text = 3,
    List = 4,
    Map = 5,
    Tag = 6,
}

/// How many bytes a head takes for its number, beside its first byte.
pub(super) const fn head_width(number: u64) -> usize {
    match number {
        0..=23 => 0,
        24..=0xFF => 1,
        0x100..=0xFFFF => 2,
        0x1_0000..=0xFFFF_FFFF => 4,
        _ => 8,
    }
}

/// How many bytes hold a float without loss: 2, 4 or 8. Every NaN takes 2.
pub(super) fn float_width(float: f64) -> usize {
    if float.is_nan() || f16::from_f64(float).to_f64() == float {
        2
    } else if f64::from(float as f32) == float {
        4
    } else {
        8
    }
}

#[inline(always)]
pub(super) fn put_head(out: &mut impl Sink, major: Major, number: u64) {
    let first = (major as u8) << 5;
    match head_width(number) {
        0 => out.put(&[first | number as u8]),
        1 => out.put(&[first | 24, number as u8]),
        2 => {
            let [a, b] = (number as u16).to_be_bytes();
            out.put(&[first | 25, a, b]);
        }
        4 => {
            let [a, b, c, d] = (number as u32).to_be_bytes();
            out.put(&[first | 26, a, b, c, d]);
        }
        _ => {
            out.put(&[first | 27]);
            out.put(&number.to_be_bytes());
        }
    }
}

#[inline]
pub(super) fn put_bytes(out: &mut impl Sink, bytes: &[u8]) {
    put_head(out, Major::Bytes, bytes.len() as u64);
    out.put(bytes);
}

#[inline]
pub(super) fn put_text(out: &mut impl Sink, text: &str) {
    put_head(out, Major::Text, text.len() as u64);
    out.put(text.as_bytes());
}

#[inline]
pub(super) fn put_int(out: &mut impl Sink, n: i64) {
    if n < 0 {
        put_head(out, Major::Nint, !n as u64);
    } else {
        put_head(out, Major::Uint, n as u64);
    }
}

/// An integer of any width, as a bignum only when no head holds it.
pub(super) fn put_wide(out: &mut impl Sink, n: i128) {
    let (tag, magnitude) = if n < 0 { (BIGNUM_NEGATIVE, !n) } else { (BIGNUM, n) };
    put_bignum(out, tag, &magnitude.to_be_bytes());
}

/// The integer that a bignum tag makes of a big-endian magnitude, as a bignum only when no head holds it.
pub(super) fn put_bignum(out: &mut impl Sink, tag: u64, magnitude: &[u8]) {
    let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
    let magnitude = &magnitude[zeros..];
    if magnitude.len() > 8 {
        put_head(out, Major::Tag, tag);
        put_bytes(out, magnitude);
        return;
    }
    let number = magnitude.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    put_head(out, if tag == BIGNUM { Major::Uint } else { Major::Nint }, number);
}

/// A float in the shortest form that keeps its value; every NaN becomes the one quiet NaN (section 4.2.2).
pub(super) fn put_float(out: &mut impl Sink, float: f64) {
    if float.is_nan() {
        return out.put(&[0xF9, 0x7E, 0x00]);
    }
    match float_width(float) {
        2 => {
            let [a, b] = f16::from_f64(float).to_be_bytes();
            out.put(&[0xF9, a, b]);
        }
        4 => {
            let [a, b, c, d] = (float as f32).to_be_bytes();
            out.put(&[0xFA, a, b, c, d]);
        }
        _ => {
            out.put(&[0xFB]);
            out.put(&float.to_be_bytes());
        }
    }
}

/// Any simple value, the truth values and null included; 24 to 31 do not exist.
#[inline]
pub(super) fn put_simple(out: &mut impl Sink, number: u8) {
    if number < 24 { out.put(&[0xE0 | number]) } else { out.put(&[0xF8, number]) }
}
