//! Contains the panics of strangers' code: a panic becomes a fatal fault.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use flux_gear::Fault;

/// A gear's future whose panic is a fault. The panic's own text is not kept: it may quote a payload.
pub(crate) struct Contained<'a, T>(pub(crate) Pin<Box<dyn Future<Output = T> + Send + 'a>>);

impl<T> Future for Contained<'_, T> {
    type Output = Result<T, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Fault>> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(panicked())),
        }
    }
}

/// The fault of a gear that panicked.
pub(crate) fn panicked() -> Fault {
    Fault::fatal("gear panicked").reason("panic")
}

/// Calls into a gear; `None` when it panicked.
pub(crate) fn contained<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}
