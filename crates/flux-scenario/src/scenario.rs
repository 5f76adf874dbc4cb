//! What a rack should run, as written: racks, gears and routes, each with its place in the file.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::node::Node;
use crate::source::{Source, Span, Spanned};

/// What some racks should run. YAML and TOML both become this.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// Its name and version.
    pub meta: Meta,
    /// Racks and groups it names; empty means the one rack that runs it.
    pub racks: Vec<Rack>,
    /// The gears, in the order written.
    pub gears: Vec<GearDecl>,
    /// The routes between them, in the order written.
    pub wires: Vec<Route>,
    /// The text it was read from, for reports; empty when it was built in code.
    pub source: Arc<Source>,
}

impl Scenario {
    /// The gear of this name.
    pub fn gear(&self, name: &str) -> Option<&GearDecl> {
        self.gears.iter().find(|gear| *gear.name == name)
    }
}

/// Name, version and notes of a scenario.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// Its name; for a `fluxrig.toml` the name of the rack.
    pub name: Spanned<String>,
    /// Its semantic version, with or without a leading `v`; a `fluxrig.toml` has none.
    pub version: Option<Spanned<String>>,
    /// What it is for.
    pub description: Option<String>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
}

/// A rack, or a group of racks, that the scenario names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rack {
    /// The name of the rack or of the group; `deploy` refers to it.
    pub name: Spanned<String>,
    /// It is a group: the racks whose labels match.
    pub is_group: bool,
    /// The labels a rack of the group must have.
    pub match_labels: BTreeMap<String, String>,
    /// A scenario of its own says what runs there: wires may lead to gears on it that are not declared here.
    pub is_external: bool,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// Parameters of this rack.
    pub config: Node,
    /// Defaults of a group.
    pub defaults: Node,
    /// The whole entry.
    pub span: Span,
}

/// A gear as declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GearDecl {
    /// Unique in the scenario.
    pub name: Spanned<String>,
    /// An identity that survives renaming.
    pub id: Option<Uuid>,
    /// Its kind: `type` in YAML, `spec` in TOML.
    pub kind: Spanned<String>,
    /// The rack it belongs to; none means every rack of the scenario.
    pub deploy: Option<Spanned<String>>,
    /// What the kind's schema describes; an empty table when nothing was given.
    pub config: Node,
    /// Ports beyond those of the kind.
    pub ports: DeclaredPorts,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// Shown in diagrams and documents.
    pub doc: Option<String>,
    /// How many instances share the work, by partition key.
    pub parallel: Option<Spanned<NonZeroU16>>,
    /// The path in the message whose value chooses the instance, so that order holds per value.
    pub partition_by: Option<Spanned<String>>,
    /// The whole declaration.
    pub span: Span,
}

/// Ports which a scenario declares on a gear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredPorts {
    /// Further inputs.
    pub inputs: Vec<Spanned<String>>,
    /// Further outputs.
    pub outputs: Vec<Spanned<String>>,
}

/// An edge as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Its own name, when it has one.
    pub id: Option<Spanned<String>>,
    /// Where signals come from: an output.
    pub from: Endpoint,
    /// Where they go: an input.
    pub to: Endpoint,
    /// How they are carried; none means hot inside a rack and mesh between racks.
    pub lane: Option<Spanned<Lane>>,
    /// When the sender of a durable wire is told that a signal is safe; none means on disk.
    pub ack: Option<Spanned<Ack>>,
    /// Whether a durable wire leaves out a signal that it carried before; none means no.
    pub dedupe: Option<Spanned<bool>>,
    /// The whole route.
    pub span: Span,
}

impl Route {
    /// Its id, or `from -> to` when it has none.
    pub fn name(&self) -> String {
        self.id.as_ref().map_or_else(|| format!("{} -> {}", self.from, self.to), |id| id.value.clone())
    }

    /// Its name on a bus, a token of a subject: the id where that is one, and short; else what follows from the name.
    pub fn bus_name(&self) -> String {
        crate::circuit::token(&self.name())
    }
}

/// One end of a route: `gear.port`, or `rack.gear.port`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The rack, when said.
    pub rack: Option<String>,
    /// The gear.
    pub gear: String,
    /// Its port.
    pub port: String,
    /// The whole endpoint.
    pub span: Span,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rack) = &self.rack {
            write!(f, "{rack}.")?;
        }
        write!(f, "{}.{}", self.gear, self.port)
    }
}

/// How a wire carries signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// In memory, inside one rack, at most once.
    #[default]
    Hot,
    /// Through a journal, inside one rack, at least once. The word `guaranteed` is accepted too.
    Durable,
    /// Over the bus, between racks, at least once.
    Mesh,
}

impl Lane {
    /// The word in a scenario.
    pub fn word(self) -> &'static str {
        match self {
            Lane::Hot => "hot",
            Lane::Durable => "durable",
            Lane::Mesh => "mesh",
        }
    }
}

/// When the sender of a durable wire is told that a signal is safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ack {
    /// When the disk has it: it survives the loss of power.
    #[default]
    Disk,
    /// When the operating system has it: it survives the end of the process, and is on disk soon after.
    Os,
}

impl Ack {
    /// The word in a scenario.
    pub fn word(self) -> &'static str {
        match self {
            Ack::Disk => "disk",
            Ack::Os => "os",
        }
    }
}
