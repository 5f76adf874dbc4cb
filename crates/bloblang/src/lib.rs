//! The mapping language Bloblang: parse, compile once, run many.
#![doc = include_str!("../README.md")]

mod compile;
mod diagnostic;
mod explain;
mod host;
mod json;
mod layout;
mod library;
mod limits;
mod mapping;
mod message;
mod moment;
mod node;
mod number;
mod object;
mod path;
pub mod reference;
mod run;
mod syntax;
mod template;
mod value;

pub use compact_str::CompactString as Text;
pub use diagnostic::{CompileError, Diagnostic};
pub use host::{Host, Refusal, System};
pub use json::JsonError;
pub use limits::Limits;
pub use mapping::{Compiler, Mapping};
pub use message::{Mapped, Message, Root};
pub use object::{Array, Object};
pub use run::RunError;
pub use template::Template;
pub use value::Value;
