//! A tree as written to a [`Scenario`]. What does not fit was reported before; here it is passed over.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::Path;

use crate::codes::Code;
use crate::forms::check_name;
use crate::node::{Entry, Node, Value};
use crate::report::{Issue, Report};
use crate::scenario::{Ack, DeclaredPorts, Endpoint, GearDecl, Lane, Meta, Rack, Route, Scenario};
use crate::source::{Source, Span, Spanned};
use crate::words::quoted;

/// The YAML form.
pub(crate) fn scenario(root: &Node, report: &mut Report) -> Scenario {
    let list = |key: &str| root.get(key).map_or(&[][..], Node::items);
    let meta = root.get("meta").map(meta).unwrap_or_default();
    let racks = list("racks").iter().filter_map(|node| rack(node, report)).collect();
    let gears: Vec<GearDecl> = list("gears")
        .iter()
        .filter_map(|node| Some(gear(spanned_text(node, "name")?, "type", node, node.span)))
        .collect();
    let wires = list("wires").iter().filter_map(|node| wire(node, report)).collect();
    // Another shape was reported already, and says more. A list that is empty says that nothing is to run.
    if root.get("gears").is_none_or(|gears| matches!(gears.value, Value::Null)) {
        let start = Span { end: root.span.start, ..root.span };
        let place = root.entry("gears").map_or(start, |entry| entry.key_span);
        let issue = Issue::new(Code::NoGears, place, "this scenario has no gears, so nothing would run");
        report.push(issue.help("list them under `gears:`, each with a `name` and a `type`"));
    }
    Scenario { meta, racks, gears, wires, source: report.source().clone() }
}

/// The TOML form: one rack, gears by name, routes by source.
pub(crate) fn fluxrig_toml(root: &Node, report: &mut Report) -> Scenario {
    let gears = root.get("gears").map_or(&[][..], Node::entries);
    let routes = root.at("bus.routes").map_or(&[][..], Node::entries);
    if gears.is_empty() {
        let issue =
            Issue::new(Code::NoGears, Span::default(), "this file has no gears, so nothing would run");
        report.push(issue.help("add one: `[gears.NAME]` with `spec = \"KIND\"` and `config = { ... }`"));
    }
    for Entry { key, key_span, .. } in gears {
        if let Err(help) = check_name(key) {
            let message = format!("a gear cannot be named {}", quoted(key));
            report.push(Issue::new(Code::BadValue, *key_span, message).help(help));
        }
    }
    Scenario {
        meta: Meta { name: rack_name(root, report.source()), ..Meta::default() },
        racks: Vec::new(),
        gears: gears
            .iter()
            .map(|Entry { key, key_span, node }| {
                gear(Spanned::new(key.clone(), *key_span), "spec", node, *key_span)
            })
            .collect(),
        wires: routes.iter().flat_map(|entry| self::routes(entry, report)).collect(),
        source: report.source().clone(),
    }
}

/// The name of the rack, else that of the file.
fn rack_name(root: &Node, source: &Source) -> Spanned<String> {
    let given = root.get("base").and_then(|base| spanned_text(base, "name")).filter(|name| !name.is_empty());
    given.unwrap_or_else(|| {
        let stem = Path::new(source.name()).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        stem.unwrap_or_default().into()
    })
}

fn meta(node: &Node) -> Meta {
    Meta {
        name: spanned_text(node, "name").unwrap_or_default(),
        version: spanned_text(node, "version"),
        description: text(node, "description"),
        labels: labels(node.get("labels")),
    }
}

fn rack(node: &Node, report: &mut Report) -> Option<Rack> {
    let name = match (spanned_text(node, "name"), spanned_text(node, "group")) {
        (Some(name), None) => (name, false),
        (None, Some(group)) => (group, true),
        (None, None) => {
            let issue = Issue::new(Code::MissingKey, node.span, "this rack has neither `name` nor `group`");
            report.push(issue.help("add `name` for one rack, or `group` with `match` for several"));
            return None;
        }
        (Some(name), Some(group)) => {
            let issue = Issue::new(Code::BadValue, group.span, "this is a rack and a group at once");
            report.push(issue.related(name.span, "named as a rack here").help("keep `name` or `group`"));
            (name, false)
        }
    };
    let (name, is_group) = name;
    Some(Rack {
        name,
        is_group,
        match_labels: labels(node.at("match.labels")),
        is_external: matches!(node.get("external").map(|node| &node.value), Some(Value::Bool(true))),
        labels: labels(node.get("labels")),
        config: node.get("config").cloned().unwrap_or_else(Node::table),
        defaults: node.get("defaults").cloned().unwrap_or_else(Node::table),
        span: node.span,
    })
}

fn gear(name: Spanned<String>, kind_key: &str, node: &Node, span: Span) -> GearDecl {
    let ports = |key: &str| {
        let listed = node.get("ports").and_then(|ports| ports.get(key)).map_or(&[][..], Node::items);
        listed.iter().filter_map(|port| Some(Spanned::new(port.as_text()?.to_owned(), port.span))).collect()
    };
    let parallel = node.get("parallel").and_then(|node| match &node.value {
        Value::Number(count) => {
            let count = NonZeroU16::new(u16::try_from(count.as_u64()?).ok()?)?;
            Some(Spanned::new(count, node.span))
        }
        _ => None,
    });
    GearDecl {
        id: text(node, "id").and_then(|id| id.parse().ok()),
        kind: kind(node, kind_key, name.span),
        deploy: spanned_text(node, "deploy"),
        config: config(node, name.span),
        ports: DeclaredPorts { inputs: ports("inputs"), outputs: ports("outputs") },
        labels: labels(node.get("labels")),
        doc: text(node, "doc"),
        parallel,
        partition_by: spanned_text(node, "partition_by"),
        name,
        span,
    }
}

/// The kind; when it is absent or no text, nothing, at the place where that was reported: the wrong value, or the start
/// of the gear, which in TOML is its name.
fn kind(gear: &Node, key: &str, name: Span) -> Spanned<String> {
    let start = match (&gear.value, gear.entries().first()) {
        (Value::Table(_), Some(first)) if key == "type" => first.key_span,
        (Value::Table(_), _) => name,
        _ => gear.span,
    };
    let place = gear.get(key).map_or(start, |node| node.span);
    spanned_text(gear, key).unwrap_or_else(|| Spanned::new(String::new(), place))
}

/// The config; an absent or empty one is an empty table at the name of the gear, where what it lacks is reported.
fn config(gear: &Node, name: Span) -> Node {
    match gear.get("config") {
        Some(config) if matches!(config.value, Value::Table(_)) => config.clone(),
        _ => Node { span: name, ..Node::table() },
    }
}

fn wire(node: &Node, report: &mut Report) -> Option<Route> {
    let mut end = |key: &str| {
        let node = node.get(key)?;
        endpoint(node.as_text()?, None, node.span, report)
    };
    let (from, to) = (end("from"), end("to"));
    Some(Route {
        id: spanned_text(node, "id"),
        from: from?,
        to: to?,
        lane: lane(node.get("lane")),
        ack: ack(node.get("ack")),
        dedupe: dedupe(node.get("dedupe")),
        span: node.span,
    })
}

fn routes(entry: &Entry, report: &mut Report) -> Vec<Route> {
    let Entry { key, key_span, node } = entry;
    let given = spanned_text(node, "from");
    let source = given.clone().unwrap_or_else(|| Spanned::new(key.clone(), *key_span));
    let from = endpoint(&source.value, Some("out"), source.span, report);
    let (lane, ack, dedupe) = (lane(node.get("lane")), ack(node.get("ack")), dedupe(node.get("dedupe")));
    let targets = node.get("targets").map_or(&[][..], Node::items);
    let mut wires = Vec::new();
    for target in targets {
        let to = target.as_text().and_then(|text| endpoint(text, Some("in"), target.span, report));
        let (Some(from), Some(to)) = (from.clone(), to) else { continue };
        let id = (given.is_some() && targets.len() == 1).then(|| Spanned::new(key.clone(), *key_span));
        let (lane, ack, dedupe) = (lane.clone(), ack.clone(), dedupe.clone());
        wires.push(Route { id, from, to, lane, ack, dedupe, span: target.span });
    }
    wires
}

/// `gear.port` or `rack.gear.port`; `gear` alone where a port is understood.
fn endpoint(text: &str, port: Option<&str>, span: Span, report: &mut Report) -> Option<Endpoint> {
    let mut parts: Vec<&str> = text.split('.').collect();
    if let (1, Some(port)) = (parts.len(), port) {
        parts.push(port);
    }
    let complete = parts.iter().all(|part| !part.is_empty() && !part.contains(char::is_whitespace));
    let (rack, gear, port) = match (complete, &parts[..]) {
        (true, [gear, port]) => (None, gear, port),
        (true, [rack, gear, port]) => (Some((*rack).to_owned()), gear, port),
        _ => {
            let message = format!("{} does not name a port", quoted(text));
            let help = match port {
                Some(port) => format!("write `gear.port`, or `gear` for its port `{port}`"),
                None => "write `gear.port` or `rack.gear.port`".to_owned(),
            };
            report.push(Issue::new(Code::BadEndpoint, span, message).help(help));
            return None;
        }
    };
    Some(Endpoint { rack, gear: (*gear).to_owned(), port: (*port).to_owned(), span })
}

/// A lane by its word; `guaranteed` is durable here, and `check` sees whether it leaves the rack.
fn lane(node: Option<&Node>) -> Option<Spanned<Lane>> {
    let node = node?;
    let lane = match node.as_text()? {
        "hot" => Lane::Hot,
        "durable" | "guaranteed" => Lane::Durable,
        "mesh" => Lane::Mesh,
        _ => return None,
    };
    Some(Spanned::new(lane, node.span))
}

/// A level of acknowledgement by its word.
fn ack(node: Option<&Node>) -> Option<Spanned<Ack>> {
    let node = node?;
    let ack = match node.as_text()? {
        "disk" => Ack::Disk,
        "os" => Ack::Os,
        _ => return None,
    };
    Some(Spanned::new(ack, node.span))
}

fn dedupe(node: Option<&Node>) -> Option<Spanned<bool>> {
    let node = node?;
    match node.value {
        Value::Bool(dedupe) => Some(Spanned::new(dedupe, node.span)),
        _ => None,
    }
}

fn labels(node: Option<&Node>) -> BTreeMap<String, String> {
    let entries = node.map_or(&[][..], Node::entries);
    entries.iter().filter_map(|entry| Some((entry.key.clone(), entry.node.as_text()?.to_owned()))).collect()
}

fn text(node: &Node, key: &str) -> Option<String> {
    Some(node.get(key)?.as_text()?.to_owned())
}

fn spanned_text(node: &Node, key: &str) -> Option<Spanned<String>> {
    let node = node.get(key)?;
    Some(Spanned::new(node.as_text()?.to_owned(), node.span))
}
