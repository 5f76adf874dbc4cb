//! What can be wrong with encoded bytes, and where.

use crate::{LimitError, NESTING_MAX};

/// Bytes that were refused. Holds no content: it may be card data.
///
/// One pointer wide, so that a `Result` of the hot path stays in registers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {} of the CBOR: {}", .0.offset, .0.problem)]
pub struct DecodeError(Box<Refusal>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    offset: usize,
    problem: Problem,
}

impl DecodeError {
    /// Where the item in question begins, or the text that is not UTF-8, counted from the first byte; 0 for the message
    /// as a whole.
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &Problem {
        &self.0.problem
    }
}

/// Why bytes were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// An item was announced and is not there.
    #[error("the input ends inside an item")]
    Truncated,
    /// A string, list or map claims more than is left.
    #[error("its length goes beyond the end of the input")]
    TooLong,
    /// Something follows the item.
    #[error("bytes follow the item")]
    Trailing,
    /// Additional information 28 to 30, or an indefinite length where there is none.
    #[error("a reserved first byte")]
    Reserved,
    /// A break outside an indefinite length, or instead of a map's value.
    #[error("a break that ends nothing")]
    StrayBreak,
    /// A simple value below 32 in two bytes.
    #[error("a simple value below 32 in two bytes")]
    BadSimple,
    /// A chunk of an indefinite-length string that is not a definite-length string of the same kind.
    #[error("a chunk of another kind than its string")]
    BadChunk,
    /// Text that is not UTF-8.
    #[error("text that is not UTF-8")]
    NotUtf8,
    /// Nested deeper than [`NESTING_MAX`].
    #[error("nested deeper than {NESTING_MAX} levels")]
    TooDeep,
    /// A key that the map already has.
    #[error("a duplicate key")]
    DuplicateKey,
    /// Another kind of item than the field takes.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The envelope lacks a field that must be there.
    #[error("the message has no `{0}`")]
    Missing(&'static str),
    /// A key that no field has. Only in canonical mode.
    #[error("an unknown key")]
    UnknownKey,
    /// Not what our encoder would have written. Only in canonical mode.
    #[error("not canonical: {0}")]
    NotCanonical(&'static str),
    /// A well-formed message over its limits.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

impl Problem {
    #[cold]
    pub(super) fn at(self, offset: usize) -> DecodeError {
        DecodeError(Box::new(Refusal { offset, problem: self }))
    }
}

/// The ways to be well-formed and yet not canonical.
pub(super) mod deviation {
    pub(crate) const LONG_HEAD: &str = "a longer head than its number needs";
    pub(crate) const INDEFINITE: &str = "an indefinite length";
    pub(crate) const LONG_FLOAT: &str = "a longer float than its value needs";
    pub(crate) const OTHER_NAN: &str = "a NaN other than f97e00";
    pub(crate) const KEY_ORDER: &str = "keys out of order";
    pub(crate) const BIGNUM: &str = "a bignum with leading zeros, or that an integer holds";
    pub(crate) const EMPTY_FIELD: &str = "an empty field, which is left out";
    pub(crate) const TRACE_CASE: &str = "a trace id with capital digits";
    pub(crate) const HOPS: &str = "fewer hops than its path";
}
