//! A spec compiled for speed: eight bytes per field, enough for what is usual, and to know when it is not.

use crate::{
    encoding::{Encoding, Unit, all_digits},
    field::{Field, Inside, Kind},
    prefix::{Prefix, PrefixCode},
};

/// One gauge per field number, and as many more as spare the look-up a check.
pub(crate) type Gauges = [Gauge; 256];

/// What the hot path needs to know of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gauge {
    mode: Mode,
    unit: Unit,
    inside: Inside,
    /// Whether its value is text of one byte per character, without parts.
    is_plain: bool,
    /// Bytes on the wire when the field is fixed, else the most units it may have.
    length: u32,
}

/// How the end of a field is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Fixed,
    AsciiLl,
    AsciiLll,
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
        length: 0,
    };

    pub(crate) fn new(field: &Field) -> Gauge {
        let unit = field.encoding.unit();
        let mode = match field.prefix {
            Prefix::Fixed => Mode::Fixed,
            Prefix::Number { code: PrefixCode::Ascii, digits: 2 } => Mode::AsciiLl,
            Prefix::Number { code: PrefixCode::Ascii, digits: 3 } => Mode::AsciiLll,
            Prefix::Number { code: PrefixCode::Bcd, digits: 2 } => Mode::BcdLl,
            Prefix::Number { code: PrefixCode::Bcd, digits: 3 } => Mode::BcdLll,
            Prefix::Number { .. } | Prefix::Ber => Mode::Measured,
        };
        let length = match mode {
            Mode::Fixed => unit.bytes(field.length as usize) as u32,
            Mode::AsciiLl | Mode::AsciiLll | Mode::BcdLl | Mode::BcdLll | Mode::Measured => field.length,
        };
        let is_text = matches!(field.kind, Kind::String | Kind::Numeric);
        let is_plain = is_text
            && field.encoding == Encoding::Ascii
            && matches!(mode, Mode::Fixed | Mode::AsciiLl | Mode::AsciiLll);
        Gauge { mode, unit, inside: field.inside(), is_plain, length }
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
        // Branches that are foreseen are cheaper than a jump that is looked up.
        if self.mode == Mode::Fixed {
            at + self.length as usize
        } else if self.mode == Mode::AsciiLl {
            self.after(at + 2, ascii::<2>(frame, at))
        } else {
            self.end_of_others(frame, at)
        }
    }

    fn end_of_others(self, frame: &[u8], at: usize) -> usize {
        match self.mode {
            Mode::AsciiLll => self.after(at + 3, ascii::<3>(frame, at)),
            Mode::BcdLl => self.after(at + 1, bcd::<1>(frame, at)),
            Mode::BcdLll => self.after(at + 2, bcd::<2>(frame, at)),
            Mode::Fixed | Mode::AsciiLl | Mode::Measured => NOWHERE,
        }
    }

    #[inline(always)]
    fn after(self, start: usize, units: usize) -> usize {
        if units > self.length as usize { NOWHERE } else { start + self.unit.bytes(units) }
    }

    /// Appends a field with this text, if that is simple: plain text that needs no padding and breaks no rule.
    #[inline]
    pub(crate) fn write(self, text: &[u8], out: &mut Vec<u8>) -> bool {
        let is_fitting = match self.mode {
            Mode::Fixed => text.len() == self.length as usize,
            Mode::AsciiLl => text.len() <= (self.length as usize).min(99),
            Mode::AsciiLll => text.len() <= (self.length as usize).min(999),
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
