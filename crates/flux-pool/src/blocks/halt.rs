//! The order to stop reading, made to be looked for before each read.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// An order that is given once and stands.
#[derive(Debug, Default)]
pub struct Halt {
    is_ordered: AtomicBool,
    /// Whoever waits for something else meanwhile. One at a time.
    waiting: Mutex<Option<Waker>>,
}

impl Halt {
    /// Gives the order.
    pub fn order(&self) {
        self.is_ordered.store(true, Ordering::Release);
        if let Some(waiting) = self.waiting.lock().take() {
            waiting.wake();
        }
    }

    /// What `poll` comes to; `None` when the order came first. Losing the future loses nothing.
    pub async fn unless<T>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
        poll_fn(|cx| {
            if self.is_ordered() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(done) = poll(cx) {
                return Poll::Ready(Some(done));
            }
            self.wake_later(cx.waker());
            // An order given before the waker was there woke nobody.
            if self.is_ordered() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }

    fn is_ordered(&self) -> bool {
        self.is_ordered.load(Ordering::Acquire)
    }

    fn wake_later(&self, waker: &Waker) {
        let mut waiting = self.waiting.lock();
        if waiting.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            *waiting = Some(waker.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_order_wakes_who_waits_and_comes_before_what_is_ready() {
        let halt = std::sync::Arc::new(Halt::default());
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
}
