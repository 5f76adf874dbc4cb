//! The payload of a simulated message: who it is, which gears marked it, and a body that shows any change.
//!
//! ```text
//! offset 0      1        5     6      7           7+t
//!        +------+--------+-----+------+-----------+----------------------+
//!        | feed | number | key | t    | trail (t) | body, a pattern      |
//!        +------+--------+-----+------+-----------+----------------------+
//! ```

use std::fmt;

use flux_gear::Bytes;

use crate::plan::FeedPlan;

const HEAD_BYTES: usize = 7;

/// What a payload says of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label {
    /// The source, by its place in the plan.
    pub(crate) feed: usize,
    /// Its number there.
    pub(crate) n: u32,
    /// Its partition key.
    pub(crate) key: u8,
    /// The gears that marked it.
    pub(crate) trail: Trail,
}

/// The gears that marked a message, in order: four bits each, so at most 15 gears of which one has a mark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Trail(u64);

/// Gears a plan may have, so that each has a mark.
pub(crate) const GEARS_MAX: usize = 15;

impl Trail {
    /// The trail with one more mark.
    pub(crate) fn and(self, gear: usize) -> Trail {
        Trail(self.0 << 4 | (gear as u64 + 1))
    }

    /// The marks, last first.
    pub(crate) fn backwards(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let mark = (rest & 0xF) as usize;
            rest >>= 4;
            mark.checked_sub(1)
        })
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut marks: Vec<usize> = self.backwards().collect();
        marks.reverse();
        marks.iter().try_for_each(|gear| write!(f, "{gear}>"))
    }
}

impl Label {
    /// The message `n` of a feed, as it leaves there.
    pub(crate) fn new(feed: usize, plan: &FeedPlan, n: u32) -> Label {
        let key = spread(n) % u32::from(plan.keys.max(1));
        Label { feed, n, key: key as u8, trail: Trail::default() }
    }

    /// The payload, with a body of the length this message has.
    pub(crate) fn payload(&self, plan: &FeedPlan) -> Bytes {
        let length = spread(self.n ^ 0x5A5A) % (u32::from(plan.bytes_max) + 1);
        let mut trail: Vec<u8> = self.trail.backwards().map(|gear| gear as u8).collect();
        trail.reverse();
        let mut bytes = Vec::with_capacity(HEAD_BYTES + trail.len() + length as usize);
        bytes.push(self.feed as u8);
        bytes.extend_from_slice(&self.n.to_le_bytes());
        bytes.extend_from_slice(&[self.key, trail.len() as u8]);
        bytes.extend_from_slice(&trail);
        let first = self.n.wrapping_mul(31);
        bytes.extend((0..length).map(|at| first.wrapping_add(at) as u8));
        bytes.into()
    }

    /// Reads a payload.
    pub(crate) fn read(payload: &[u8]) -> Option<Label> {
        let (head, rest) = payload.split_first_chunk::<HEAD_BYTES>()?;
        let [feed, a, b, c, d, key, marks] = *head;
        let trail = rest.get(..marks.into())?;
        let trail = trail.iter().fold(Trail::default(), |trail, gear| trail.and(usize::from(*gear)));
        Some(Label { feed: feed.into(), n: u32::from_le_bytes([a, b, c, d]), key, trail })
    }

    /// The same message with one more mark.
    pub(crate) fn mark(payload: &[u8], gear: usize) -> Option<Bytes> {
        let (head, rest) = payload.split_first_chunk::<HEAD_BYTES>()?;
        let marks = head[HEAD_BYTES - 1];
        let (trail, body) = rest.split_at_checked(marks.into())?;
        let mut bytes = Vec::with_capacity(payload.len() + 1);
        bytes.extend_from_slice(&head[..HEAD_BYTES - 1]);
        bytes.push(marks + 1);
        bytes.extend_from_slice(trail);
        bytes.push(gear as u8);
        bytes.extend_from_slice(body);
        Some(bytes.into())
    }
}

/// Spreads neighbouring numbers (Fibonacci hashing).
fn spread(n: u32) -> u32 {
    n.wrapping_mul(0x9E37_79B9) >> 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_added_and_the_rest_stays() {
        let plan = FeedPlan {
            messages: 9,
            burst: 1,
            pause_us: 0,
            bytes_max: 40,
            keys: 3,
            is_tracked: false,
            resends: false,
        };
        let mut label = Label::new(2, &plan, 7);
        let marked = Label::mark(&label.payload(&plan), 5).unwrap();
        label.trail = label.trail.and(5);
        assert_eq!(Label::read(&marked), Some(label));
        assert_eq!(label.payload(&plan), marked);
        assert_eq!(label.trail.and(0).to_string(), "5>0>");
        assert_eq!(Label::read(b"short"), None);
    }
}
