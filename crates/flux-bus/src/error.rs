//! What can go wrong on a bus, and what the caller does next.

use flux_signal::{Fault, FaultClass};

use crate::names::Key;

/// Why an operation did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller asks for what can never be.
    #[error("{0}")]
    Invalid(String),
    /// It is not there.
    #[error("there is no {0}")]
    Missing(String),
    /// It is there, and made otherwise.
    #[error("{0}")]
    Different(String),
    /// The entry is not at the revision the caller expects: somebody else was first. Read it and decide anew.
    #[error("`{0}` is not at the expected revision")]
    Revision(Key),
    /// No stream takes the subject.
    #[error("no stream takes `{0}`")]
    NoStream(String),
    /// Nobody answers requests for the subject.
    #[error("nobody listens on `{0}`")]
    NobodyListens(String),
    /// Longer than the bus carries.
    #[error("{bytes} bytes are too long: at most {bytes_max}")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// There is no room; later there may be.
    #[error("no room: {0}")]
    Full(String),
    /// Time is up; whether it happened is not known. To store it again under the same id is safe.
    #[error("no answer within {0:?}; whether it happened is not known")]
    Deadline(std::time::Duration),
    /// The bus cannot be reached now; whether it happened is not known.
    #[error("the bus is away: {0}")]
    Away(String),
    /// The caller may not.
    #[error("not allowed: {0}")]
    Denied(String),
    /// What it stands on failed. Nothing more is taken; open the bus again.
    #[error("the bus failed: {0}")]
    Failed(String),
    /// The bus was closed.
    #[error("the bus is closed")]
    Closed,
}

impl Error {
    /// What the caller does next.
    pub fn class(&self) -> FaultClass {
        match self {
            Error::Invalid(_)
            | Error::Different(_)
            | Error::Revision(_)
            | Error::TooLong { .. }
            | Error::Denied(_) => FaultClass::Invalid,
            // Who makes streams and who answers may come later than who needs them.
            Error::Missing(_)
            | Error::NoStream(_)
            | Error::NobodyListens(_)
            | Error::Full(_)
            | Error::Deadline(_)
            | Error::Away(_) => FaultClass::Transient,
            Error::Failed(_) | Error::Closed => FaultClass::Fatal,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::new(error.class(), error.to_string()).caused_by(error)
    }
}
