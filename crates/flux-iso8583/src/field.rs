//! One field or part as a spec defines it, and how its content is measured, read and written.

use std::borrow::Cow;

use flux_signal::{Bytes, Text, Value};

use crate::{
    composite::{Composite, Layout},
    encoding::{Encoding, all_digits, hex_decode, hex_text},
    error::{Expected, Fail},
    input::Input,
    mask::Sensitivity,
    prefix::Prefix,
};

/// A field or a part of one, as a spec defines it.
#[derive(Debug, Clone)]
pub struct Field {
    /// What people call it.
    pub name: Text,
    /// The dotted path under which its value is also found in the data of a message.
    pub alias: Option<Text>,
    /// How its content is to be treated in dumps; `None` when the spec does not say.
    pub sensitivity: Option<Sensitivity>,
    /// The kind of its content.
    pub kind: Kind,
    /// How its content is written as bytes.
    pub encoding: Encoding,
    /// How it says its length.
    pub prefix: Prefix,
    /// The greatest length, or the exact one when the prefix is fixed; in characters or, for binary content, bytes.
    pub length: u32,
    pub(crate) padding: Option<Padding>,
    pub(crate) composite: Option<Box<Composite>>,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    String,
    /// Text of decimal digits; leading zeros are kept.
    Numeric,
    /// Bytes.
    Binary,
    /// Bytes that say which fields are present.
    Bitmap,
    /// Parts.
    Composite,
    /// Bytes shown as hexadecimal text.
    Hex,
    /// Track 1 of a magnetic stripe (ISO/IEC 7813).
    Track1,
    /// Track 2 of a magnetic stripe (ISO/IEC 7813).
    Track2,
    /// Track 3 of a magnetic stripe (ISO/IEC 4909).
    Track3,
}

impl Kind {
    /// The names as a spec writes them.
    pub(crate) const NAMES: [(&'static str, Kind); 9] = [
        ("String", Kind::String),
        ("Numeric", Kind::Numeric),
        ("Binary", Kind::Binary),
        ("Bitmap", Kind::Bitmap),
        ("Composite", Kind::Composite),
        ("Hex", Kind::Hex),
        ("Track1", Kind::Track1),
        ("Track2", Kind::Track2),
        ("Track3", Kind::Track3),
    ];

    /// The name as a spec writes it.
    pub(crate) fn name(self) -> &'static str {
        Kind::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Whether BCD nibbles above nine are separators of a magnetic stripe.
    fn is_track(self) -> bool {
        matches!(self, Kind::Track2 | Kind::Track3)
    }

    /// Whether its content is bytes rather than text.
    pub(crate) fn is_bytes(self) -> bool {
        matches!(self, Kind::Binary | Kind::Bitmap | Kind::Hex)
    }

    /// Refuses characters that the kind cannot hold.
    #[inline]
    fn check(self, characters: &[u8]) -> Result<(), Expected> {
        let (is_fine, expected) = match self {
            Kind::Numeric => (all_digits(characters), Expected::Digits),
            Kind::Track1 => (characters.iter().all(|c| (0x20..=0x5f).contains(c)), Expected::Track(1)),
            Kind::Track2 => (characters.iter().all(is_stripe), Expected::Track(2)),
            Kind::Track3 => (characters.iter().all(is_stripe), Expected::Track(3)),
            Kind::String | Kind::Binary | Kind::Bitmap | Kind::Composite | Kind::Hex => return Ok(()),
        };
        if is_fine { Ok(()) } else { Err(expected) }
    }
}

/// The characters of tracks 2 and 3; some write their separator as `D`.
fn is_stripe(character: &u8) -> bool {
    matches!(character, b'0'..=b'?' | b'D')
}

/// What there is to check in the content of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    /// Nothing: any bytes will do.
    Anything,
    /// ASCII digits.
    Digits,
    /// What [`Field::check`] says.
    Field,
}

/// How a fixed field that is too short is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Padding {
    pub(crate) side: Side,
    pub(crate) with: u8,
    /// Whether the filler is taken off again when reading. Never for numbers: their leading zeros are content.
    pub(crate) strips: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Where a field lies in the bytes that start with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Start of the content, after the prefix.
    pub(crate) body: usize,
    /// End of the content.
    pub(crate) end: usize,
    /// Length of the content as the spec counts it.
    pub(crate) units: usize,
}

impl Field {
    /// Finds the field at the start of `bytes`.
    pub(crate) fn measure(&self, bytes: &[u8]) -> Result<Extent, Expected> {
        let unit = self.encoding.unit();
        let (said, body) = self.prefix.read(bytes, self.length as usize)?;
        let (units, taken) = match self.prefix {
            Prefix::Ber => (unit.units(said), said),
            Prefix::Fixed | Prefix::Number { .. } => (said, unit.bytes(said)),
        };
        if units > self.length as usize {
            return Err(Expected::LengthMax { max: self.length as usize, got: units });
        }
        match bytes.len() - body {
            left if left < taken => Err(Expected::Bytes { needed: taken, left }),
            _ => Ok(Extent { body, end: body + taken, units }),
        }
    }

    /// The decoded characters of its content, checked against its kind.
    pub(crate) fn characters<'a>(&self, content: &'a [u8], units: usize) -> Result<Cow<'a, [u8]>, Expected> {
        let characters = self.encoding.decode(content, units, self.kind.is_track())?;
        self.kind.check(&characters)?;
        Ok(characters)
    }

    /// What there is to check in its content.
    #[inline]
    pub(crate) fn inside(&self) -> Inside {
        match (self.kind, self.encoding) {
            (Kind::String | Kind::Binary | Kind::Bitmap | Kind::Hex, Encoding::Ascii | Encoding::Binary) => {
                Inside::Anything
            }
            (Kind::String, Encoding::Ebcdic) => Inside::Anything,
            (Kind::Numeric, Encoding::Ascii) => Inside::Digits,
            _ => Inside::Field,
        }
    }

    /// Refuses content that no value could be read from.
    pub(crate) fn check(&self, content: &[u8], units: usize) -> Result<(), Fail> {
        match (self.inside(), &self.composite) {
            (Inside::Anything, _) => Ok(()),
            (Inside::Digits, _) if all_digits(content) => Ok(()),
            (Inside::Digits, _) => Err(Expected::Digits.into()),
            (Inside::Field, Some(composite)) => composite.check(&self.characters(content, units)?),
            (Inside::Field, None) => Ok(self.characters(content, units).map(drop)?),
        }
    }

    /// Its value: text, bytes, or a map of parts.
    pub(crate) fn value(&self, content: &[u8], units: usize) -> Result<Value, Fail> {
        let characters = self.characters(content, units)?;
        match &self.composite {
            Some(composite) => composite.value(&characters),
            None => Ok(self.plain(&characters)),
        }
    }

    /// The value at a path below it.
    pub(crate) fn value_at(&self, content: &[u8], units: usize, path: Option<&str>) -> Option<Value> {
        match (path, &self.composite) {
            (None, _) => self.value(content, units).ok(),
            (Some(path), Some(composite)) => composite.get(&self.characters(content, units).ok()?, path),
            (Some(_), None) => None,
        }
    }

    /// Decoded characters as one value, the parts of a composite undivided.
    pub(crate) fn plain(&self, characters: &[u8]) -> Value {
        if self.kind == Kind::Hex {
            return Value::Text(hex_text(characters).into());
        }
        if self.kind.is_bytes() || self.is_binary_composite() {
            return Value::Bytes(Bytes::copy_from_slice(characters));
        }
        let characters = if self.composite.is_some() { characters } else { self.stripped(characters) };
        if self.encoding == Encoding::Ebcdic {
            return Value::Text(characters.iter().copied().map(char::from).collect());
        }
        match std::str::from_utf8(characters) {
            Ok(text) => Value::Text(text.into()),
            Err(_) => Value::Bytes(Bytes::copy_from_slice(characters)),
        }
    }

    fn is_binary_composite(&self) -> bool {
        self.kind == Kind::Composite && matches!(self.encoding, Encoding::Binary | Encoding::BerTlvTag)
    }

    fn stripped<'a>(&self, mut characters: &'a [u8]) -> &'a [u8] {
        let Some(Padding { side, with, strips: true }) = self.padding else { return characters };
        match side {
            Side::Left => {
                while let [first, rest @ ..] = characters
                    && *first == with
                {
                    characters = rest;
                }
            }
            Side::Right => {
                while let [rest @ .., last] = characters
                    && *last == with
                {
                    characters = rest;
                }
            }
        }
        characters
    }

    /// The decoded characters that `input` stands for, padded, checked, and ready to be written. `path` leads to a
    /// part; `current` is what the field holds now, whose other parts are kept.
    pub(crate) fn characters_of<'a>(
        &self,
        current: &[u8],
        path: Option<&str>,
        input: Option<&'a Input<'_>>,
    ) -> Result<Cow<'a, [u8]>, Fail> {
        let characters = match (&self.composite, path, input) {
            (Some(composite), Some(path), input) => Cow::Owned(composite.edit(current, path, input)?),
            (Some(composite), None, Some(Input::Parts(parts))) => {
                Cow::Owned(composite.assemble(current, parts)?)
            }
            (_, None, Some(input)) => self.plain_characters(input)?,
            (None, Some(_), _) => return Err(Expected::NoParts.into()),
            (_, None, None) => Cow::Borrowed(&[][..]),
        };
        let characters = self.padded(characters);
        self.kind.check(&characters)?;
        if let (Some(composite), None, Some(Input::Text(_) | Input::Bytes(_))) =
            (&self.composite, path, input)
        {
            composite.check(&characters)?;
        }
        Ok(characters)
    }

    fn plain_characters<'a>(&self, input: &'a Input<'_>) -> Result<Cow<'a, [u8]>, Fail> {
        match input {
            Input::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Input::Text(text) if self.kind.is_bytes() || self.is_binary_composite() => {
                Ok(Cow::Owned(hex_decode(text.as_bytes())?))
            }
            Input::Text(text) if self.encoding == Encoding::Ebcdic => {
                let latin1 = text.chars().map(|c| u8::try_from(c).map_err(|_| Expected::Charset("EBCDIC")));
                Ok(Cow::Owned(latin1.collect::<Result<_, _>>()?))
            }
            Input::Text(text) => Ok(Cow::Borrowed(text.as_bytes())),
            Input::Parts(_) | Input::Many(_) => Err(Expected::Shape("text or bytes: it has no parts").into()),
        }
    }

    fn padded<'a>(&self, characters: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        let length = self.encoding.characters(self.length as usize);
        if let (Some(composite), Prefix::Fixed) = (&self.composite, self.prefix)
            && composite.layout == Layout::Positional
            && characters.len() < length
        {
            return Cow::Owned(composite.filled(characters.into_owned(), length));
        }
        let (Prefix::Fixed, Some(padding), true) = (self.prefix, self.padding, characters.len() < length)
        else {
            return characters;
        };
        let mut padded = characters.into_owned();
        let missing = length - padded.len();
        match padding.side {
            Side::Left => drop(padded.splice(..0, std::iter::repeat_n(padding.with, missing))),
            Side::Right => padded.resize(length, padding.with),
        }
        Cow::Owned(padded)
    }

    /// Writes decoded characters as prefix and content. On a failure `out` may hold a part of them.
    pub(crate) fn write(&self, characters: &[u8], out: &mut Vec<u8>) -> Result<(), Expected> {
        let units = self.encoding.units(characters.len());
        let length = self.length as usize;
        if self.prefix == Prefix::Fixed && units != length {
            return Err(Expected::LengthExact { exact: length, got: units });
        }
        if units > length {
            return Err(Expected::LengthMax { max: length, got: units });
        }
        let said = if self.prefix == Prefix::Ber { self.encoding.unit().bytes(units) } else { units };
        self.prefix.write(said, out)?;
        self.encoding.encode(characters, self.kind.is_track(), out)
    }
}
