//! A connection that ends when nothing can be written to it for too long: who does not read holds nothing here.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flux_world::Clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::WRITE_DEADLINE;

/// A stream whose writes make progress in time.
pub(super) struct WriteDeadline<S> {
    stream: S,
    clock: Clock,
    /// Since a write had to wait.
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S> WriteDeadline<S> {
    pub(super) fn new(stream: S, clock: Clock) -> WriteDeadline<S> {
        WriteDeadline { stream, clock, waiting: None }
    }

    /// Passes on what a write came to, unless it waits for too long.
    fn within<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let clock = self.clock;
        let waiting =
            self.waiting.get_or_insert_with(|| Box::pin(async move { clock.sleep(WRITE_DEADLINE).await }));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing is read of what is answered")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteDeadline<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.within(polled, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.within(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.within(polled, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_let_go() {
        let (near, _far) = tokio::io::duplex(1_024);
        let clock = Clock::real();
        let mut near = WriteDeadline::new(near, clock);
        near.write_all(&[0; 1_024]).await.unwrap();
        let began = clock.now();
        assert_eq!(near.write_all(&[0; 1]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(clock.now() - began >= WRITE_DEADLINE);
    }
}
