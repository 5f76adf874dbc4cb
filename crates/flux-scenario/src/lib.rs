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
mod check;
pub mod circuit;
pub mod codes;
mod conform;
pub mod edition;
mod forms;
pub mod graph;
pub mod hex;
pub mod limits;
mod listen;
mod load;
mod lower;
mod model;
pub mod node;
pub mod passport;
pub mod plan;
pub mod reference;
pub mod report;
mod resolve;
pub mod scenario;
mod schema;
mod secrecy;
pub mod settings;
pub mod signed;
pub mod source;
pub mod subset;
#[cfg(test)]
mod testing;
mod toml;
mod topology;
mod tree;
pub mod units;
mod words;
mod yaml;

pub use catalog::{
    Catalog, Category, Claim, Direction, Emits, GearPorts, Manifest, PortSpec, Status, Terminus,
};
pub use check::check;
pub use circuit::{Circuit, CircuitGear, CircuitWire, Durability, Fuse, compile};
pub use codes::{Code, Severity};
pub use load::{Loaded, load, load_settings};
pub use node::{Entry, Node, Value};
pub use plan::{Plan, plan};
pub use report::{Issue, Report};
pub use scenario::{Ack, DeclaredPorts, Endpoint, GearDecl, Lane, Meta, Rack, Route, Scenario};
pub use schema::{Form, json_schema};
pub use settings::Settings;
pub use source::{Position, Source, Span, Spanned};
