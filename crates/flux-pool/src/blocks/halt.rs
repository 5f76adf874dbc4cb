//! The order to stop reading, for a while or for good, made to be looked for before each read.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Read nothing for now.
const PAUSE: u8 = 1;
/// Read nothing any more in this session.
const HALT: u8 = 2;

/// What a peer's reader is told. A pause outlasts the session it was ordered in.
#[derive(Debug, Default)]
pub struct Halt {
    orders: AtomicU8,
    /// Whoever waits for something else meanwhile. One at a time.
    waiting: Mutex<Option<Waker>>,
    /// Whether there is a reader.
    is_manned: AtomicBool,
    /// Whether it has, or may get, something to deliver.
    is_reading: AtomicBool,
    rested: Notify,
}

impl Halt {
    /// Orders the reader of this session to stop for good.
    pub fn order(&self) {
        self.orders.fetch_or(HALT, Ordering::AcqRel);
        self.wake();
    }

    /// Orders readers to stop until [`Halt::resume`].
    pub fn pause(&self) {
        self.orders.fetch_or(PAUSE, Ordering::AcqRel);
        self.wake();
    }

    /// Takes a pause back.
    pub fn resume(&self) {
        self.is_reading.store(self.is_manned.load(Ordering::Acquire), Ordering::Release);
        self.orders.fetch_and(!PAUSE, Ordering::AcqRel);
        self.wake();
    }

    /// A new session begins: the order to stop for good was for the one before.
    pub(crate) fn renew(&self) {
        self.orders.fetch_and(!HALT, Ordering::AcqRel);
    }

    /// Ends when nothing is read, and what was read is delivered.
    pub async fn at_rest(&self) {
        loop {
            let rested = self.rested.notified();
            if !self.is_reading.load(Ordering::Acquire) {
                return;
            }
            rested.await;
        }
    }

    /// Somebody reads, until what this returns is dropped.
    pub(crate) fn reading(&self) -> Reading<'_> {
        self.is_manned.store(true, Ordering::Release);
        self.is_reading.store(true, Ordering::Release);
        Reading(self)
    }

    /// What `poll` comes to; `None` when the order to stop for good came first. A pause comes first as well, and is waited
    /// out. Losing the future loses nothing.
    pub async fn unless<T>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
        poll_fn(|cx| {
            if let Some(decided) = self.look(|| poll(cx)) {
                return decided;
            }
            self.wake_later(cx.waker());
            // An order given before the waker was there woke nobody.
            self.look(|| Poll::Pending).unwrap_or(Poll::Pending)
        })
        .await
    }

    /// What there is to return, unless that is to wait.
    fn look<T>(&self, poll: impl FnOnce() -> Poll<T>) -> Option<Poll<Option<T>>> {
        match self.orders.load(Ordering::Acquire) {
            0 => match poll() {
                Poll::Ready(done) => Some(Poll::Ready(Some(done))),
                Poll::Pending => None,
            },
            PAUSE => {
                self.rest();
                None
            }
            _ => Some(Poll::Ready(None)),
        }
    }

    fn rest(&self) {
        if self.is_reading.swap(false, Ordering::AcqRel) {
            self.rested.notify_waiters();
        }
    }

    fn wake(&self) {
        if let Some(waiting) = self.waiting.lock().take() {
            waiting.wake();
        }
    }

    fn wake_later(&self, waker: &Waker) {
        let mut waiting = self.waiting.lock();
        if waiting.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            *waiting = Some(waker.clone());
        }
    }
}

/// A reader at work.
#[derive(Debug)]
pub(crate) struct Reading<'a>(&'a Halt);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.is_manned.store(false, Ordering::Release);
        self.0.rest();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn an_order_wakes_who_waits_and_comes_before_what_is_ready() {
        let halt = Arc::new(Halt::default());
        assert_eq!(halt.unless(|_| Poll::Ready(1)).await, Some(1));
        let waiting = tokio::spawn({
            let halt = halt.clone();
            async move { halt.unless(|_| Poll::<()>::Pending).await }
        });
        tokio::task::yield_now().await;
        halt.order();
        assert_eq!(waiting.await.unwrap(), None);
        assert_eq!(halt.unless(|_| Poll::Ready(1)).await, None);
    }

    #[tokio::test]
    async fn a_pause_is_waited_out_and_outlasts_the_session() {
        let halt = Arc::new(Halt::default());
        halt.pause();
        let reader = tokio::spawn({
            let halt = halt.clone();
            async move {
                let _reading = halt.reading();
                halt.unless(|_| Poll::Ready(1)).await
            }
        });
        tokio::task::yield_now().await;
        halt.at_rest().await;
        assert!(!reader.is_finished());
        halt.resume();
        assert_eq!(reader.await.unwrap(), Some(1));
        halt.pause();
        halt.renew();
        halt.order();
        assert_eq!(halt.unless(|_| Poll::Ready(1)).await, None, "for good is for good");
        halt.renew();
        let paused =
            tokio::time::timeout(std::time::Duration::from_millis(1), halt.unless(|_| Poll::Ready(1)));
        assert!(paused.await.is_err(), "the next session pauses too");
        halt.resume();
        assert_eq!(halt.unless(|_| Poll::Ready(1)).await, Some(1));
    }
}
