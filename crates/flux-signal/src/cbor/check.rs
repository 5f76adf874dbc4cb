//! Validates encoded values without building them, and weighs what they would be.

use std::{borrow::Cow, cmp::Ordering};

use super::{
    BIGNUM, DecodeError, ITEM_NESTING_MAX, Problem,
    error::deviation,
    reader::{Item, Len, Reader},
};
use crate::value::canonical;

impl<'a> Reader<'a> {
    /// Passes over one item that a [`Value`](crate::Value) can hold, at most `room` levels deep. Returns the weight
    /// that the value would have.
    pub(super) fn check_value(&mut self, room: usize) -> Result<usize, DecodeError> {
        let at = self.at();
        let inner = || room.checked_sub(1).ok_or_else(|| Problem::TooDeep.at(at));
        match self.item()? {
            Item::Uint(n) | Item::Nint(n) => Ok(if i64::try_from(n).is_ok() { 8 } else { 16 }),
            Item::Simple(_) | Item::Float(_) => Ok(8),
            Item::Bytes(len) => self.bytes(len).map(|bytes| 8 + bytes.len()),
            Item::Text(len) => self.utf8(len).map(|text| 8 + text.len()),
            Item::List(mut left) => {
                let inner = inner()?;
                let mut weight = 8;
                while self.more(&mut left)? {
                    weight += self.check_value(inner)?;
                }
                Ok(weight)
            }
            Item::Map(len) => {
                let inner = inner()?;
                let mut weight = 8;
                self.check_entries(len, |reader, key, _| {
                    weight += key.len() + reader.check_value(inner)?;
                    Ok(())
                })?;
                Ok(weight)
            }
            Item::Tag(tag) => match self.magnitude(tag)? {
                Some(magnitude) => match narrow(tag, &magnitude) {
                    Some(n) => Ok(if i64::try_from(n).is_ok() { 8 } else { 16 }),
                    None => inner().map(|_| 16 + magnitude.len()),
                },
                None => Ok(8 + self.check_value(inner()?)?),
            },
        }
    }

    /// Passes over the entries of a map with text keys, which must all differ. `value` is called between a key and
    /// its value, with the key's bytes and offset, and passes over the value.
    #[inline]
    pub(super) fn check_entries(
        &mut self,
        len: Len,
        mut value: impl FnMut(&mut Reader<'a>, &[u8], usize) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let start = self.at();
        let mut left = len;
        let mut last: Option<Cow<'a, [u8]>> = None;
        let mut ascending = true;
        while self.more(&mut left)? {
            let at = self.at();
            let key = self.text_item(KEY)?;
            // Keys that ascend cannot repeat; only if they do not, all of them are compared in the end.
            match last.map_or(Ordering::Less, |last| canonical(&last, &key)) {
                Ordering::Less => {}
                Ordering::Equal => return Err(Problem::DuplicateKey.at(at)),
                Ordering::Greater => {
                    self.deviates(deviation::KEY_ORDER, at)?;
                    ascending = false;
                }
            }
            value(self, &key, at)?;
            last = Some(key);
        }
        if ascending { Ok(()) } else { self.rewound(start).refuse_duplicates(len) }
    }

    /// Compares the keys of all entries of a map.
    fn refuse_duplicates(mut self, mut left: Len) -> Result<(), DecodeError> {
        let mut keys = Vec::new();
        while self.more(&mut left)? {
            let at = self.at();
            keys.push((self.text_item(KEY)?, at));
            self.skip(ITEM_NESTING_MAX)?;
        }
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(Problem::DuplicateKey.at(pair[1].1)),
            None => Ok(()),
        }
    }
}

/// What a map of ours has for keys.
pub(super) const KEY: &str = "a text as key";

/// What a bignum is worth, if that fits 128 bits with a sign.
pub(super) fn narrow(tag: u64, magnitude: &[u8]) -> Option<i128> {
    let mut wide = [0; 16];
    wide.get_mut(16usize.checked_sub(magnitude.len())?..)?.copy_from_slice(magnitude);
    let magnitude = i128::try_from(u128::from_be_bytes(wide)).ok()?;
    Some(if tag == BIGNUM { magnitude } else { !magnitude })
}
