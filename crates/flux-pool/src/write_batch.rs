//! Outgoing bytes gathered from many frames, written with as few system calls as the socket allows.
//!
//! Small pieces are copied side by side: copying a hundred bytes costs less than one more entry in the vector of a
//! write. Large ones are referenced where they are.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;

/// Pieces up to this size are copied.
const COPIED_BYTES_MAX: usize = 2 * 1024;

/// Entries of one vectored write; more take a second call.
const SLICES_MAX: usize = 64;

/// The copy buffer is given back above this size, so that a burst is not paid for ever after.
const STAGING_BYTES_KEPT_MAX: usize = 256 * 1024;

/// What an encoder writes to.
#[derive(Debug, Default)]
pub struct WriteBatch {
    staging: Vec<u8>,
    pieces: Vec<Piece>,
    /// The position in the whole after each frame.
    frame_ends: Vec<usize>,
    length: usize,
    written: usize,
    /// The piece being written, and how much of it has been.
    at: (usize, usize),
}

#[derive(Debug)]
enum Piece {
    Staged(Range<usize>),
    Shared(Bytes),
}

impl WriteBatch {
    /// Appends bytes by copying them.
    pub fn put(&mut self, bytes: &[u8]) {
        let start = self.staging.len();
        self.staging.extend_from_slice(bytes);
        self.length += bytes.len();
        match self.pieces.last_mut() {
            Some(Piece::Staged(range)) => range.end = self.staging.len(),
            Some(Piece::Shared(_)) | None if bytes.is_empty() => {}
            Some(Piece::Shared(_)) | None => self.pieces.push(Piece::Staged(start..self.staging.len())),
        }
    }

    /// Appends bytes by reference, or by copying where that is cheaper.
    pub fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() <= COPIED_BYTES_MAX {
            return self.put(bytes);
        }
        self.length += bytes.len();
        self.pieces.push(Piece::Shared(bytes.clone()));
    }

    /// Everything appended so far ends a frame.
    pub(crate) fn end_frame(&mut self) {
        self.frame_ends.push(self.length);
    }

    /// Takes back what was appended after the last [`end_frame`](Self::end_frame).
    pub(crate) fn undo_frame(&mut self) {
        let length = self.frame_ends.last().copied().unwrap_or(0);
        while self.length > length {
            let excess = self.length - length;
            match self.pieces.last_mut().expect("the length is the sum of the pieces") {
                Piece::Staged(range) if range.len() > excess => {
                    range.end -= excess;
                    self.staging.truncate(range.end);
                    self.length -= excess;
                }
                Piece::Staged(range) => {
                    self.length -= range.len();
                    self.staging.truncate(range.start);
                    self.pieces.pop();
                }
                Piece::Shared(bytes) => {
                    self.length -= bytes.len();
                    self.pieces.pop();
                }
            }
        }
    }

    /// Frames whose last byte has been written.
    pub(crate) fn frames_written(&self) -> usize {
        self.frame_ends.partition_point(|end| *end <= self.written)
    }

    /// Whether a frame has been written in part.
    pub(crate) fn is_within_frame(&self) -> bool {
        self.written > self.frames_written().checked_sub(1).map_or(0, |last| self.frame_ends[last])
    }

    /// Bytes appended.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Everything appended, in one piece; for tests of an encoder.
    pub fn to_vec(&self) -> Vec<u8> {
        (0..self.pieces.len()).flat_map(|index| self.piece(index)).copied().collect()
    }

    pub(crate) fn clear(&mut self) {
        self.staging.clear();
        self.staging.shrink_to(STAGING_BYTES_KEPT_MAX);
        self.pieces.clear();
        self.frame_ends.clear();
        (self.length, self.written, self.at) = (0, 0, (0, 0));
    }

    /// Writes and flushes everything; goes on where it stopped.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut W,
    ) -> Poll<io::Result<()>> {
        while self.written < self.length {
            let (first, offset) = self.at;
            let written = if first + 1 == self.pieces.len() {
                // One piece: the plain call is the cheaper one.
                ready!(Pin::new(&mut *io).poll_write(cx, &self.piece(first)[offset..]))?
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let used = self.fill(&mut slices);
                ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices[..used]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Pin::new(io).poll_flush(cx)
    }

    fn piece(&self, index: usize) -> &[u8] {
        match &self.pieces[index] {
            Piece::Staged(range) => &self.staging[range.clone()],
            Piece::Shared(bytes) => bytes,
        }
    }

    fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let (first, offset) = self.at;
        let used = (self.pieces.len() - first).min(SLICES_MAX);
        for (n, slice) in slices[..used].iter_mut().enumerate() {
            let piece = self.piece(first + n);
            *slice = IoSlice::new(if n == 0 { &piece[offset..] } else { piece });
        }
        used
    }

    fn advance(&mut self, mut bytes: usize) {
        self.written += bytes;
        while bytes > 0 {
            let (piece, offset) = self.at;
            let left = self.piece(piece).len() - offset;
            if bytes < left {
                self.at.1 += bytes;
                return;
            }
            bytes -= left;
            self.at = (piece + 1, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use proptest::prelude::*;

    use super::*;

    /// Takes at most `step` bytes per write.
    struct Sip {
        step: usize,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Sip {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.step);
            self.taken.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn whatever_is_put_is_written_once_and_in_order(
            sizes in proptest::collection::vec(0_usize..5_000, 0..40),
            undone in proptest::collection::vec(any::<bool>(), 40),
            step in 1_usize..10_000,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (mut batch, mut expected, mut frames) = (WriteBatch::default(), Vec::new(), 0);
            for round in 0..2_u8 {
                batch.clear();
                expected.clear();
                frames = 0;
                for (n, size) in sizes.iter().enumerate() {
                    let piece = vec![n as u8 + round; *size];
                    batch.put(&[n as u8]);
                    batch.put_shared(&piece.clone().into());
                    if undone[n] {
                        batch.undo_frame();
                        continue;
                    }
                    batch.end_frame();
                    frames += 1;
                    expected.push(n as u8);
                    expected.extend(piece);
                }
            }
            let mut sip = Sip { step, taken: Vec::new() };
            runtime.block_on(poll_fn(|cx| batch.poll_write(cx, &mut sip))).unwrap();
            prop_assert_eq!(batch.len(), expected.len());
            prop_assert!(sip.taken == expected);
            prop_assert_eq!(batch.frames_written(), frames);
            prop_assert!(!batch.is_within_frame());
        }
    }

    #[test]
    fn a_frame_written_in_part_is_known() {
        let mut batch = WriteBatch::default();
        for frame in [b"abc", b"def"] {
            batch.put(frame);
            batch.end_frame();
        }
        batch.advance(3);
        assert_eq!((batch.frames_written(), batch.is_within_frame()), (1, false));
        batch.advance(1);
        assert_eq!((batch.frames_written(), batch.is_within_frame()), (1, true));
    }
}
