//! The fast way in: reads a message as our own encoder writes it, and gives up at the first surprise.
//!
//! What is given up is read again by the general reader, which knows every form and every complaint. What is accepted
//! here, the general reader accepts in canonical mode, with the same fields.

use std::{borrow::Cow, cmp::Ordering};

use super::{
    Strictness,
    envelope::Draft,
    field::Field,
    peek::Header,
    reader::Reader,
    writer::{Major, head_width},
};
use crate::{FluxId, NESTING_MAX, TraceId, value::canonical};

/// A message whose fields are all in canonical form, yet to be judged as a whole.
pub(super) fn read(bytes: &[u8]) -> Option<Draft<'_>> {
    let mut quick = Quick::new(bytes)?;
    let mut draft = Draft::default();
    let (id, born_unix_ns) = quick.identity()?;
    draft.id = Some(id);
    draft.born_unix_ns = Some(born_unix_ns);
    if quick.key(Field::Raw) {
        let payload = quick.string(Major::Bytes).filter(|payload| !payload.is_empty())?;
        draft.payload = Cow::Borrowed(payload);
        draft.weight_bytes += payload.len();
    }
    if quick.key(Field::Data) {
        draft.fields.data = Some(quick.general(|reader| {
            let weight = if reader.null() { None } else { reader.check_value(NESTING_MAX).ok() };
            draft.weight_bytes += weight?;
            Some(())
        })?);
    }
    if quick.key(Field::Hops) {
        draft.fields.hops = u16::try_from(quick.positive()?).ok()?;
    }
    if quick.key(Field::Meta) {
        let (metadata, weight) = quick.metadata()?;
        draft.fields.metadata = Some(metadata);
        draft.weight_bytes += weight;
    }
    if quick.key(Field::Path) {
        draft.fields.trail = Some(quick.general(|reader| {
            draft.fields.hops_timed = reader.check_trail().ok().filter(|hops| *hops > 0)?;
            Some(())
        })?);
    }
    if quick.key(Field::Flags) {
        draft.flags = u32::try_from(quick.positive()?).ok()?;
    }
    if quick.key(Field::Trace) {
        let digits = quick.string(Major::Text)?;
        draft.trace =
            Some(TraceId::from_digits(digits).filter(|_| !digits.iter().any(u8::is_ascii_uppercase))?);
    }
    if quick.key(Field::RefId) {
        draft.cause = Some(quick.id()?);
    }
    if quick.key(Field::SrcId) {
        draft.source = Some(quick.id()?);
    }
    (quick.pairs == 0 && quick.rest.is_empty()).then_some(draft)
}

/// The header, if it is where our encoder puts it. Nothing after the payload's length is looked at.
pub(super) fn peek(bytes: &[u8]) -> Option<Header> {
    let mut quick = Quick::new(bytes)?;
    let (id, born_unix_ns) = quick.identity()?;
    if !quick.key(Field::Raw) {
        return None;
    }
    let payload_bytes = quick.string(Major::Bytes)?.len();
    Some(Header { id, born_unix_ns, payload_bytes })
}

struct Quick<'a> {
    rest: &'a [u8],
    /// Pairs of the envelope to come.
    pairs: u8,
}

impl<'a> Quick<'a> {
    /// Opens the map of an envelope.
    #[inline]
    fn new(bytes: &'a [u8]) -> Option<Quick<'a>> {
        let (first, rest) = bytes.split_first()?;
        let pairs = first.checked_sub((Major::Map as u8) << 5).filter(|pairs| *pairs < 24)?;
        Some(Quick { rest, pairs })
    }

    /// Passes over the key of a field, if that is next.
    #[inline(always)]
    fn key(&mut self, field: Field) -> bool {
        let Some(rest) = self.rest.strip_prefix(field.encoded()) else { return false };
        self.rest = rest;
        // More keys than the map has pairs: what is left will not be zero.
        self.pairs = self.pairs.wrapping_sub(1);
        true
    }

    /// The two fields that every message has.
    #[inline]
    fn identity(&mut self) -> Option<(FluxId, i64)> {
        if !self.key(Field::Id) {
            return None;
        }
        let id = self.id()?;
        if !self.key(Field::Ts) {
            return None;
        }
        Some((id, self.int()?))
    }

    #[inline]
    fn id(&mut self) -> Option<FluxId> {
        let (id, rest) = self.rest.strip_prefix(b"\x50")?.split_first_chunk()?;
        self.rest = rest;
        FluxId::from_bytes(*id)
    }

    #[inline]
    fn int(&mut self) -> Option<i64> {
        let is_negative = self.rest.first()? >> 5 == Major::Nint as u8;
        let number = self.number(if is_negative { Major::Nint } else { Major::Uint })?;
        i64::try_from(number).ok().map(|n| if is_negative { !n } else { n })
    }

    #[inline]
    fn positive(&mut self) -> Option<u64> {
        self.number(Major::Uint).filter(|n| *n > 0)
    }

    /// A string of definite length.
    #[inline]
    fn string(&mut self, major: Major) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number(major)?).ok()?;
        let (content, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(content)
    }

    /// The number in the head of an item of `major` type, if it is as short as can be.
    #[inline]
    fn number(&mut self, major: Major) -> Option<u64> {
        let (first, rest) = self.rest.split_first()?;
        let info = first ^ (major as u8) << 5;
        let width = match info {
            0..=23 => {
                self.rest = rest;
                return Some(info.into());
            }
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return None,
        };
        let (digits, rest) = rest.split_at_checked(width)?;
        self.rest = rest;
        let mut number = [0; 8];
        number[8 - width..].copy_from_slice(digits);
        Some(u64::from_be_bytes(number)).filter(|number| head_width(*number) == width)
    }

    /// A map of texts that is not empty, as it is encoded, and the bytes of its keys and values.
    fn metadata(&mut self) -> Option<(&'a [u8], usize)> {
        let start = self.rest;
        let count = self.number(Major::Map).filter(|count| *count > 0)?;
        let texts = self.rest;
        let mut last = None;
        let mut weight = 0;
        for _ in 0..count {
            let key = self.string(Major::Text)?;
            if last.is_some_and(|last: &[u8]| canonical(last, key) != Ordering::Less) {
                return None;
            }
            last = Some(key);
            weight += key.len() + self.string(Major::Text)?.len();
        }
        // Heads of texts are ASCII up to a length of 127. So one look at all of them settles it, nearly always.
        let texts = &texts[..texts.len() - self.rest.len()];
        if !texts.is_ascii() && !(Quick { rest: texts, pairs: 0 }).are_utf8() {
            return None;
        }
        Some((&start[..start.len() - self.rest.len()], weight))
    }

    /// Whether each of the texts to come is UTF-8.
    fn are_utf8(mut self) -> bool {
        while let Some(text) = self.string(Major::Text) {
            if std::str::from_utf8(text).is_err() {
                return false;
            }
        }
        self.rest.is_empty()
    }

    /// An item that is left to the general reader.
    fn general(&mut self, check: impl FnOnce(&mut Reader<'a>) -> Option<()>) -> Option<&'a [u8]> {
        let mut reader = Reader::new(self.rest, Strictness::Canonical);
        check(&mut reader)?;
        let (item, rest) = self.rest.split_at(reader.at());
        self.rest = rest;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FluxMsg, Hop, Limits, cbor, cbor::envelope::read_any};

    #[test]
    fn our_own_messages_never_surprise_and_read_as_the_general_reader_reads_them() {
        let id = FluxId::v7(1, 2);
        let bare = FluxMsg::new(id, -1_700_000_000_000_000_000, &b""[..]);
        let mut full = FluxMsg::new(id, 7, vec![0; 70_000]);
        full.cause = Some(id);
        full.source = Some(id);
        full.trace = TraceId::new(1);
        full.flags = u32::MAX;
        full.metadata = (0..30).map(|n| (n.to_string(), "ü".repeat(10 * n))).collect();
        full.data.set("a.b", 1.into()).unwrap();
        full.set_hops(300, vec![Hop { gear: id, port: id, unix_ns: -1 }]);
        let limits = Limits { hops_max: 300, ..Limits::DEFAULT };
        for msg in [bare, full] {
            let mut bytes = Vec::new();
            cbor::encode(&msg, &mut bytes).unwrap();
            let general = read_any(&bytes, None, Strictness::Canonical, &limits).unwrap().to_msg();
            let quick = read(&bytes).unwrap().finish(None, Strictness::Canonical, &limits).unwrap().to_msg();
            for read in [general, quick] {
                let mut again = Vec::new();
                cbor::encode(&read, &mut again).unwrap();
                assert!(again == bytes, "{msg:?}");
            }
            assert_eq!(peek(&bytes).is_some(), !msg.payload.is_empty());
        }
    }

    #[test]
    fn other_forms_are_left_to_the_general_reader() {
        let check = |fields: &str| {
            let id = "\"id\": h'01980000000070008000000000000001'";
            let bytes = cbor::parse_diagnostic(&format!("{{{id}, \"ts\": 1, {fields}}}")).unwrap();
            let strict = cbor::Envelope::decode(&bytes, Strictness::Canonical, &Limits::DEFAULT);
            assert!(read(&bytes).is_none() && strict.is_err(), "{fields}");
        };
        check(r#""raw": h''"#);
        check(r#""data": null"#);
        check(r#""hops": 0"#);
        check(r#""meta": {}"#);
        check(r#""meta": {"b": "1", "a": "2"}"#);
        check(r#""meta": {"a": "1", "a": "2"}"#);
        check(r#""meta": {_ "a": "1"}"#);
        check(r#""path": []"#);
        check(r#""flags": 0"#);
        check(r#""trace": "00000000000000000000000000000000""#);
        check(r#""trace": "4BF92F3577B34DA6A3CE929D0E0E4736""#);
        check(r#""ref_id": h'00000000000000000000000000000000'"#);
        check(r#""other": 1"#);
    }
}
