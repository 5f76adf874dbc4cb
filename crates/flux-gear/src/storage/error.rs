//! Why something could not be kept, and what the gear does next.

use flux_signal::{Fault, FaultClass};

/// Why a change was not made, or is not known to be safe. None of them holds a key or a value.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The table holds all it may. Nothing was changed.
    #[error("the table is full: {held} of {held_max} {unit}")]
    Full {
        /// What it holds.
        held: usize,
        /// What it may hold.
        held_max: usize,
        /// Entries or bytes.
        unit: &'static str,
    },
    /// Key and value are longer than a record may be. Nothing was changed.
    #[error("{bytes} bytes are more than the {bytes_max} that are kept in one piece")]
    TooLong {
        /// How long they are.
        bytes: usize,
        /// How long they may be.
        bytes_max: usize,
    },
    /// The disk takes nothing for now. Nothing was changed; it may succeed later.
    #[error("the disk takes nothing for now: {0}")]
    Busy(String),
    /// The store failed: what was not saved before is known only after it is opened again.
    #[error("the store failed: {0}")]
    Failed(String),
    /// It cannot be opened.
    #[error("the store cannot be opened: {0}")]
    Unavailable(String),
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Fault {
        let (class, reason) = match error {
            StorageError::Full { .. } => (FaultClass::Invalid, "store_full"),
            StorageError::TooLong { .. } => (FaultClass::Invalid, "value_too_long"),
            StorageError::Busy(_) => (FaultClass::Transient, "store_busy"),
            StorageError::Failed(_) | StorageError::Unavailable(_) => (FaultClass::Fatal, "store_failed"),
        };
        Fault::new(class, error.to_string()).reason(reason)
    }
}
