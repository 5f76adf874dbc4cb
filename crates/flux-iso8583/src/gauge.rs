//! A spec compiled for speed: eight bytes per field, enough for what is usual, and to know when it is not.

use crate::{
    encoding::{Encoding, Unit, all_digits},
    field::{Field, Inside, Kind},
    limits::{FIELD_LENGTH_MAX, MESSAGE_BYTES_MAX},
    prefix::{Prefix, PrefixCode},
};

/// The gauges of the 64 fields of each bitmap.
pub(crate) type Gauges = [[Gauge; 64]; 3];

/// What the hot path needs to know of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gauge {
    mode: Mode,
    unit: Unit,
    inside: Inside,
    /// Whether its value is text of one byte per character, without parts.
    is_plain: bool,
    /// Bytes on the wire when the field is fixed, else the most units it may have, and [`VARIABLE`].
    reach: u32,
}

/// More than any message has bytes: a field that is not fixed seems to end behind its message.
const VARIABLE: u32 = 1 << 24;

const _: () = assert!(FIELD_LENGTH_MAX * 2 < VARIABLE && MESSAGE_BYTES_MAX < VARIABLE as usize);

/// How the end of a field is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Fixed,
    /// ASCII digits that count bytes.
    AsciiLl,
    AsciiLll,
    /// BCD digits that count whatever the content is made of.
    BcdLl,
    BcdLll,
    /// Any other prefix, or no field at all: [`Field::measure`] knows.
    Measured,
}

/// An end no frame reaches: what [`Gauge::end`] gives for a field that has none.
const NOWHERE: usize = usize::MAX;

impl Gauge {
    pub(crate) const UNDEFINED: Gauge = Gauge {
        mode: Mode::Measured,
        unit: Unit::Byte,
        inside: Inside::Anything,
        is_plain: false,
        reach: VARIABLE,
    };

    pub(crate) fn new(field: &Field) -> Gauge {
        let unit = field.encoding.unit();
        let mode = match field.prefix {
            Prefix::Fixed => Mode::Fixed,
            Prefix::Number { code: PrefixCode::Ascii, digits: 2 } if unit == Unit::Byte => Mode::AsciiLl,
            Prefix::Number { code: PrefixCode::Ascii, digits: 3 } if unit == Unit::Byte => Mode::AsciiLll,
            Prefix::Number { code: PrefixCode::Bcd, digits: 2 } => Mode::BcdLl,
            Prefix::Number { code: PrefixCode::Bcd, digits: 3 } => Mode::BcdLll,
            Prefix::Number { .. } | Prefix::Ber => Mode::Measured,
        };
        let reach = match mode {
            Mode::Fixed => unit.bytes(field.length as usize) as u32,
            Mode::AsciiLl | Mode::AsciiLll | Mode::BcdLl | Mode::BcdLll | Mode::Measured => {
                VARIABLE | field.length
            }
        };
        let is_text = matches!(field.kind, Kind::String | Kind::Numeric);
        let is_plain = is_text
            && field.encoding == Encoding::Ascii
            && matches!(mode, Mode::Fixed | Mode::AsciiLl | Mode::AsciiLll);
        Gauge { mode, unit, inside: field.inside(), is_plain, reach }
    }

    #[inline]
    pub(crate) fn inside(self) -> Inside {
        self.inside
    }

    /// The content inside the bytes of a field, when every byte of it is a character and finding it is simple.
    #[inline]
    pub(crate) fn ascii_content(self, bytes: &[u8]) -> Option<&[u8]> {
        let start = match self.mode {
            Mode::Fixed => 0,
            Mode::AsciiLl => 2,
            Mode::AsciiLll => 3,
            Mode::BcdLl | Mode::BcdLll | Mode::Measured => return None,
        };
        if self.unit == Unit::Byte { bytes.get(start..) } else { None }
    }

    /// Where the field that starts at `at` ends; behind the frame when it does not fit there, or when measuring it is
    /// not simple.
    #[inline(always)]
    pub(crate) fn end(self, frame: &[u8], at: usize) -> usize {
        let end = at + self.reach as usize;
        if end <= frame.len() { end } else { self.variable_end(frame, at) }
    }

    #[inline(always)]
    fn variable_end(self, frame: &[u8], at: usize) -> usize {
        // A branch that is foreseen is cheaper than a jump that is looked up.
        if self.mode == Mode::AsciiLl {
            self.after(at + 2, ascii::<2>(frame, at), Unit::Byte)
        } else {
            self.other_end(frame, at)
        }
    }

    #[inline(never)]
    fn other_end(self, frame: &[u8], at: usize) -> usize {
        match self.mode {
            Mode::AsciiLll => self.after(at + 3, ascii::<3>(frame, at), Unit::Byte),
            Mode::BcdLl => self.after(at + 1, bcd::<1>(frame, at), self.unit),
            Mode::BcdLll => self.after(at + 2, bcd::<2>(frame, at), self.unit),
            Mode::Fixed | Mode::AsciiLl | Mode::Measured => NOWHERE,
        }
    }

    #[inline(always)]
    fn after(self, start: usize, units: usize, unit: Unit) -> usize {
        if units > self.units_max() { NOWHERE } else { start + unit.bytes(units) }
    }

    #[inline(always)]
    fn units_max(self) -> usize {
        (self.reach & (VARIABLE - 1)) as usize
    }

    /// Appends a field with this text, if that is simple: plain text that needs no padding and breaks no rule.
    #[inline]
    pub(crate) fn write(self, text: &[u8], out: &mut Vec<u8>) -> bool {
        let is_fitting = match self.mode {
            Mode::Fixed => text.len() == self.reach as usize,
            Mode::AsciiLl => text.len() <= self.units_max().min(99),
            Mode::AsciiLll => text.len() <= self.units_max().min(999),
            Mode::BcdLl | Mode::BcdLll | Mode::Measured => false,
        };
        if !self.is_plain || !is_fitting || (self.inside == Inside::Digits && !all_digits(text)) {
            return false;
        }
        let digit = |number: usize| b'0' + (number % 10) as u8;
        let length = text.len();
        match self.mode {
            Mode::Fixed | Mode::BcdLl | Mode::BcdLll | Mode::Measured => {}
            Mode::AsciiLl => out.extend_from_slice(&[digit(length / 10), digit(length)]),
            Mode::AsciiLll => {
                out.extend_from_slice(&[digit(length / 100), digit(length / 10), digit(length)])
            }
        }
        out.extend_from_slice(text);
        true
    }
}

/// The number in `N` ASCII digits; one that no field has when they are not all there.
#[inline(always)]
fn ascii<const N: usize>(frame: &[u8], at: usize) -> usize {
    let Some(digits) = frame.get(at..at + N).and_then(|digits| digits.first_chunk::<N>()) else {
        return NOWHERE;
    };
    let mut number = 0;
    for digit in digits {
        let digit = usize::from(digit.wrapping_sub(b'0'));
        if digit > 9 {
            return NOWHERE;
        }
        number = number * 10 + digit;
    }
    number
}

/// The number in `N` bytes of BCD; one that no field has when they are not all there.
#[inline(always)]
fn bcd<const N: usize>(frame: &[u8], at: usize) -> usize {
    let Some(pairs) = frame.get(at..at + N).and_then(|pairs| pairs.first_chunk::<N>()) else {
        return NOWHERE;
    };
    let mut number = 0;
    for pair in pairs {
        let (high, low) = (usize::from(pair >> 4), usize::from(pair & 15));
        if high > 9 || low > 9 {
            return NOWHERE;
        }
        number = number * 100 + high * 10 + low;
    }
    number
}
