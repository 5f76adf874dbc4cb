//! Deterministic CBOR (RFC 8949 section 4.2.1): the one form in which a message leaves the process.
//!
//! A message is one map with text keys, in canonical order: shorter keys first, then bytewise. Empty fields are left
//! out; `id` and `ts` are always there.
//!
//! ```text
//! { "id": h'16 bytes', "ts": int,
//!   "raw": bytes, "data": any, "hops": uint, "meta": {text: text}, "path": [{"g": id, "p": id, "t": int}],
//!   "flags": uint, "trace": "32 hex digits", "ref_id": id, "src_id": id }
//! ```
//!
//! [`encode`] writes it and [`decode`] reads it back; [`Envelope`] reads without copying, and [`peek`] reads only the
//! identity. [`diagnose`], [`parse_diagnostic`] and [`canonicalize`] serve people, for any CBOR; [`to_json`] shows a
//! message and [`from_json`] reads it back.
//!
//! Bytes from outside are never trusted: no length is allocated before that many bytes are there, and nesting is
//! bounded by [`NESTING_MAX`].

mod canonicalize;
mod check;
mod diagnose;
mod encode;
mod envelope;
mod error;
mod field;
mod json;
mod notation;
mod peek;
mod quick;
mod reader;
mod typed;
mod value;
mod writer;

use bytes::Bytes;

pub use canonicalize::canonicalize;
pub use diagnose::diagnose;
pub use encode::{TooDeep, encode, encode_value};
pub use envelope::Envelope;
pub use error::{DecodeError, Problem};
pub use json::{JsonError, from_json, to_json};
pub use notation::{NotationError, parse_diagnostic};
pub use peek::{Header, peek};
pub use value::decode_value;

use crate::{FluxMsg, Limits, NESTING_MAX};

/// How much a decoder puts up with. Duplicate keys and malformed items are refused either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// For foreign writers: keys in any order, indefinite lengths, heads and floats longer than needed, empty fields,
    /// `null` for a field that is absent, and envelope keys we do not know, which are ignored.
    Lenient,
    /// Only what [`encode`] would have written: equal content means equal bytes.
    Canonical,
}

/// Levels of nesting in any item: a tree of [`NESTING_MAX`] inside its envelope, with a tagged bignum at the tip.
const ITEM_NESTING_MAX: usize = NESTING_MAX + 2;

/// The tags of a bignum (RFC 8949 section 3.4.3): unsigned, and negative as `-1 - n`.
const BIGNUM: u64 = 2;
const BIGNUM_NEGATIVE: u64 = 3;

/// Reads one message that fills `frame`. Byte strings are slices of the frame, not copies.
pub fn decode(frame: &Bytes, strictness: Strictness, limits: &Limits) -> Result<FluxMsg, DecodeError> {
    Envelope::decode_shared(frame, strictness, limits).map(|envelope| envelope.to_msg())
}
