//! Builds a [`Value`] from its encoding.

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    DecodeError, Problem, Strictness,
    check::{KEY, narrow},
    reader::{Item, Len, Reader},
};
use crate::{Limits, Map, NESTING_MAX, Simple, Value};

/// Reads one value that fills `frame`. Byte strings are slices of the frame, not copies. Of `limits` the weight counts.
///
/// A map whose keys are not text is refused: no [`Value`] holds it.
pub fn decode_value(frame: &Bytes, strictness: Strictness, limits: &Limits) -> Result<Value, DecodeError> {
    let mut reader = Reader::new(frame, strictness);
    let bytes = reader.check_value(NESTING_MAX)?;
    reader.end()?;
    limits.check_measures(0, bytes).map_err(|over| Problem::Limit(over).at(0))?;
    reader.rewound(0).value(Some(frame))
}

impl Reader<'_> {
    /// Builds the next value, which [`Reader::check_value`] has passed: so its depth and weight are known to be fine.
    pub(super) fn value(&mut self, frame: Option<&Bytes>) -> Result<Value, DecodeError> {
        Ok(match self.item()? {
            Item::Uint(n) => Value::integer(i128::from(n)),
            Item::Nint(n) => Value::integer(!i128::from(n)),
            Item::Float(float) => Value::Float(float),
            Item::Bytes(len) => Value::Bytes(share(frame, self.bytes(len)?)),
            Item::Text(len) => Value::Text(self.text(len)?.into()),
            Item::List(mut left) => {
                let mut list = Vec::with_capacity(expected(left));
                while self.more(&mut left)? {
                    list.push(self.value(frame)?);
                }
                Value::List(list)
            }
            Item::Map(mut left) => {
                let mut entries = Vec::with_capacity(expected(left));
                while self.more(&mut left)? {
                    entries.push((self.str_item(KEY)?.into(), self.value(frame)?));
                }
                Value::Map(Map::from_entries(entries))
            }
            Item::Tag(tag) => match self.magnitude(tag)? {
                Some(magnitude) => match narrow(tag, &magnitude) {
                    Some(n) => Value::integer(n),
                    None => Value::Tag(Box::new((tag, Value::Bytes(share(frame, magnitude))))),
                },
                None => Value::Tag(Box::new((tag, self.value(frame)?))),
            },
            Item::Simple(20) => Value::Bool(false),
            Item::Simple(21) => Value::Bool(true),
            Item::Simple(22) => Value::Null,
            Item::Simple(number) => {
                Value::Simple(Simple::new(number).expect("the reader refuses what does not exist"))
            }
        })
    }
}

/// Elements to make room for: a definite length is bounded by the input, and its weight was checked.
fn expected(len: Len) -> usize {
    match len {
        Len::Definite(n) => n,
        Len::UntilBreak => 0,
    }
}

/// The bytes as a slice of the frame they lie in, or copied where there is none.
pub(super) fn share(frame: Option<&Bytes>, bytes: Cow<'_, [u8]>) -> Bytes {
    match (frame, bytes) {
        (Some(frame), Cow::Borrowed(slice)) => frame.slice_ref(slice),
        (None, Cow::Borrowed(slice)) => Bytes::copy_from_slice(slice),
        (_, Cow::Owned(joined)) => joined.into(),
    }
}
