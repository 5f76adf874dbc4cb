//! The claim of a change to being safe.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use super::StorageError;

/// What a host promises about one change.
pub trait Pledge: Send + Sync {
    /// Whether it is kept.
    fn is_safe(&self) -> bool;

    /// Ends when it is kept, or when it is not known to be.
    fn wait(&self) -> Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send + '_>>;
}

/// Resolves when a change is on disk: it survives the loss of power. Changes of one table or log become safe in the order
/// they were made. In memory there is nothing to wait for.
#[derive(Clone, Default)]
#[must_use = "a change is not safe before this says so"]
pub struct Saved(Option<Arc<dyn Pledge>>);

impl Saved {
    /// Nothing is to be waited for.
    pub fn already() -> Saved {
        Saved(None)
    }

    /// What a host promises.
    pub fn when(pledge: impl Pledge + 'static) -> Saved {
        Saved(Some(Arc::new(pledge)))
    }

    /// Whether it is safe by now.
    pub fn is_safe(&self) -> bool {
        self.0.as_ref().is_none_or(|pledge| pledge.is_safe())
    }

    /// Waits until it is safe. A full disk makes it wait for as long as it is full, so give it a deadline.
    pub async fn wait(&self) -> Result<(), StorageError> {
        match &self.0 {
            Some(pledge) if !pledge.is_safe() => pledge.wait().await,
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Saved({})", self.is_safe())
    }
}
