//! Where the fields of a message are: one span per field, in order, without an allocation for usual messages.

use std::ops::{Deref, DerefMut, Range};

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

/// Fields a message may have before its spans move to the heap.
const INLINE: usize = 24;

/// A list of spans: up to [`INLINE`] of them lie in `inline`, more of them all in `heap`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spans {
    inline: [Span; INLINE],
    heap: Vec<Span>,
    len: usize,
}

impl Spans {
    /// Writes the span at `at`; they are written in order, from 0, and then counted by [`Spans::set_len`].
    #[inline(always)]
    pub(crate) fn write(&mut self, at: usize, span: Span) {
        match self.inline.get_mut(at) {
            Some(slot) => *slot = span,
            None => self.overflow(at, span),
        }
    }

    #[cold]
    fn overflow(&mut self, at: usize, span: Span) {
        if at == INLINE {
            self.heap.clear();
            self.heap.extend_from_slice(&self.inline);
        }
        self.heap.push(span);
    }

    /// Ends the writing of `len` spans.
    #[inline]
    pub(crate) fn set_len(&mut self, len: usize) {
        self.len = len;
    }

    #[inline]
    pub(crate) fn insert(&mut self, at: usize, span: Span) {
        if self.len < INLINE {
            if at < self.len {
                self.inline.copy_within(at..self.len, at + 1);
            }
            self.inline[at] = span;
        } else {
            if self.len == INLINE {
                self.heap.clear();
                self.heap.extend_from_slice(&self.inline);
            }
            self.heap.insert(at, span);
        }
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, at: usize) {
        if self.len > INLINE {
            self.heap.remove(at);
        } else {
            self.inline.copy_within(at + 1..self.len, at);
        }
        self.len -= 1;
        if self.len == INLINE {
            self.inline.copy_from_slice(&self.heap);
        }
    }
}

impl Deref for Spans {
    type Target = [Span];

    #[inline]
    fn deref(&self) -> &[Span] {
        if self.len <= INLINE { &self.inline[..self.len] } else { &self.heap }
    }
}

impl DerefMut for Spans {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Span] {
        if self.len <= INLINE { &mut self.inline[..self.len] } else { &mut self.heap }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_grow_past_the_inline_ones_and_shrink_again() {
        let mut spans = Spans::default();
        let mut model = Vec::new();
        for n in 0..60_usize {
            let at = n * 7 % (model.len() + 1);
            spans.insert(at, Span::new(n..n + 1));
            model.insert(at, Span::new(n..n + 1));
            assert_eq!(*spans, *model);
        }
        while !model.is_empty() {
            let at = model.len() * 5 % model.len();
            spans.remove(at);
            model.remove(at);
            assert_eq!(*spans, *model);
        }
        for len in [30, 2, 24, 25, 40, 0] {
            (0..len).for_each(|n| spans.write(n, Span::new(n..n + 1)));
            spans.set_len(len);
            assert_eq!(*spans, *(0..len).map(|n| Span::new(n..n + 1)).collect::<Vec<_>>());
        }
    }
}
