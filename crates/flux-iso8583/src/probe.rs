//! Finds the fields of a message without copying, decoding or allocating.

use std::{borrow::Cow, ops::Range};

use smallvec::SmallVec;

use crate::{
    bitmap::Present,
    encoding::Encoding,
    error::{Expected, Place, WireError},
    gauge::Inside,
    limits::MESSAGE_BYTES_MAX,
    mti,
    spec::Spec,
};

/// Where the fields of one message are. Made once and used for many messages, it does not allocate.
#[derive(Debug, Clone, Default)]
pub struct FieldIndex {
    pub(crate) mti: [u8; 4],
    pub(crate) present: Present,
    /// One per field, in order; fewer than `present` says when the message was refused half way.
    pub(crate) spans: SmallVec<[Span; 24]>,
}

/// A field on the wire, its length prefix included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) head: u32,
    pub(crate) end: u32,
}

impl Span {
    #[inline]
    pub(crate) fn new(range: Range<usize>) -> Span {
        Span { head: range.start as u32, end: range.end as u32 }
    }

    #[inline]
    pub(crate) fn range(self) -> Range<usize> {
        self.head as usize..self.end as usize
    }
}

impl FieldIndex {
    /// An index of nothing.
    pub fn new() -> FieldIndex {
        FieldIndex::default()
    }

    pub(crate) fn span(&self, field: u8) -> Option<Span> {
        self.present.contains(field).then(|| self.spans.get(self.present.rank(field)).copied()).flatten()
    }

    /// The fields that were found, with their places.
    pub(crate) fn found(&self) -> impl Iterator<Item = (u8, Span)> {
        self.present.iter().zip(self.spans.iter().copied())
    }

    /// Finds the fields of `frame`. On a failure the index holds the fields before it.
    #[inline]
    pub(crate) fn read(&mut self, spec: &Spec, frame: &[u8]) -> Result<(), WireError> {
        self.present = Present::default();
        self.spans.clear();
        if frame.len() > MESSAGE_BYTES_MAX {
            let expected = Expected::MessageBytes { max: MESSAGE_BYTES_MAX, got: frame.len() };
            return Err(WireError::new(Place::Message, None, expected));
        }
        let start = spec.mti_bytes();
        self.mti = read_mti(spec, frame)?;
        let (present, taken) = Present::read(spec.bitmap(), &frame[start..])
            .map_err(|(at, expected)| WireError::new(Place::Bitmap, Some(start + at), expected))?;
        self.present = present;
        self.spans.resize(present.count(), Span::default());
        let mut at = start + taken;
        for (slot, field) in present.iter().enumerate() {
            match spec.gauge(field).end(spec.field(field), frame, at) {
                Ok(end) => {
                    self.spans[slot] = Span::new(at..end);
                    at = end;
                }
                Err(expected) => {
                    self.spans.truncate(slot);
                    return Err(WireError::new(Place::Field(field), Some(at), expected));
                }
            }
        }
        match frame.len() - at {
            0 => Ok(()),
            left => Err(WireError::new(Place::Message, Some(at), Expected::End { left })),
        }
    }
}

/// The digits of the message type; at least its bytes are there when it succeeds.
#[inline]
fn read_mti(spec: &Spec, frame: &[u8]) -> Result<[u8; 4], WireError> {
    let needed = spec.mti_bytes();
    let fail = |expected| WireError::new(Place::Mti, Some(0), expected);
    let raw = frame.get(..needed).ok_or_else(|| fail(Expected::Bytes { needed, left: frame.len() }))?;
    let digits = match spec.mti_encoding() {
        Encoding::Ascii => Cow::Borrowed(raw),
        encoding => encoding.decode(raw, 4, false).map_err(|_| fail(Expected::Mti))?,
    };
    match <[u8; 4]>::try_from(&*digits) {
        Ok(digits) if digits.iter().all(u8::is_ascii_digit) => Ok(digits),
        _ => Err(fail(Expected::Mti)),
    }
}

/// A message looked at in place.
#[derive(Clone, Copy)]
pub struct Probe<'a> {
    spec: &'a Spec,
    frame: &'a [u8],
    index: &'a FieldIndex,
}

impl<'a> Probe<'a> {
    /// Finds the fields of `frame`: message type, bitmaps, and the length of every field are checked, their content
    /// is not.
    #[inline]
    pub fn parse(spec: &'a Spec, frame: &'a [u8], index: &'a mut FieldIndex) -> Result<Probe<'a>, WireError> {
        index.read(spec, frame)?;
        Ok(Probe { spec, frame, index })
    }

    /// The message type, four digits.
    pub fn mti(&self) -> &'a str {
        mti::text(&self.index.mti)
    }

    /// The numbers of the fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = u8> + use<> {
        self.index.present.iter()
    }

    /// The content of a field as it stands on the wire, without its length prefix.
    pub fn raw(&self, field: u8) -> Option<&'a [u8]> {
        let (content, _) = self.spec.content(field, &self.frame[self.index.span(field)?.range()])?;
        Some(content)
    }

    /// The decoded characters of a field; one byte each. `None` when it is absent or cannot be decoded.
    pub fn characters(&self, field: u8) -> Option<Cow<'a, [u8]>> {
        let (content, units) = self.spec.content(field, &self.frame[self.index.span(field)?.range()])?;
        self.spec.field(field)?.characters(content, units).ok()
    }

    /// Checks what is inside the fields: digits where digits belong, and every part of every composite.
    pub fn check(&self) -> Result<(), WireError> {
        check(self.spec, self.index, |span| &self.frame[span.range()])
    }
}

/// Checks the content of every field of an index; `bytes_of` finds the bytes of a span.
pub(crate) fn check<'a>(
    spec: &Spec,
    index: &FieldIndex,
    bytes_of: impl Fn(Span) -> &'a [u8],
) -> Result<(), WireError> {
    for (field, span) in index.found() {
        let inside = spec.gauge(field).inside();
        if inside == Inside::Anything {
            continue;
        }
        let bytes = bytes_of(span);
        let Some((content, units)) = spec.content(field, bytes) else { continue };
        let is_fine = match (inside, spec.field(field)) {
            (Inside::AsciiDigits, _) => content.iter().fold(true, |ok, c| ok & c.is_ascii_digit()),
            (Inside::Anything, _) | (Inside::Field, None) => true,
            (Inside::Field, Some(known)) => known.check(content, units).is_ok(),
        };
        if !is_fine {
            let start = span.head as usize + (bytes.len() - content.len());
            return Err(explain(spec, field, content, units, start));
        }
    }
    Ok(())
}

#[cold]
fn explain(spec: &Spec, field: u8, content: &[u8], units: usize, start: usize) -> WireError {
    let fail = spec.field(field).and_then(|known| known.check(content, units).err());
    let fail = fail.expect("only a field whose check failed is explained");
    WireError::decoding(Place::Field(field), start, fail)
}
