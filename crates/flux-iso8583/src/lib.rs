//! ISO 8583: what a dialect looks like, its messages on the wire, and what of them people may see.
//!
//! Invariant: nothing here does I/O, knows a socket or tokio, or copies what it can point at.
//!
//! A [`Spec`] is read from YAML. [`Probe`] finds the fields of a message in place; [`Message`] owns one and is edited;
//! [`MessageView`] is the lazy data of a signal. [`explain()`] and [`mask()`] are the only ways to show one to people.

mod ber;
mod bitmap;
mod composite;
mod ebcdic;
mod encoding;
mod error;
mod explain;
mod field;
mod frame;
mod gauge;
pub mod header;
mod input;
mod json;
mod limits;
mod mask;
mod message;
mod mti;
mod prefix;
mod probe;
mod spans;
mod spec;
mod tree;
mod view;

pub use encoding::Encoding;
pub use error::{Expected, Place, WireError};
pub use explain::{Line, explain, render};
pub use field::{Field, Kind};
pub use frame::{FrameEncoding, sniff};
pub use limits::*;
pub use mask::{Sensitivity, mask};
pub use message::Message;
pub use mti::{exchange, response_mti};
pub use prefix::{Prefix, PrefixCode};
pub use probe::{FieldIndex, Probe};
pub use spec::{Code, Loader, Problem, Report, Severity, Spec};
pub use view::MessageView;
