//! Reads items of the kinds that the envelope's fields take.

use std::borrow::Cow;

use super::{
    DecodeError, ITEM_NESTING_MAX, Problem,
    error::deviation,
    field::{HOP_GEAR, HOP_PORT, HOP_TIME},
    reader::{Item, Len, Reader},
    writer::Major,
};
use crate::{FluxId, Hop, TraceId};

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn map_head(&mut self, expected: &'static str) -> Result<Len, DecodeError> {
        self.len_of(Major::Map, expected)
    }

    /// A text, as bytes that are known to be UTF-8.
    #[inline]
    pub(super) fn text_item(&mut self, expected: &'static str) -> Result<Cow<'a, [u8]>, DecodeError> {
        let len = self.len_of(Major::Text, expected)?;
        self.utf8(len)
    }

    /// A text as text.
    pub(super) fn str_item(&mut self, expected: &'static str) -> Result<Cow<'a, str>, DecodeError> {
        let len = self.len_of(Major::Text, expected)?;
        self.text(len)
    }

    #[inline]
    pub(super) fn byte_string(&mut self, expected: &'static str) -> Result<Cow<'a, [u8]>, DecodeError> {
        let len = self.len_of(Major::Bytes, expected)?;
        self.bytes(len)
    }

    /// An integer that fits the field.
    #[inline]
    pub(super) fn int<T: TryFrom<i128>>(&mut self, expected: &'static str) -> Result<T, DecodeError> {
        let at = self.at();
        let number = match self.item()? {
            Item::Uint(n) => i128::from(n),
            Item::Nint(n) => !i128::from(n),
            _ => return Err(Problem::Expected(expected).at(at)),
        };
        T::try_from(number).map_err(|_| Problem::Expected(expected).at(at))
    }

    /// An id.
    #[inline]
    pub(super) fn id(&mut self) -> Result<FluxId, DecodeError> {
        let at = self.at();
        self.id_or_nil()?.ok_or_else(|| Problem::Expected("an id other than nil").at(at))
    }

    /// An id, or `None` for the nil UUID.
    #[inline]
    pub(super) fn id_or_nil(&mut self) -> Result<Option<FluxId>, DecodeError> {
        const EXPECTED: &str = "an id, which is a byte string of 16";
        let at = self.at();
        match <[u8; 16]>::try_from(&*self.byte_string(EXPECTED)?) {
            Ok(id) => Ok(FluxId::from_bytes(id)),
            Err(_) => Err(Problem::Expected(EXPECTED).at(at)),
        }
    }

    /// A trace id, or `None` for an empty text and for all zeros.
    pub(super) fn trace(&mut self) -> Result<Option<TraceId>, DecodeError> {
        const EXPECTED: &str = "a trace id in 32 hexadecimal digits";
        let at = self.at();
        let digits = self.text_item(EXPECTED)?;
        if let Some(trace) = TraceId::from_digits(&digits) {
            if self.is_strict() && digits.iter().any(u8::is_ascii_uppercase) {
                return Err(Problem::NotCanonical(deviation::TRACE_CASE).at(at));
            }
            return Ok(Some(trace));
        }
        let is_nil = matches!(digits.len(), 0 | 32) && digits.iter().all(|digit| *digit == b'0');
        if is_nil { Ok(None) } else { Err(Problem::Expected(EXPECTED).at(at)) }
    }

    /// Passes over the timed hops; returns how many there are.
    pub(super) fn check_trail(&mut self) -> Result<u16, DecodeError> {
        let at = self.at();
        let mut left = self.len_of(Major::List, "a list of hops")?;
        let mut hops = 0u16;
        while self.more(&mut left)? {
            self.hop()?;
            hops = hops.checked_add(1).ok_or_else(|| Problem::Expected("fewer than 65536 hops").at(at))?;
        }
        Ok(hops)
    }

    /// One timed hop.
    pub(super) fn hop(&mut self) -> Result<Hop, DecodeError> {
        let at = self.at();
        let entries = self.map_head("a hop, which is a map")?;
        let (mut gear, mut port, mut unix_ns) = (None, None, None);
        self.check_entries(entries, |reader, key, at| {
            match std::str::from_utf8(key) {
                Ok(HOP_GEAR) => gear = Some(reader.id()?),
                Ok(HOP_PORT) => port = Some(reader.id()?),
                Ok(HOP_TIME) => unix_ns = Some(reader.int("nanoseconds in 64 bits")?),
                _ => reader.unknown(at)?,
            }
            Ok(())
        })?;
        let missing = |key| Problem::Missing(key).at(at);
        Ok(Hop {
            gear: gear.ok_or_else(|| missing(HOP_GEAR))?,
            port: port.ok_or_else(|| missing(HOP_PORT))?,
            unix_ns: unix_ns.ok_or_else(|| missing(HOP_TIME))?,
        })
    }

    /// The value under the unknown key at `key_at`: passed over, or refused in canonical mode.
    pub(super) fn unknown(&mut self, key_at: usize) -> Result<(), DecodeError> {
        if self.is_strict() {
            return Err(Problem::UnknownKey.at(key_at));
        }
        self.skip(ITEM_NESTING_MAX)
    }
}
