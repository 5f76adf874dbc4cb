//! What a kind of gear is, as data, so that a process knows the ports and claims of kinds it never linked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::source::Span;

/// The output every gear with inputs has, declared or not: what its `process` could not handle leaves here, and goes
/// to the dead letters of the rack when no wire takes it.
pub const ERROR_PORT: &str = "error";

/// What is known of a kind without running it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// The name in a scenario (`type`); never changes once released.
    pub kind: String,
    /// What sort of work it does.
    pub category: Category,
    /// How settled its contract is.
    pub status: Status,
    /// One sentence.
    pub summary: String,
    /// Where a path through the graph ends.
    pub terminus: Terminus,
    /// The ports every instance has. The config and the scenario may add more: see [`Manifest::ports_for`].
    pub ports: Vec<PortSpec>,
    /// JSON Schema of its `config`, with the annotations `x-flux-port`, `x-flux-claim`, `x-flux-file` and
    /// `x-flux-secret`; the subset that [`crate::subset::assert_supported`] accepts.
    pub config_schema: serde_json::Value,
    /// `process` may return a future: the gear runs in a task of its own and is never fused.
    pub waits: bool,
    /// May run `parallel: N`, because it keeps no state beyond a message or keeps it by partition key.
    pub partitionable: bool,
}

/// What sort of work a kind does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Talks to the outside.
    Io,
    /// Turns bytes into data and back.
    Codec,
    /// Decides, remembers, transforms.
    Logic,
    /// Watches.
    Observability,
}

/// How settled the contract of a kind is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Changes only compatibly.
    Stable,
    /// May change.
    Experimental,
}

/// How a kind ends, or does not end, a path through the graph: bindings follow transparent gears to an I/O gear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Terminus {
    /// The path leaves the rack here.
    Io,
    /// What enters leaves again, one way.
    Transparent,
    /// Nothing can be said about what follows.
    Opaque,
}

/// One port of a gear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortSpec {
    /// The name used in a wire.
    pub name: String,
    /// Which way signals go.
    pub direction: Direction,
    /// One sentence.
    pub summary: String,
    /// Which half of the gear emits here; of no meaning for an input.
    pub emits: Emits,
}

/// Which way signals go through a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Into the gear.
    In,
    /// Out of the gear.
    Out,
}

/// Which half of a gear emits at an output. A cycle through an emitter is a conversation; one made only of `process`
/// halves waits on itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Emits {
    /// `process`, as an answer to what came in.
    #[default]
    Process,
    /// The emitter handed to `start`, at any time.
    Emitter,
    /// Either.
    Both,
}

impl Emits {
    /// Whether `process` may emit here.
    pub fn from_process(self) -> bool {
        matches!(self, Emits::Process | Emits::Both)
    }
}

impl PortSpec {
    /// An input.
    pub fn input(name: impl Into<String>, summary: impl Into<String>) -> Self {
        PortSpec {
            name: name.into(),
            direction: Direction::In,
            summary: summary.into(),
            emits: Emits::Process,
        }
    }

    /// An output.
    pub fn output(name: impl Into<String>, emits: Emits, summary: impl Into<String>) -> Self {
        PortSpec { name: name.into(), direction: Direction::Out, summary: summary.into(), emits }
    }
}

/// All ports of one gear: static, found in its config, declared, and [`ERROR_PORT`] when it has inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GearPorts {
    /// Inputs in a fixed order; an index into it is how a running rack names one.
    pub inputs: Vec<PortSpec>,
    /// Outputs in a fixed order.
    pub outputs: Vec<PortSpec>,
}

impl GearPorts {
    /// The index of an input.
    pub fn input(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|port| port.name == name)
    }

    /// The index of an output.
    pub fn output(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|port| port.name == name)
    }
}

/// What a gear holds exclusively on its rack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The sort of thing: `listen` for a listen address.
    pub kind: String,
    /// The thing: `0.0.0.0:8583`.
    pub value: String,
    /// Where it was written; the place of the whole config when it is a default.
    pub span: Span,
}

/// The kinds that are known, in order of name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Catalog {
    manifests: BTreeMap<String, Manifest>,
}

impl Catalog {
    /// Adds a kind, replacing one of the same name.
    pub fn insert(&mut self, manifest: Manifest) {
        self.manifests.insert(manifest.kind.clone(), manifest);
    }

    /// The kind of this name.
    pub fn get(&self, kind: &str) -> Option<&Manifest> {
        self.manifests.get(kind)
    }

    /// All names, in order.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.manifests.keys().map(String::as_str)
    }

    /// All kinds, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = &Manifest> {
        self.manifests.values()
    }
}

impl FromIterator<Manifest> for Catalog {
    fn from_iter<I: IntoIterator<Item = Manifest>>(manifests: I) -> Self {
        let mut catalog = Catalog::default();
        manifests.into_iter().for_each(|manifest| catalog.insert(manifest));
        catalog
    }
}
