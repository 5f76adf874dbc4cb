//! A spec compiled for speed: eight bytes per field, enough to find where it ends and whether to look inside.

use crate::{
    encoding::{Encoding, Unit},
    error::Expected,
    field::{Field, Kind},
    limits::FIELD_MAX,
    prefix::{Prefix, PrefixCode},
};

/// One gauge per field number.
pub(crate) type Gauges = [Gauge; FIELD_MAX as usize + 1];

/// What the hot path needs to know of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gauge {
    mode: Mode,
    unit: Unit,
    inside: Inside,
    /// Bytes on the wire when the field is fixed, else the most units it may have.
    length: u32,
}

/// How the end of a field is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Undefined,
    Fixed,
    AsciiLl,
    AsciiLll,
    /// Any other prefix: [`Field::measure`] knows.
    Measured,
}

/// What there is to check inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    /// Nothing: any bytes will do.
    Anything,
    /// ASCII digits.
    AsciiDigits,
    /// What [`Field::check`] says.
    Field,
}

impl Gauge {
    pub(crate) const UNDEFINED: Gauge =
        Gauge { mode: Mode::Undefined, unit: Unit::Byte, inside: Inside::Anything, length: 0 };

    pub(crate) fn new(field: &Field) -> Gauge {
        let unit = field.encoding.unit();
        let mode = match field.prefix {
            Prefix::Fixed => Mode::Fixed,
            Prefix::Number { code: PrefixCode::Ascii, digits: 2 } => Mode::AsciiLl,
            Prefix::Number { code: PrefixCode::Ascii, digits: 3 } => Mode::AsciiLll,
            Prefix::Number { .. } | Prefix::Ber => Mode::Measured,
        };
        let inside = match (field.kind, field.encoding) {
            (Kind::String | Kind::Binary | Kind::Bitmap | Kind::Hex, Encoding::Ascii | Encoding::Binary) => {
                Inside::Anything
            }
            (Kind::String, Encoding::Ebcdic) => Inside::Anything,
            (Kind::Numeric, Encoding::Ascii) => Inside::AsciiDigits,
            _ => Inside::Field,
        };
        let length = match mode {
            Mode::Fixed => unit.bytes(field.length as usize) as u32,
            Mode::Undefined | Mode::AsciiLl | Mode::AsciiLll | Mode::Measured => field.length,
        };
        Gauge { mode, unit, inside, length }
    }

    #[inline]
    pub(crate) fn inside(self) -> Inside {
        self.inside
    }

    /// Where the field that starts at `at` ends.
    #[inline(always)]
    pub(crate) fn end(self, field: Option<&Field>, frame: &[u8], at: usize) -> Result<usize, Expected> {
        let end = match self.mode {
            Mode::Fixed => at + self.length as usize,
            Mode::AsciiLl => at + 2 + self.taken(decimal::<2>(frame, at)?)?,
            Mode::AsciiLll => at + 3 + self.taken(decimal::<3>(frame, at)?)?,
            Mode::Undefined | Mode::Measured => match field {
                Some(field) => at + field.measure(&frame[at..])?.end,
                None => return Err(Expected::DefinedField),
            },
        };
        if end > frame.len() { Err(too_short(frame, at, end)) } else { Ok(end) }
    }

    #[inline(always)]
    fn taken(self, units: usize) -> Result<usize, Expected> {
        if units > self.length as usize {
            return Err(Expected::LengthMax { max: self.length as usize, got: units });
        }
        Ok(self.unit.bytes(units))
    }
}

#[inline(always)]
fn decimal<const N: usize>(frame: &[u8], at: usize) -> Result<usize, Expected> {
    let Some(digits) = frame.get(at..).and_then(|rest| rest.first_chunk::<N>()) else {
        return Err(Expected::Bytes { needed: N, left: frame.len() - at });
    };
    let mut number = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Expected::LengthPrefix { digits: N as u8, code: "ASCII digits" });
        }
        number = number * 10 + usize::from(digit);
    }
    Ok(number)
}

#[cold]
fn too_short(frame: &[u8], at: usize, end: usize) -> Expected {
    Expected::Bytes { needed: end - at, left: frame.len() - at }
}
