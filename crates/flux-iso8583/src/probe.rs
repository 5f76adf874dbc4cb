//! Finds the fields of a message without copying, decoding or allocating.

use std::borrow::Cow;

use crate::{
    bitmap::{Present, take_lowest},
    encoding::{Encoding, all_digits},
    error::{Expected, Place, WireError},
    field::Inside,
    limits::MESSAGE_BYTES_MAX,
    mti,
    spans::{Span, Spans},
    spec::Spec,
};

/// Where the fields of one message are. Made once and used for many messages, it does not allocate.
#[derive(Debug, Clone, Default)]
pub struct FieldIndex {
    pub(crate) mti: [u8; 4],
    pub(crate) present: Present,
    /// One per field, in order; fewer than `present` says when the message was refused half way.
    pub(crate) spans: Spans,
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
        self.spans.set_len(0);
        if frame.len() > MESSAGE_BYTES_MAX {
            let expected = Expected::MessageBytes { max: MESSAGE_BYTES_MAX, got: frame.len() };
            return Err(WireError::new(Place::Message, None, expected));
        }
        let start = spec.mti_bytes();
        self.mti = read_mti(spec, frame)?;
        let (present, taken) = match Present::read(spec.bitmap(), &frame[start..]) {
            Ok(read) => read,
            Err(at) => return Err(refused_bitmap(spec, frame, start + at)),
        };
        self.present = present;
        let at = self.locate(spec, frame, start + taken)?;
        match frame.len() - at {
            0 => Ok(()),
            left => Err(WireError::new(Place::Message, Some(at), Expected::End { left })),
        }
    }
}

impl FieldIndex {
    /// Finds the span of every field that is present; returns where the last one ends.
    #[inline]
    fn locate(&mut self, spec: &Spec, frame: &[u8], start: usize) -> Result<usize, WireError> {
        let (mut at, mut count) = (start, 0);
        for ((mut bits, first), gauges) in self.present.words().zip(spec.gauges()) {
            while bits != 0 {
                let place = take_lowest(&mut bits);
                let mut end = gauges[place].end(frame, at);
                if end > frame.len() {
                    end = match measured(spec, first + place as u8, frame, at) {
                        Ok(end) => end,
                        Err(error) => {
                            self.spans.set_len(count);
                            return Err(error);
                        }
                    };
                }
                self.spans.write(count, Span::new(at..end));
                count += 1;
                at = end;
            }
        }
        self.spans.set_len(count);
        Ok(at)
    }
}

/// Where a field ends whose gauge does not tell.
#[cold]
fn measured(spec: &Spec, field: u8, frame: &[u8], at: usize) -> Result<usize, WireError> {
    let measured = match spec.field(field) {
        Some(known) => known.measure(&frame[at..]),
        None => Err(Expected::DefinedField),
    };
    match measured {
        Ok(extent) => Ok(at + extent.end),
        Err(expected) => Err(WireError::new(Place::Field(field), Some(at), expected)),
    }
}

#[cold]
fn refused_bitmap(spec: &Spec, frame: &[u8], at: usize) -> WireError {
    WireError::new(Place::Bitmap, Some(at), Present::refusal(spec.bitmap(), &frame[at..]))
}

/// The digits of the message type; at least its bytes are there when it succeeds.
#[inline]
fn read_mti(spec: &Spec, frame: &[u8]) -> Result<[u8; 4], WireError> {
    let needed = spec.mti_bytes();
    let fail = |expected| WireError::new(Place::Mti, Some(0), expected);
    let raw = frame.get(..needed).ok_or_else(|| fail(Expected::Bytes { needed, left: frame.len() }))?;
    let digits = match (spec.mti_encoding(), raw.first_chunk::<4>()) {
        (Encoding::Ascii, Some(digits)) => *digits,
        (encoding, _) => {
            let digits = encoding.decode(raw, 4, false).map_err(|_| fail(Expected::Mti))?;
            digits.first_chunk::<4>().copied().ok_or_else(|| fail(Expected::Mti))?
        }
    };
    if all_digits(&digits) { Ok(digits) } else { Err(fail(Expected::Mti)) }
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
    let mut spans = index.spans.iter();
    for ((mut bits, first), gauges) in index.present.words().zip(spec.gauges()) {
        while bits != 0 {
            let place = take_lowest(&mut bits);
            let Some(span) = spans.next() else { break };
            let (field, gauge) = (first + place as u8, gauges[place]);
            let is_fine = match gauge.inside() {
                Inside::Anything => true,
                Inside::Digits if gauge.ascii_content(bytes_of(*span)).is_some_and(all_digits) => true,
                Inside::Digits | Inside::Field => is_readable(spec, field, bytes_of(*span)),
            };
            if !is_fine {
                return Err(explain(spec, field, bytes_of(*span), span.head as usize));
            }
        }
    }
    Ok(())
}

fn is_readable(spec: &Spec, field: u8, bytes: &[u8]) -> bool {
    let known = spec.field(field).zip(spec.content(field, bytes));
    known.is_none_or(|(known, (content, units))| known.check(content, units).is_ok())
}

#[cold]
fn explain(spec: &Spec, field: u8, bytes: &[u8], start: usize) -> WireError {
    let content = spec.content(field, bytes);
    let known = spec.field(field).zip(content);
    let (known, (content, units)) = known.expect("only a field that was found is checked");
    let fail = known.check(content, units).expect_err("only a field whose check failed is explained");
    WireError::decoding(Place::Field(field), start + bytes.len() - content.len(), fail)
}
