//! What tests share: a small catalog, with one kind for each thing a schema or a graph can do, and how parsers are shown.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Category, Emits, Manifest, PortSpec, Status, Terminus};
use crate::node::Node;
use crate::report::Report;
use crate::source::Source;
use crate::units::{ByteSize, Duration};

/// The value that `parse` finds in a text, as JSON, and a line for each problem.
pub(crate) fn parsed(file: &str, text: &str, parse: fn(&Source, &mut Report) -> Option<Node>) -> String {
    let source = Arc::new(Source::new(file, text));
    let mut report = Report::new(source.clone());
    let node = parse(&source, &mut report);
    let mut shown = node.map(|node| node.to_json().to_string()).unwrap_or_default();
    for issue in report.issues() {
        let at = report.position(issue);
        shown.push_str(&format!("\n{}:{} {} {}", at.line, at.column, issue.code, issue.message));
        for (span, label) in &issue.related {
            let at = source.position(span.start);
            shown.push_str(&format!(", {label} {}:{}", at.line, at.column));
        }
    }
    shown.trim_start().to_owned()
}

fn manifest<C: JsonSchema>(kind: &str, category: Category, terminus: Terminus) -> Manifest {
    Manifest {
        kind: kind.to_owned(),
        category,
        status: Status::Stable,
        summary: format!("a {kind} for tests"),
        terminus,
        ports: Vec::new(),
        config_schema: schema_for!(C).to_value(),
        waits: false,
        partitionable: false,
    }
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tcp {
    /// Which end opens the connection.
    mode: Mode,
    /// Where to listen.
    #[schemars(extend("x-flux-claim" = { "kind": "listen", "when": { "mode": "server" } }))]
    bind: String,
    /// Whom to call.
    connect: Option<String>,
    /// How long a silent connection lives.
    idle_timeout: Duration,
    frame_bytes_max: ByteSize,
    pool_size: NonZeroU16,
    tls: Option<Tls>,
    #[schemars(extend("x-flux-keeps" = "local"))]
    spool: String,
    #[schemars(extend("x-flux-silences" = { "port": "out", "value": false, "when": { "mode": "client" } }))]
    read_responses: bool,
}

impl Default for Tcp {
    fn default() -> Self {
        Tcp {
            mode: Mode::Server,
            bind: ":8080".into(),
            connect: None,
            idle_timeout: Duration(std::time::Duration::from_secs(60)),
            frame_bytes_max: ByteSize(1 << 20),
            pool_size: NonZeroU16::new(4096).unwrap(),
            tls: None,
            spool: "memory".into(),
            read_responses: true,
        }
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// Listens.
    Server,
    /// Calls.
    Client,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tls {
    #[schemars(extend("x-flux-file" = true))]
    key_file: String,
    #[schemars(extend("x-flux-secret" = true), length(min = 8))]
    password: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Codec {
    /// The spec to read messages with.
    spec: String,
    #[serde(default)]
    direction: Way,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Way {
    #[default]
    Decode,
    Encode,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Switch {
    /// Where requests go, in order.
    #[schemars(length(min = 1))]
    routes: Vec<SwitchRoute>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SwitchRoute {
    name: String,
    destination: Destination,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Destination {
    Leaf(#[schemars(extend("x-flux-port" = { "direction": "out", "name": "out_{}" }))] String),
    Tree(Tree),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Tree {
    Failover(Vec<Destination>),
    RoundRobin(Vec<Destination>),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fork {
    #[schemars(extend("x-flux-port" = { "direction": "out", "name": "out_{}" }))]
    branches: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "format", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Write {
    /// Lines of text.
    Lines { newline: String },
    /// Frames with a length.
    Frames { width: u8 },
}

/// The catalog.
pub(crate) fn catalog() -> Catalog {
    use Category::{Codec as CodecCategory, Io, Logic, Observability};
    let input = |name: &str| PortSpec::input(name, "in");
    let process = |name: &str| PortSpec::output(name, Emits::Process, "out");
    let emitter = |name: &str| PortSpec::output(name, Emits::Emitter, "out");
    let mut tcp = manifest::<Tcp>("tcp", Io, Terminus::Io);
    tcp.ports = vec![input("in"), emitter("out")];
    let mut codec = manifest::<Codec>("codec", CodecCategory, Terminus::Transparent);
    codec.ports = vec![input("in"), process("out")];
    codec.partitionable = true;
    let mut switch = manifest::<Switch>("switch", Logic, Terminus::Opaque);
    switch.ports = vec![
        input("in"),
        input("in_reply"),
        process("out_response"),
        PortSpec::output("error", Emits::Both, "what failed or timed out"),
    ];
    let mut fork = manifest::<Fork>("fork", Logic, Terminus::Opaque);
    fork.ports = vec![input("in")];
    let mut call = manifest::<Nothing>("call", Logic, Terminus::Transparent);
    call.ports = vec![input("in"), process("out")];
    call.waits = true;
    let mut log = manifest::<Nothing>("log", Observability, Terminus::Opaque);
    log.ports = vec![input("in")];
    let mut source = manifest::<Nothing>("source", Io, Terminus::Io);
    source.ports = vec![emitter("out")];
    let mut write = manifest::<Write>("write", Io, Terminus::Io);
    write.ports = vec![input("in")];
    [tcp, codec, switch, fork, call, log, source, write].into_iter().collect()
}
