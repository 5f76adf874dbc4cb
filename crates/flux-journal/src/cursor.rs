//! Where a consumer stands: the oldest record it has not settled, and which of the later ones it has.
//!
//! A cursor lies in the journal itself, as a record among the others, and so needs no sync of its own: a group that is
//! committed takes the cursors along that moved since the last. Each segment begins with all of them. The body is
//!
//! ```text
//! offset 0        1       2      2+n        10+n         12+n
//!        +--------+-------+------+----------+------------+----------------------------------+
//!        | state  | n     | name | low mark | bit bytes  | settled: bit i is low mark + 1+i |
//!        +--------+-------+------+----------+------------+----------------------------------+
//! ```
//!
//! State 1 is a consumer, 0 one that was forgotten. The low mark itself is never settled.

use std::collections::VecDeque;
use std::ops::Range;

use crate::limits::{NAME_BYTES_MAX, SEQUENCE_MAX, WINDOW_RECORDS_MAX};

/// A cursor in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    low: u64,
    /// Whether `low + 1 + i` is settled, up to the last that is.
    ahead: VecDeque<bool>,
    /// Records that are not there, behind some that are not settled. In memory only: whoever reads comes to them again.
    gaps: Vec<Range<u64>>,
}

impl Cursor {
    pub(crate) fn at(low: u64) -> Self {
        Self { low, ..Self::default() }
    }

    /// The oldest sequence that is not settled.
    pub(crate) fn low(&self) -> u64 {
        self.low
    }

    /// Behind the last settled sequence.
    pub(crate) fn high(&self) -> u64 {
        if self.ahead.is_empty() { self.low } else { self.low + 1 + self.ahead.len() as u64 }
    }

    /// Settled records behind the low mark.
    pub(crate) fn settled_ahead(&self) -> u64 {
        self.ahead.iter().filter(|is_settled| **is_settled).count() as u64
    }

    pub(crate) fn is_settled(&self, sequence: u64) -> bool {
        match sequence.checked_sub(self.low) {
            None => true,
            Some(0) => false,
            Some(ahead) => self.ahead.get(ahead as usize - 1).copied().unwrap_or(false),
        }
    }

    /// Settles one record; false when it was, or when it is further ahead than a window may be.
    pub(crate) fn settle(&mut self, sequence: u64) -> bool {
        if self.is_settled(sequence) {
            return false;
        }
        let ahead = sequence - self.low;
        if ahead == 0 {
            self.advance();
            self.close_gaps();
            return true;
        }
        if ahead > WINDOW_RECORDS_MAX.into() {
            return false;
        }
        let at = ahead as usize - 1;
        if at >= self.ahead.len() {
            self.ahead.resize(at + 1, false);
        }
        self.ahead[at] = true;
        true
    }

    /// Settles everything before `sequence`.
    pub(crate) fn settle_until(&mut self, sequence: u64) {
        self.raise_to(sequence);
        self.close_gaps();
    }

    /// Passes over records that are not there: they count as settled once all before them are, and no sooner.
    pub(crate) fn pass(&mut self, gap: Range<u64>) {
        if !self.gaps.contains(&gap) {
            self.gaps.push(gap);
        }
        self.close_gaps();
    }

    fn close_gaps(&mut self) {
        while let Some(at) = self.gaps.iter().position(|gap| gap.start <= self.low) {
            let gap = self.gaps.swap_remove(at);
            self.raise_to(gap.end);
        }
    }

    fn raise_to(&mut self, sequence: u64) {
        while self.low < sequence && !self.ahead.is_empty() {
            self.advance();
        }
        self.low = self.low.max(sequence);
    }

    /// Moves the low mark over the record it stands on and all settled ones behind.
    fn advance(&mut self) {
        self.low += 1;
        while let Some(is_settled) = self.ahead.pop_front() {
            if !is_settled {
                return;
            }
            self.low += 1;
        }
    }
}

/// Appends the body of a cursor record; no cursor says that the consumer is forgotten.
pub(crate) fn encode(name: &str, cursor: Option<&Cursor>, into: &mut Vec<u8>) {
    into.push(cursor.is_some().into());
    into.push(name.len() as u8);
    into.extend_from_slice(name.as_bytes());
    let Some(cursor) = cursor else { return };
    into.extend_from_slice(&cursor.low.to_le_bytes());
    into.extend_from_slice(&(cursor.ahead.len().div_ceil(8) as u16).to_le_bytes());
    let mut bits = cursor.ahead.iter();
    while bits.len() > 0 {
        let byte = bits
            .by_ref()
            .take(8)
            .enumerate()
            .fold(0, |byte, (bit, is_settled)| byte | u8::from(*is_settled) << bit);
        into.push(byte);
    }
}

/// Reads the body of a cursor record.
pub(crate) fn decode(body: &[u8]) -> Option<(String, Option<Cursor>)> {
    let (&[state, name_bytes], rest) = body.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(name_bytes.into())?;
    let name = std::str::from_utf8(name).ok().filter(|name| is_name(name))?.to_owned();
    if state == 0 {
        return rest.is_empty().then_some((name, None));
    }
    let (low, rest) = rest.split_first_chunk()?;
    let (bit_bytes, bits) = rest.split_first_chunk()?;
    let fits = bits.len() == usize::from(u16::from_le_bytes(*bit_bytes))
        && bits.len() <= WINDOW_RECORDS_MAX as usize / 8;
    if state != 1 || !fits {
        return None;
    }
    let mut ahead: VecDeque<bool> =
        bits.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)).collect();
    while ahead.back() == Some(&false) {
        ahead.pop_back();
    }
    let low = u64::from_le_bytes(*low);
    (low < SEQUENCE_MAX).then_some((name, Some(Cursor { low, ahead, gaps: Vec::new() })))
}

/// Whether a consumer may be called this.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Beside a set, and through the disk's form.
        #[test]
        fn settles_as_a_set_does(low in 0_u64..100, settled in proptest::collection::vec(0_u64..160, 0..120)) {
            let (mut cursor, mut set) = (Cursor::at(low), BTreeSet::new());
            for sequence in settled {
                prop_assert_eq!(cursor.settle(sequence), sequence >= low && set.insert(sequence));
            }
            let oldest = (low..).find(|sequence| !set.contains(sequence)).unwrap();
            prop_assert_eq!(cursor.low(), oldest);
            for sequence in 0..200 {
                prop_assert_eq!(cursor.is_settled(sequence), sequence < low || set.contains(&sequence));
            }
            let mut body = Vec::new();
            encode("wire", Some(&cursor), &mut body);
            prop_assert_eq!(decode(&body), Some(("wire".to_owned(), Some(cursor.clone()))));
            for end in 0..body.len() {
                prop_assert!(decode(&body[..end]).is_none());
            }
            cursor.settle_until(120);
            prop_assert_eq!(cursor.low(), (oldest.max(120)..).find(|sequence| !set.contains(sequence)).unwrap());
        }

        /// A gap is as if its records were settled the moment all before them are, and hides none of those.
        #[test]
        fn a_gap_settles_nothing_before_it(settled in proptest::collection::vec(0_u64..60, 0..80), from in 0_u64..50, length in 1_u64..20, passed_at in 0_usize..80) {
            let (mut cursor, mut set) = (Cursor::at(0), BTreeSet::new());
            for (at, sequence) in settled.into_iter().enumerate() {
                if at == passed_at {
                    cursor.pass(from..from + length);
                }
                cursor.settle(sequence);
                set.insert(sequence);
            }
            cursor.pass(from..from + length);
            let oldest = (0..).find(|sequence| !set.contains(sequence)).unwrap();
            set.extend(from..from + length);
            let behind = (0..).find(|sequence| !set.contains(sequence)).unwrap();
            prop_assert_eq!(cursor.low(), if oldest >= from { behind } else { oldest });
        }

        #[test]
        fn takes_any_bytes(body in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some((name, cursor)) = decode(&body) {
                let mut again = Vec::new();
                encode(&name, cursor.as_ref(), &mut again);
                prop_assert_eq!(decode(&again), Some((name, cursor)));
            }
        }
    }

    #[test]
    fn a_forgotten_consumer_is_a_name_alone() {
        let mut body = Vec::new();
        encode("wire", None, &mut body);
        assert_eq!(decode(&body), Some(("wire".to_owned(), None)));
    }
}
