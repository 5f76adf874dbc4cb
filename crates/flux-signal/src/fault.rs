//! A failure at a seam: its class says what the caller does next.

use std::{error::Error, fmt};

/// What is to be done about a [`Fault`]. There will never be a fourth class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultClass {
    /// This message can never succeed: it goes to the error port or the dead letters, and work goes on.
    Invalid,
    /// It may succeed later, for the world is at fault and not the message: retried with back-off. What a durable wire keeps
    /// waits for as long as it takes; the rest is treated as [`FaultClass::Invalid`] after some attempts.
    Transient,
    /// The gear cannot go on: it fails loudly and its supervisor restarts it with back-off.
    Fatal,
}

impl FaultClass {
    /// The class as one lower-case word, for metadata, logs and counters.
    pub fn as_str(self) -> &'static str {
        match self {
            FaultClass::Invalid => "invalid",
            FaultClass::Transient => "transient",
            FaultClass::Fatal => "fatal",
        }
    }
}

/// A failure at a seam. One pointer wide, so that `Result<Step, Fault>` stays cheap on the hot path.
///
/// The message is lower case, says what we were doing, and never holds payload bytes or card data.
pub struct Fault(Box<Body>);

struct Body {
    class: FaultClass,
    reason: &'static str,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// This message can never succeed.
    pub fn invalid(message: impl Into<String>) -> Fault {
        Fault::new(FaultClass::Invalid, message)
    }

    /// It may succeed when tried again.
    pub fn transient(message: impl Into<String>) -> Fault {
        Fault::new(FaultClass::Transient, message)
    }

    /// The gear cannot go on.
    pub fn fatal(message: impl Into<String>) -> Fault {
        Fault::new(FaultClass::Fatal, message)
    }

    /// A fault of the given class.
    pub fn new(class: FaultClass, message: impl Into<String>) -> Fault {
        Fault(Box::new(Body { class, reason: class.as_str(), message: message.into(), source: None }))
    }

    /// Names the fault with one stable word (`no_route`, `timeout`): what `error.reason` will hold.
    pub fn reason(mut self, reason: &'static str) -> Fault {
        self.0.reason = reason;
        self
    }

    /// Keeps the error that led here.
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Fault {
        self.0.source = Some(source.into());
        self
    }

    /// What the caller does next.
    pub fn class(&self) -> FaultClass {
        self.0.class
    }

    /// The stable word; the class's own word unless [`Fault::reason`] set one.
    pub fn reason_word(&self) -> &'static str {
        self.0.reason
    }

    /// What we were doing, without the cause.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {self}", self.0.class.as_str(), self.0.reason)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|e| e as &(dyn Error + 'static))
    }
}
