//! What a message may weigh and how far it may travel.

use crate::FluxMsg;

/// Levels of lists, maps and tags in one [`Value`](crate::Value). A scalar has none.
///
/// A tree is walked and dropped by recursion, so its depth is a matter of the stack: [`Value::set`](crate::Value::set)
/// and the CBOR codec refuse to build a deeper one.
pub const NESTING_MAX: usize = 64;

/// Bounds on every message, checked where it enters and where it leaves a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Hops through ports, counting both ends of a wire: the guard against loops.
    pub hops_max: u16,
    /// Bytes of payload, metadata and data together, nested data included.
    pub message_bytes_max: usize,
}

impl Limits {
    /// 64 hops, 2 MiB.
    pub const DEFAULT: Limits = Limits { hops_max: 64, message_bytes_max: 2 * 1024 * 1024 };

    /// Refuses a message that is too heavy or has travelled too far.
    pub fn check(&self, msg: &FluxMsg) -> Result<(), LimitError> {
        self.check_measures(msg.hops(), msg.weight_bytes())
    }

    /// [`Limits::check`] on what is known of a message before it is built.
    pub(crate) fn check_measures(&self, hops: u16, bytes: usize) -> Result<(), LimitError> {
        if hops > self.hops_max {
            return Err(LimitError::Hops { hops, hops_max: self.hops_max });
        }
        if bytes > self.message_bytes_max {
            return Err(LimitError::Bytes { bytes, bytes_max: self.message_bytes_max });
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}

/// A message over its [`Limits`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// It went round too often: most likely the scenario has a loop.
    #[error("message travelled {hops} hops, at most {hops_max} are allowed: does the scenario loop?")]
    Hops {
        /// Hops so far.
        hops: u16,
        /// The bound.
        hops_max: u16,
    },
    /// It is too heavy.
    #[error("message weighs {bytes} bytes, at most {bytes_max} are allowed")]
    Bytes {
        /// Its weight.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
}
