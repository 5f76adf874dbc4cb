//! A message read in place: validated as a whole, copied only where asked.

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    DecodeError, Problem, Strictness,
    check::KEY,
    error::deviation,
    field::Field,
    quick,
    reader::{Item, Len, Reader},
    value::share,
};
use crate::{Data, FluxId, FluxMsg, Hop, Limits, NESTING_MAX, TraceId, Value};

/// A validated message that still lies in its encoded bytes.
///
/// Strings are borrowed, unless a foreign writer sent them in chunks. Metadata, data and hops stay encoded until asked
/// for.
#[derive(Clone)]
pub struct Envelope<'a> {
    /// Who it is.
    pub id: FluxId,
    /// The message it answers or derives from.
    pub cause: Option<FluxId>,
    /// The W3C trace it belongs to.
    pub trace: Option<TraceId>,
    /// The gear that brought it in.
    pub source: Option<FluxId>,
    /// Nanoseconds since the Unix epoch at which it was made; 0 where a foreign writer left it out.
    pub born_unix_ns: i64,
    /// Bit 0 marks a probe; the others are reserved and kept.
    pub flags: u32,
    /// The bytes as received or to be sent.
    pub payload: Cow<'a, [u8]>,
    fields: Undecoded<'a>,
    weight_bytes: usize,
    frame: Option<&'a Bytes>,
}

/// What stays encoded: each a whole, validated item.
#[derive(Clone, Default)]
pub(super) struct Undecoded<'a> {
    pub(super) data: Option<&'a [u8]>,
    pub(super) metadata: Option<&'a [u8]>,
    pub(super) trail: Option<&'a [u8]>,
    pub(super) hops: u16,
    pub(super) hops_timed: u16,
}

impl<'a> Envelope<'a> {
    /// Validates one message that fills `bytes`.
    pub fn decode(
        bytes: &'a [u8],
        strictness: Strictness,
        limits: &Limits,
    ) -> Result<Envelope<'a>, DecodeError> {
        read(bytes, None, strictness, limits)
    }

    /// Validates one message that fills `frame`; [`Envelope::to_msg`] will share the frame instead of copying.
    pub fn decode_shared(
        frame: &'a Bytes,
        strictness: Strictness,
        limits: &Limits,
    ) -> Result<Envelope<'a>, DecodeError> {
        read(frame, Some(frame), strictness, limits)
    }

    /// Ports passed so far: what the message says, or the number of its timed hops if that is more.
    pub fn hops(&self) -> u16 {
        self.fields.hops.max(self.fields.hops_timed)
    }

    /// The metadata, in the order of the encoding.
    pub fn metadata(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        elements(self.fields.metadata, |reader| Ok((reader.str_item(KEY)?, reader.str_item("a text")?)))
    }

    /// The data, still encoded.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.fields.data
    }

    /// The data as a tree; `Null` where there is none.
    pub fn data_value(&self) -> Value {
        let Some(data) = self.fields.data else { return Value::Null };
        Reader::new(data, Strictness::Lenient).value(self.frame).expect(VALIDATED)
    }

    /// The timed hops.
    pub fn trail(&self) -> impl Iterator<Item = Hop> + use<'a> {
        elements(self.fields.trail, |reader| reader.hop())
    }

    /// Bytes of payload, metadata and data: what [`FluxMsg::weight_bytes`] will say.
    pub fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }

    /// The message itself. It owns nothing of the frame but shared slices of it.
    pub fn to_msg(&self) -> FluxMsg {
        let mut msg = FluxMsg::new(self.id, self.born_unix_ns, share(self.frame, self.payload.clone()));
        msg.cause = self.cause;
        msg.trace = self.trace;
        msg.source = self.source;
        msg.flags = self.flags;
        msg.metadata = self.metadata().collect();
        msg.data = Data::from(self.data_value());
        msg.set_hops(self.fields.hops, self.trail().collect());
        msg
    }
}

const VALIDATED: &str = "the envelope was validated as a whole";

/// The elements of a validated list or map.
fn elements<'a, T>(
    item: Option<&'a [u8]>,
    next: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> impl Iterator<Item = T> {
    let mut reader = Reader::new(item.unwrap_or_default(), Strictness::Lenient);
    let mut left = match item.map(|_| reader.item().expect(VALIDATED)) {
        Some(Item::List(len) | Item::Map(len)) => len,
        _ => Len::Definite(0),
    };
    std::iter::from_fn(move || {
        reader.more(&mut left).expect(VALIDATED).then(|| next(&mut reader).expect(VALIDATED))
    })
}

fn read<'a>(
    bytes: &'a [u8],
    frame: Option<&'a Bytes>,
    strictness: Strictness,
    limits: &Limits,
) -> Result<Envelope<'a>, DecodeError> {
    match quick::read(bytes) {
        Some(draft) => draft.finish(frame, strictness, limits),
        None => read_any(bytes, frame, strictness, limits),
    }
}

/// The general reader: every form, every complaint.
pub(super) fn read_any<'a>(
    bytes: &'a [u8],
    frame: Option<&'a Bytes>,
    strictness: Strictness,
    limits: &Limits,
) -> Result<Envelope<'a>, DecodeError> {
    let mut reader = Reader::new(bytes, strictness);
    let entries = reader.map_head("a message, which is a map")?;
    let mut draft = Draft::default();
    reader.check_entries(entries, |reader, key, at| match Field::of(key) {
        Some(field) => draft.read(field, reader),
        None => reader.unknown(at),
    })?;
    reader.end()?;
    draft.finish(frame, strictness, limits)
}

/// What is known of a message halfway through its envelope.
#[derive(Default)]
pub(super) struct Draft<'a> {
    pub(super) id: Option<FluxId>,
    pub(super) cause: Option<FluxId>,
    pub(super) trace: Option<TraceId>,
    pub(super) source: Option<FluxId>,
    pub(super) born_unix_ns: Option<i64>,
    pub(super) flags: u32,
    pub(super) payload: Cow<'a, [u8]>,
    pub(super) fields: Undecoded<'a>,
    pub(super) weight_bytes: usize,
}

impl<'a> Draft<'a> {
    /// Reads the value of one field.
    fn read(&mut self, field: Field, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        let at = reader.at();
        if reader.null() {
            return reader.deviates(deviation::EMPTY_FIELD, at);
        }
        let is_empty = match field {
            Field::Id => {
                self.id = Some(reader.id()?);
                false
            }
            Field::Ts => {
                self.born_unix_ns = Some(reader.int("nanoseconds in 64 bits")?);
                false
            }
            Field::Raw => {
                self.payload = reader.byte_string("a byte string")?;
                self.weight_bytes += self.payload.len();
                self.payload.is_empty()
            }
            Field::Data => {
                self.weight_bytes += reader.check_value(NESTING_MAX)?;
                self.fields.data = Some(reader.since(at));
                false
            }
            Field::Hops => {
                self.fields.hops = reader.int("a hop count in 16 bits")?;
                self.fields.hops == 0
            }
            Field::Meta => {
                let entries = reader.map_head("a map of texts")?;
                let mut is_empty = true;
                reader.check_entries(entries, |reader, key, _| {
                    self.weight_bytes += key.len() + reader.text_item("a text")?.len();
                    is_empty = false;
                    Ok(())
                })?;
                self.fields.metadata = Some(reader.since(at));
                is_empty
            }
            Field::Path => {
                self.fields.hops_timed = reader.check_trail()?;
                self.fields.trail = Some(reader.since(at));
                self.fields.hops_timed == 0
            }
            Field::Flags => {
                self.flags = reader.int("flags in 32 bits")?;
                self.flags == 0
            }
            Field::Trace => {
                self.trace = reader.trace()?;
                self.trace.is_none()
            }
            Field::RefId => {
                self.cause = reader.id_or_nil()?;
                self.cause.is_none()
            }
            Field::SrcId => {
                self.source = reader.id_or_nil()?;
                self.source.is_none()
            }
        };
        if is_empty { reader.deviates(deviation::EMPTY_FIELD, at) } else { Ok(()) }
    }

    /// Judges the message as a whole; offset 0 stands for that.
    pub(super) fn finish(
        self,
        frame: Option<&'a Bytes>,
        strictness: Strictness,
        limits: &Limits,
    ) -> Result<Envelope<'a>, DecodeError> {
        let id = self.id.ok_or_else(|| Problem::Missing(Field::Id.key()).at(0))?;
        if strictness == Strictness::Canonical {
            if self.born_unix_ns.is_none() {
                return Err(Problem::Missing(Field::Ts.key()).at(0));
            }
            if self.fields.hops < self.fields.hops_timed {
                return Err(Problem::NotCanonical(deviation::HOPS).at(0));
            }
        }
        let envelope = Envelope {
            id,
            cause: self.cause,
            trace: self.trace,
            source: self.source,
            born_unix_ns: self.born_unix_ns.unwrap_or(0),
            flags: self.flags,
            payload: self.payload,
            fields: self.fields,
            weight_bytes: self.weight_bytes,
            frame,
        };
        limits
            .check_measures(envelope.hops(), envelope.weight_bytes)
            .map_err(|over| Problem::Limit(over).at(0))?;
        Ok(envelope)
    }
}
