//! The plan as data: parse a scenario, check it, compile it for one rack, draw it. Pure: no I/O, no async.
//!
//! ```text
//! text --load--> Scenario + Settings --check--> Report (every problem, with its place)
//!                    |
//!                    +--compile(rack)--> Circuit (gears, wires, fused segments, drain order)
//! ```
//!
//! What a kind of gear is comes in as data too ([`Manifest`]), so a process can check and draw a scenario whose
//! gears it never linked.

mod annotate;
pub mod catalog;
pub mod circuit;
pub mod codes;
mod conform;
mod forms;
pub mod limits;
pub mod node;
pub mod report;
mod resolve;
pub mod scenario;
pub mod settings;
pub mod source;
pub mod subset;
#[cfg(test)]
mod testing;
pub mod units;
mod words;

pub use catalog::{
    Catalog, Category, Claim, Direction, Emits, GearPorts, Manifest, PortSpec, Status, Terminus,
};
pub use circuit::{Circuit, CircuitGear, CircuitWire, Fuse};
pub use codes::{Code, Severity};
pub use node::{Entry, Node, Value};
pub use report::{Issue, Report};
pub use scenario::{DeclaredPorts, Endpoint, GearDecl, Lane, Meta, Rack, Route, Scenario};
pub use settings::Settings;
pub use source::{Position, Source, Span, Spanned};
