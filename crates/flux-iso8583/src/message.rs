//! A message that is owned: fields are read and edited in place, and what was not edited is copied byte for byte.
//!
//! ```text
//! payload   0200 B23A... 164111...  000000  000000010000 ...      as received, shared, never written
//! arena                                     000000009900          fields that were set, in the order of the edits
//! spans     one per field, in order: offsets from 0 lie in the payload, those behind it in the arena
//! ```
//! Building copies runs of neighbouring spans with one `memcpy` each.

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use flux_signal::{Text, Value};

use crate::{
    composite::split,
    encoding::Encoding,
    error::{Expected, Fail, Place, WireError},
    input::Input,
    limits::MESSAGE_BYTES_MAX,
    mti,
    probe::{self, FieldIndex},
    spans::Span,
    spec::Spec,
};

/// Room for the bytes of edits to a received message; a new message takes more.
const ARENA_EDIT_BYTES: usize = 128;
const ARENA_NEW_BYTES: usize = 512;
/// Bytes that may lie unused in the arena before it is tidied.
const ARENA_WASTE_BYTES_MAX: usize = 4096;

/// An ISO 8583 message under its spec.
#[derive(Clone)]
pub struct Message {
    spec: Arc<Spec>,
    payload: Bytes,
    arena: Vec<u8>,
    index: FieldIndex,
    is_edited: bool,
    /// Bytes of all fields together.
    field_bytes: usize,
    /// Bytes of the arena that no span points at.
    waste_bytes: usize,
}

impl Message {
    /// A message without fields.
    pub fn new(spec: Arc<Spec>, mti: &str) -> Result<Message, WireError> {
        let mut message = Message {
            spec,
            payload: Bytes::new(),
            arena: Vec::with_capacity(ARENA_NEW_BYTES),
            index: FieldIndex::new(),
            is_edited: true,
            field_bytes: 0,
            waste_bytes: 0,
        };
        message.set_mti(mti)?;
        Ok(message)
    }

    /// Finds the fields of a message: message type, bitmaps and every length are checked, content is not.
    #[inline]
    pub fn parse(spec: Arc<Spec>, payload: Bytes) -> Result<Message, WireError> {
        let mut index = FieldIndex::new();
        index.read(&spec, &payload)?;
        Ok(Message {
            spec,
            field_bytes: payload.len(),
            payload,
            arena: Vec::new(),
            index,
            is_edited: false,
            waste_bytes: 0,
        })
    }

    /// [`Message::parse`] and [`Message::check`]: every field of the message can be read afterwards.
    pub fn decode(spec: Arc<Spec>, payload: Bytes) -> Result<Message, WireError> {
        let message = Message::parse(spec, payload)?;
        message.check()?;
        Ok(message)
    }

    /// Checks what is inside the fields: digits where digits belong, and every part of every composite.
    pub fn check(&self) -> Result<(), WireError> {
        probe::check(&self.spec, &self.index, |span| self.bytes_of(span))
    }

    /// The spec it is read and written by.
    pub fn spec(&self) -> &Arc<Spec> {
        &self.spec
    }

    /// The message type, four digits.
    pub fn mti(&self) -> &str {
        mti::text(&self.index.mti)
    }

    /// The exchange it belongs to: the message type of the request, which its repeats and answers share.
    pub fn exchange(&self) -> Text {
        let exchange = mti::exchange(self.mti()).expect("a message has a message type");
        mti::text(&exchange).into()
    }

    /// Sets the message type: four digits.
    pub fn set_mti(&mut self, mti: &str) -> Result<(), WireError> {
        match <[u8; 4]>::try_from(mti.as_bytes()) {
            Ok(digits) if digits.iter().all(u8::is_ascii_digit) => {
                self.is_edited |= self.index.mti != digits;
                self.index.mti = digits;
                Ok(())
            }
            _ => Err(WireError::new(Place::Mti, None, Expected::Mti)),
        }
    }

    /// The numbers of the fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = u8> + use<> {
        self.index.present.iter()
    }

    /// Whether it has a field.
    pub fn has(&self, field: u8) -> bool {
        self.index.present.contains(field)
    }

    /// Whether it differs from the payload it was read from.
    pub fn is_edited(&self) -> bool {
        self.is_edited
    }

    /// The content of a field as it stands on the wire, without its length prefix.
    pub fn raw(&self, field: u8) -> Option<&[u8]> {
        self.content(field).map(|(content, _)| content)
    }

    /// The decoded characters of a field, one byte each: the content itself for ASCII and Binary.
    pub fn characters(&self, field: u8) -> Option<Cow<'_, [u8]>> {
        let (content, units) = self.content(field)?;
        self.spec.field(field)?.characters(content, units).ok()
    }

    /// A field as one value, even if it has parts. `None` when it is absent or cannot be decoded.
    pub fn whole(&self, field: u8) -> Option<Value> {
        Some(self.spec.field(field)?.plain(&self.characters(field)?))
    }

    /// The value at `2` or `55.9F26`: text, bytes, or a map for a field with parts.
    pub fn get(&self, path: &str) -> Option<Value> {
        let (field, rest) = split(path);
        self.get_at(field.parse().ok()?, rest)
    }

    /// Sets the value at `2` or `55.9F26`. A field with parts takes a map of all its parts, or its content as a
    /// whole; binary fields take bytes, or hexadecimal text.
    pub fn set(&mut self, path: &str, value: &Value) -> Result<(), WireError> {
        let (field, rest) = split(path);
        let field =
            field.parse().map_err(|_| WireError::new(Place::Message, None, Expected::DefinedField))?;
        self.set_at(field, rest, value)
    }

    /// Sets a field to text.
    #[inline]
    pub fn set_text(&mut self, field: u8, text: &str) -> Result<(), WireError> {
        if self.put_plain(field, text.as_bytes()) {
            return Ok(());
        }
        self.put(field, None, &Input::Text(Cow::Borrowed(text)))
    }

    /// Removes what is at `2` or `55.9F26`; returns whether something was there.
    pub fn remove(&mut self, path: &str) -> bool {
        let (field, rest) = split(path);
        field.parse().is_ok_and(|field| self.remove_at(field, rest))
    }

    /// The message as bytes. An unedited one is the payload itself, shared.
    pub fn to_bytes(&self) -> Bytes {
        if !self.is_edited {
            return self.payload.clone();
        }
        let mut out = BytesMut::new();
        self.build(&mut out);
        out.freeze()
    }

    /// Appends the message to `out`.
    pub fn build(&self, out: &mut BytesMut) {
        if !self.is_edited {
            out.extend_from_slice(&self.payload);
            return;
        }
        out.reserve(self.field_bytes + 64);
        self.spec.write_mti(self.index.mti, out);
        self.index.present.write(self.spec.bitmap(), out);
        let Some((first, rest)) = self.index.spans.split_first() else { return };
        let mut run = *first;
        for span in rest {
            if span.head == run.end && span.head as usize != self.payload.len() {
                run.end = span.end;
            } else {
                out.extend_from_slice(self.bytes_of(run));
                run = *span;
            }
        }
        out.extend_from_slice(self.bytes_of(run));
    }

    /// Bytes held besides the payload.
    pub(crate) fn arena_bytes(&self) -> usize {
        self.arena.len()
    }

    pub(crate) fn get_at(&self, field: u8, path: Option<&str>) -> Option<Value> {
        let (content, units) = self.content(field)?;
        self.spec.field(field)?.value_at(content, units, path)
    }

    pub(crate) fn set_at(&mut self, field: u8, path: Option<&str>, value: &Value) -> Result<(), WireError> {
        if let (None, Value::Text(text)) = (path, value) {
            return self.set_text(field, text);
        }
        let input = Input::from_value(value).map_err(|f| WireError::encoding(Place::Field(field), f))?;
        self.put(field, path, &input)
    }

    pub(crate) fn remove_at(&mut self, field: u8, path: Option<&str>) -> bool {
        let Some(path) = path else { return self.take(field) };
        if self.get_at(field, Some(path)).is_none() {
            return false;
        }
        let edited = self.edited(field, Some(path), None);
        edited.and_then(|characters| self.store(field, &characters)).is_ok()
    }

    pub(crate) fn put(&mut self, field: u8, path: Option<&str>, input: &Input<'_>) -> Result<(), WireError> {
        let Some(known) = self.spec.data_field(field) else {
            return Err(WireError::new(Place::Field(field), None, Expected::DefinedField));
        };
        let characters = if known.composite.is_none() {
            known.characters_of(&[], path, Some(input))
        } else {
            self.edited(field, path, Some(input)).map(Cow::Owned)
        };
        characters
            .and_then(|characters| self.store(field, &characters))
            .map_err(|fail| WireError::encoding(Place::Field(field), fail))
    }

    /// Sets a field to text if that is simple; says whether it was.
    #[inline]
    fn put_plain(&mut self, field: u8, text: &[u8]) -> bool {
        let start = self.room();
        let has_written = self.spec.gauge(field).write(text, &mut self.arena);
        has_written && self.settle(field, start).is_ok()
    }

    /// The characters a field has after an edit.
    fn edited(&self, field: u8, path: Option<&str>, input: Option<&Input<'_>>) -> Result<Vec<u8>, Fail> {
        let known = self.spec.field(field).ok_or(Expected::DefinedField)?;
        let current = match self.content(field) {
            Some((content, units)) => known.characters(content, units)?,
            None => Cow::Borrowed(&[][..]),
        };
        Ok(known.characters_of(&current, path, input)?.into_owned())
    }

    /// Writes a field into the arena, unless it holds these characters already.
    fn store(&mut self, field: u8, characters: &[u8]) -> Result<(), Fail> {
        if self.characters(field).is_some_and(|current| *current == *characters) {
            return Ok(());
        }
        let start = self.room();
        let known = self.spec.field(field).ok_or(Expected::DefinedField)?;
        if let Err(expected) = known.write(characters, &mut self.arena) {
            self.arena.truncate(start);
            return Err(expected.into());
        }
        Ok(self.settle(field, start)?)
    }

    /// The end of the arena, which has room for a field.
    fn room(&mut self) -> usize {
        if self.arena.capacity() == 0 {
            self.arena.reserve(ARENA_EDIT_BYTES);
        }
        self.arena.len()
    }

    /// Makes what was written to the arena from `start` on the bytes of a field.
    fn settle(&mut self, field: u8, start: usize) -> Result<(), Expected> {
        // Fields are mostly set in order, each behind those before it.
        let is_last = self.index.present.ends_before(field);
        let rank = if is_last { self.index.spans.len() } else { self.index.present.rank(field) };
        let is_there = !is_last && self.index.present.contains(field);
        let old = if is_there { Some(self.index.spans[rank]) } else { None };
        let field_bytes =
            self.field_bytes - old.map_or(0, |span| span.range().len()) + (self.arena.len() - start);
        if field_bytes > MESSAGE_BYTES_MAX {
            self.arena.truncate(start);
            return Err(Expected::MessageBytes { max: MESSAGE_BYTES_MAX, got: field_bytes });
        }
        let base = self.payload.len();
        let span = Span::new(base + start..base + self.arena.len());
        match old {
            Some(_) => self.index.spans[rank] = span,
            None => {
                self.index.spans.insert(rank, span);
                self.index.present.insert(field);
            }
        }
        (self.field_bytes, self.is_edited) = (field_bytes, true);
        if let Some(old) = old {
            self.discard(old);
        }
        Ok(())
    }

    fn take(&mut self, field: u8) -> bool {
        let Some(span) = self.index.span(field) else { return false };
        self.index.spans.remove(self.index.present.rank(field));
        self.index.present.remove(field);
        self.field_bytes -= span.range().len();
        self.is_edited = true;
        self.discard(span);
        true
    }

    /// Counts what a span no longer uses of the arena, and tidies the arena when that is too much.
    fn discard(&mut self, span: Span) {
        if (span.head as usize) < self.payload.len() {
            return;
        }
        self.waste_bytes += span.range().len();
        if self.waste_bytes <= ARENA_WASTE_BYTES_MAX.max(self.arena.len() / 2) {
            return;
        }
        let base = self.payload.len();
        let mut arena = Vec::with_capacity(self.arena.len() - self.waste_bytes);
        for span in self.index.spans.iter_mut().filter(|span| span.head as usize >= base) {
            let range = span.range();
            let start = arena.len();
            arena.extend_from_slice(&self.arena[range.start - base..range.end - base]);
            *span = Span::new(base + start..base + arena.len());
        }
        (self.arena, self.waste_bytes) = (arena, 0);
    }

    fn content(&self, field: u8) -> Option<(&[u8], usize)> {
        self.spec.content(field, self.bytes_of(self.index.span(field)?))
    }

    /// The bytes of a span or of a run of spans, which lies in the payload or in the arena as a whole.
    fn bytes_of(&self, span: Span) -> &[u8] {
        let (range, base) = (span.range(), self.payload.len());
        if range.start < base {
            &self.payload[range]
        } else {
            &self.arena[range.start - base..range.end - base]
        }
    }
}

impl Spec {
    /// Appends a message type of four digits.
    fn write_mti(&self, mti: [u8; 4], out: &mut BytesMut) {
        match self.mti_encoding() {
            Encoding::Ascii => out.extend_from_slice(&mti),
            encoding => {
                let mut wire = Vec::with_capacity(self.mti_bytes());
                encoding.encode(&mti, false, &mut wire).expect("digits can be written in every encoding");
                out.extend_from_slice(&wire);
            }
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the content: it may be card data.
        let fields: Vec<u8> = self.fields().collect();
        f.debug_struct("Message").field("mti", &self.mti()).field("fields", &fields).finish_non_exhaustive()
    }
}
