//! Why the journal at an end of a mesh wire cannot be used.

use flux_journal::{AppendError, ConsumerError, ReadError};

/// Why an outbox is not sent from, or an inbox not filled.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// It cannot be read on.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Nobody can read it.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    /// It takes nothing, or does not put on disk what it holds.
    #[error(transparent)]
    Journal(#[from] AppendError),
}
