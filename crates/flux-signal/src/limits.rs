//! What a message may weigh and how far it may travel.

use crate::FluxMsg;

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
        if msg.hops() > self.hops_max {
            return Err(LimitError::Hops { hops: msg.hops(), hops_max: self.hops_max });
        }
        let bytes = msg.weight_bytes();
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
