//! A cursor over encoded CBOR: one item head at a time, strings, and what to refuse about them.

use std::borrow::Cow;

use half::f16;

use super::{
    BIGNUM, BIGNUM_NEGATIVE, DecodeError, Problem, Strictness,
    error::deviation,
    writer::{Major, float_width, head_width},
};

/// The head of an item, with its number decoded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item {
    Uint(u64),
    /// The integer `-1 - n`.
    Nint(u64),
    Bytes(Len),
    Text(Len),
    List(Len),
    Map(Len),
    Tag(u64),
    /// Any simple value, the truth values and null included.
    Simple(u8),
    Float(f64),
}

/// How much of a string, list or map is to come: bytes, items or pairs. Never more than the input can hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Len {
    Definite(usize),
    UntilBreak,
}

/// The bits of a first byte beside the major type (RFC 8949 section 3), and what they are for an indefinite length.
const INFO: u8 = 0x1F;
const INDEFINITE: u8 = 31;

const BREAK: u8 = 0xFF;
const NULL: u8 = 0xF6;

/// A place in encoded bytes.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    strict: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], strictness: Strictness) -> Reader<'a> {
        Reader { bytes, at: 0, strict: strictness == Strictness::Canonical }
    }

    /// The offset of the next byte.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Everything read since `start`.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    /// The same bytes from `start` on.
    pub(super) fn rewound(&self, start: usize) -> Reader<'a> {
        Reader { at: start, ..self.clone() }
    }

    pub(super) fn is_strict(&self) -> bool {
        self.strict
    }

    /// Refuses, in canonical mode, what is otherwise accepted.
    pub(super) fn deviates(&self, what: &'static str, at: usize) -> Result<(), DecodeError> {
        if self.strict { Err(Problem::NotCanonical(what).at(at)) } else { Ok(()) }
    }

    /// Refuses whatever follows the last item.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(Problem::Trailing.at(self.at)) }
    }

    /// Reads the next head. Of a string, list or map the content follows.
    #[inline]
    pub(super) fn item(&mut self) -> Result<Item, DecodeError> {
        let at = self.at;
        let Some(&first) = self.bytes.get(at) else { return Err(Problem::Truncated.at(at)) };
        if first & INFO == INDEFINITE {
            return self.indefinite(first);
        }
        let number = self.number(first)?;
        match first >> 5 {
            0 => Ok(Item::Uint(number)),
            1 => Ok(Item::Nint(number)),
            2 => self.len(number, 1, at).map(Item::Bytes),
            3 => self.len(number, 1, at).map(Item::Text),
            4 => self.len(number, 1, at).map(Item::List),
            5 => self.len(number, 2, at).map(Item::Map),
            6 => Ok(Item::Tag(number)),
            _ => self.simple_or_float(first, number, at),
        }
    }

    /// The length in the next head, if it begins an item of `major` type. Cheaper than [`Reader::item`].
    #[inline]
    pub(super) fn len_of(&mut self, major: Major, expected: &'static str) -> Result<Len, DecodeError> {
        let at = self.at;
        let piece = if matches!(major, Major::Map) { 2 } else { 1 };
        match self.bytes.get(at) {
            Some(&first) if first >> 5 == major as u8 && first & INFO != INDEFINITE => {
                let number = self.number(first)?;
                self.len(number, piece, at)
            }
            _ => self.other_len(major, expected),
        }
    }

    /// What [`Reader::len_of`] does about an indefinite length, another item, or none.
    #[cold]
    fn other_len(&mut self, major: Major, expected: &'static str) -> Result<Len, DecodeError> {
        let at = self.at;
        match (self.item()?, major) {
            (Item::Bytes(len), Major::Bytes)
            | (Item::Text(len), Major::Text)
            | (Item::List(len), Major::List)
            | (Item::Map(len), Major::Map) => Ok(len),
            _ => Err(Problem::Expected(expected).at(at)),
        }
    }

    /// Whether another element of a list, pair of a map or chunk of a string follows; counts it, or eats the break.
    #[inline]
    pub(super) fn more(&mut self, left: &mut Len) -> Result<bool, DecodeError> {
        match left {
            Len::Definite(0) => Ok(false),
            Len::Definite(n) => {
                *n -= 1;
                Ok(true)
            }
            Len::UntilBreak => match self.bytes.get(self.at) {
                Some(&BREAK) => {
                    self.at += 1;
                    Ok(false)
                }
                Some(_) => Ok(true),
                None => Err(Problem::Truncated.at(self.at)),
            },
        }
    }

    /// Eats a `null`, if that is next.
    pub(super) fn null(&mut self) -> bool {
        let found = self.bytes.get(self.at) == Some(&NULL);
        self.at += usize::from(found);
        found
    }

    /// The content of a byte string whose head was read.
    #[inline]
    pub(super) fn bytes(&mut self, len: Len) -> Result<Cow<'a, [u8]>, DecodeError> {
        match len {
            Len::Definite(n) => Ok(Cow::Borrowed(self.take(n))),
            Len::UntilBreak => self.joined(Major::Bytes).map(Cow::Owned),
        }
    }

    /// The content of a text whose head was read, as bytes that are known to be UTF-8: for those who only compare, since
    /// a `str` costs more to return.
    #[inline]
    pub(super) fn utf8(&mut self, len: Len) -> Result<Cow<'a, [u8]>, DecodeError> {
        match len {
            Len::Definite(n) => self.take_utf8(n).map(Cow::Borrowed),
            Len::UntilBreak => self.joined(Major::Text).map(Cow::Owned),
        }
    }

    /// The content of a text whose head was read.
    pub(super) fn text(&mut self, len: Len) -> Result<Cow<'a, str>, DecodeError> {
        let at = self.at;
        match len {
            Len::Definite(n) => match std::str::from_utf8(self.take(n)) {
                Ok(text) => Ok(Cow::Borrowed(text)),
                Err(_) => Err(Problem::NotUtf8.at(at)),
            },
            Len::UntilBreak => {
                let whole = String::from_utf8(self.joined(Major::Text)?).expect("each chunk is UTF-8");
                Ok(Cow::Owned(whole))
            }
        }
    }

    /// The chunks of an indefinite-length string; each of a text is UTF-8 by itself (RFC 8949 section 3.2.3).
    #[cold]
    fn joined(&mut self, major: Major) -> Result<Vec<u8>, DecodeError> {
        let mut whole = Vec::new();
        let mut left = Len::UntilBreak;
        while self.more(&mut left)? {
            let at = self.at;
            whole.extend_from_slice(match (self.item()?, major) {
                (Item::Bytes(Len::Definite(n)), Major::Bytes) => self.take(n),
                (Item::Text(Len::Definite(n)), Major::Text) => self.take_utf8(n)?,
                _ => return Err(Problem::BadChunk.at(at)),
            });
        }
        Ok(whole)
    }

    /// The magnitude of a bignum without leading zeros, if a byte string follows a tag that makes it one.
    pub(super) fn magnitude(&mut self, tag: u64) -> Result<Option<Cow<'a, [u8]>>, DecodeError> {
        let tagged = matches!(tag, BIGNUM | BIGNUM_NEGATIVE);
        if !tagged || self.bytes.get(self.at).is_none_or(|first| first >> 5 != 2) {
            return Ok(None);
        }
        let at = self.at;
        let len = self.len_of(Major::Bytes, "a byte string")?;
        let mut magnitude = self.bytes(len)?;
        let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
        if zeros > 0 || magnitude.len() <= 8 {
            self.deviates(deviation::BIGNUM, at)?;
        }
        match &mut magnitude {
            Cow::Borrowed(bytes) => *bytes = &bytes[zeros..],
            Cow::Owned(bytes) => drop(bytes.drain(..zeros)),
        }
        Ok(Some(magnitude))
    }

    /// Passes over one well-formed item without looking at its content, `room` levels deep at most.
    pub(super) fn skip(&mut self, room: usize) -> Result<(), DecodeError> {
        let at = self.at;
        let (mut left, per) = match self.item()? {
            Item::Uint(_) | Item::Nint(_) | Item::Simple(_) | Item::Float(_) => return Ok(()),
            Item::Bytes(len) => return self.bytes(len).map(drop),
            Item::Text(len) => return self.utf8(len).map(drop),
            Item::Tag(_) => (Len::Definite(1), 1),
            Item::List(len) => (len, 1),
            Item::Map(len) => (len, 2),
        };
        let room = room.checked_sub(1).ok_or_else(|| Problem::TooDeep.at(at))?;
        while self.more(&mut left)? {
            for _ in 0..per {
                self.skip(room)?;
            }
        }
        Ok(())
    }

    /// Passes over a head and reads its number.
    #[inline]
    fn number(&mut self, first: u8) -> Result<u64, DecodeError> {
        let at = self.at;
        self.at += 1;
        let (number, width) = match first & INFO {
            short @ 0..=23 => return Ok(short.into()),
            24 => (u64::from(u8::from_be_bytes(self.array(at)?)), 1),
            25 => (u64::from(u16::from_be_bytes(self.array(at)?)), 2),
            26 => (u64::from(u32::from_be_bytes(self.array(at)?)), 4),
            27 => (u64::from_be_bytes(self.array(at)?), 8),
            _ => return Err(Problem::Reserved.at(at)),
        };
        if self.strict && first >> 5 != 7 && head_width(number) < width {
            return Err(Problem::NotCanonical(deviation::LONG_HEAD).at(at));
        }
        Ok(number)
    }

    /// The next `N` bytes, of an item that began at `at`.
    #[inline]
    fn array<const N: usize>(&mut self, at: usize) -> Result<[u8; N], DecodeError> {
        let bytes = self.bytes[self.at..].first_chunk().ok_or_else(|| Problem::Truncated.at(at))?;
        self.at += N;
        Ok(*bytes)
    }

    /// A length, once it is known that this many pieces of at least `piece` bytes can follow.
    #[inline]
    fn len(&self, number: u64, piece: usize, at: usize) -> Result<Len, DecodeError> {
        let room = (self.bytes.len() - self.at) / piece;
        match usize::try_from(number) {
            Ok(n) if n <= room => Ok(Len::Definite(n)),
            _ => Err(Problem::TooLong.at(at)),
        }
    }

    #[cold]
    fn indefinite(&mut self, first: u8) -> Result<Item, DecodeError> {
        let at = self.at;
        let item = match first >> 5 {
            2 => Item::Bytes(Len::UntilBreak),
            3 => Item::Text(Len::UntilBreak),
            4 => Item::List(Len::UntilBreak),
            5 => Item::Map(Len::UntilBreak),
            7 => return Err(Problem::StrayBreak.at(at)),
            _ => return Err(Problem::Reserved.at(at)),
        };
        self.deviates(deviation::INDEFINITE, at)?;
        self.at += 1;
        Ok(item)
    }

    fn simple_or_float(&self, first: u8, number: u64, at: usize) -> Result<Item, DecodeError> {
        let (float, width) = match first & INFO {
            25 => (f16::from_bits(number as u16).to_f64(), 2),
            26 => (f64::from(f32::from_bits(number as u32)), 4),
            27 => (f64::from_bits(number), 8),
            24 if number < 32 => return Err(Problem::BadSimple.at(at)),
            _ => return Ok(Item::Simple(number as u8)),
        };
        if float_width(float) != width {
            self.deviates(deviation::LONG_FLOAT, at)?;
        } else if float.is_nan() && number != 0x7E00 {
            self.deviates(deviation::OTHER_NAN, at)?;
        }
        Ok(Item::Float(float))
    }

    /// The next `n` bytes, which [`Reader::len`] has seen to be there.
    #[inline]
    fn take(&mut self, n: usize) -> &'a [u8] {
        let taken = &self.bytes[self.at..self.at + n];
        self.at += n;
        taken
    }

    /// The same, if they are UTF-8.
    #[inline]
    fn take_utf8(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let at = self.at;
        let taken = self.take(n);
        if std::str::from_utf8(taken).is_ok() { Ok(taken) } else { Err(Problem::NotUtf8.at(at)) }
    }
}
