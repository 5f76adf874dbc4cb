//! What flows: the message, its values and ids, canonical CBOR, and the three classes of fault.
//!
//! Invariant: nothing here does I/O, knows tokio, or reads a clock. A type enters this crate only if it crosses a
//! wire between two processes or appears in the `Gear` signature.

pub mod cbor;
mod data;
mod fault;
mod id;
mod lease;
mod limits;
mod metadata;
mod msg;
mod value;

pub use bytes::Bytes;
pub use compact_str::CompactString as Text;

pub use data::{Data, PathError, View};
pub use fault::{Fault, FaultClass};
pub use id::{FluxId, IdParseError, TraceId};
pub use lease::{Lease, LeaseEnd};
pub use limits::{LimitError, Limits, NESTING_MAX};
pub use metadata::{Metadata, keys};
pub use msg::{Body, FluxMsg, Hop};
pub use value::{Map, Simple, Value};
