//! What a config means beyond its shape: the ports it names, what it claims, which values are files or secrets.
//! [`crate::subset`] has the list of annotations.

use std::path::Path;

use serde_json::{Map, Value as Json};

use crate::catalog::{Claim, Direction, ERROR_PORT, Emits, GearPorts, Manifest, PortSpec};
use crate::limits::DEPTH_MAX;
use crate::node::{Node, Value};
use crate::resolve::{Schemas, View};
use crate::scenario::DeclaredPorts;
use crate::settings::REDACTED;
use crate::source::Span;

impl Manifest {
    /// Every port of a gear of this kind: those of the kind, those its config names, those the scenario declares,
    /// and [`ERROR_PORT`] when it has inputs. A name counts once per direction; the first one wins.
    pub fn ports_for(&self, config: &Json, declared: &DeclaredPorts) -> GearPorts {
        self.ports_of(&Node::from_json(config, Span::default()), declared)
    }

    /// What a gear of this kind holds exclusively, defaults included.
    pub fn claims(&self, config: &Json) -> Vec<Claim> {
        self.claims_of(&Node::from_json(config, Span::default()))
    }

    /// The config with its secrets replaced by `***`, fit to be shown.
    pub fn redacted(&self, config: &Json) -> Json {
        let mut shown = config.clone();
        for pointer in self.marked(&Node::from_json(config, Span::default()), "x-flux-secret") {
            if let Some(value) = shown.pointer_mut(&pointer.pointer) {
                *value = REDACTED.into();
            }
        }
        shown
    }

    /// The config with its relative file paths resolved against a directory, that of the scenario file. Absolute
    /// paths and names with a scheme (`builtin:iso87`) stay as they are.
    pub fn with_files_in(&self, dir: &Path, config: &Json) -> Json {
        let mut resolved = config.clone();
        for place in self.marked(&Node::from_json(config, Span::default()), "x-flux-file") {
            if let Some(Json::String(path)) = resolved.pointer_mut(&place.pointer)
                && !has_scheme(path)
            {
                *path = dir.join(&*path).to_string_lossy().into_owned();
            }
        }
        resolved
    }

    pub(crate) fn ports_of(&self, config: &Node, declared: &DeclaredPorts) -> GearPorts {
        let mut ports = GearPorts::default();
        for port in &self.ports {
            ports.add(port.clone());
        }
        for (port, _) in self.config_ports(config) {
            ports.add(port);
        }
        for name in &declared.inputs {
            ports.add(PortSpec::input(name.value.as_str(), "declared by the scenario"));
        }
        for name in &declared.outputs {
            ports.add(PortSpec::output(name.value.as_str(), Emits::Both, "declared by the scenario"));
        }
        if !ports.inputs.is_empty() {
            ports.add(PortSpec::output(ERROR_PORT, Emits::Process, "what this gear could not process"));
        }
        ports
    }

    /// The ports a config names, with the place of each name.
    pub(crate) fn config_ports(&self, config: &Node) -> Vec<(PortSpec, Span)> {
        let mut ports = Vec::new();
        self.walk(config, &mut |place| {
            let Some(Json::Object(mark)) = place.view.keyword("x-flux-port") else { return };
            match &place.node.value {
                Value::Text(text) => ports.extend(port(mark, text).map(|port| (port, place.node.span))),
                Value::Table(entries) => ports.extend(
                    entries.iter().filter_map(|entry| Some((port(mark, &entry.key)?, entry.key_span))),
                ),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) => {}
            }
        });
        ports
    }

    pub(crate) fn claims_of(&self, config: &Node) -> Vec<Claim> {
        let mut claims = Vec::new();
        self.walk(config, &mut |place| {
            let Some(Json::Object(mark)) = place.view.keyword("x-flux-claim") else { return };
            if let (true, Some(value), Some(kind)) =
                (place.applies(mark), place.node.as_text(), mark.get("kind").and_then(Json::as_str))
            {
                claims.push(Claim { kind: kind.to_owned(), value: value.to_owned(), span: place.node.span });
            }
        });
        claims
    }

    /// The outputs that nothing leaves, by what the config says.
    pub(crate) fn silent_outputs(&self, config: &Node) -> Vec<String> {
        let mut silent = Vec::new();
        self.walk(config, &mut |place| {
            let Some(Json::Object(mark)) = place.view.keyword("x-flux-silences") else { return };
            let port = mark.get("port").and_then(Json::as_str);
            if mark.get("value") == Some(&place.node.to_json()) && place.applies(mark) {
                silent.extend(port.map(str::to_owned));
            }
        });
        silent
    }

    /// Whether a gear of this kind keeps something on disk, by what its config says.
    pub fn keeps_on_disk(&self, config: &Json) -> bool {
        let mut keeps = false;
        self.walk(&Node::from_json(config, Span::default()), &mut |place| {
            keeps |= place.view.keyword("x-flux-keeps") == Some(&place.node.to_json());
        });
        keeps
    }

    /// Where the secrets of a config stand in its text.
    pub(crate) fn secret_spans(&self, config: &Node) -> Vec<Span> {
        self.marked(config, "x-flux-secret").into_iter().map(|place| place.span).collect()
    }

    fn marked(&self, config: &Node, keyword: &str) -> Vec<Marked> {
        let mut places = Vec::new();
        self.walk(config, &mut |place| {
            if place.view.keyword(keyword) == Some(&Json::Bool(true)) {
                places.push(Marked { pointer: place.pointer.to_owned(), span: place.node.span });
            }
        });
        places
    }

    fn walk(&self, config: &Node, visit: &mut dyn FnMut(Place<'_, '_>)) {
        walk(Schemas::new(&self.config_schema), &self.config_schema, config, visit);
    }
}

/// Visits every value under `node`, defaults included, with what its schema says.
pub(crate) fn walk<'s>(
    schemas: Schemas<'s>,
    schema: &'s Json,
    node: &Node,
    visit: &mut dyn FnMut(Place<'_, '_>),
) {
    Walk { schemas, visit }
        .value(&[schema], Spot { node, parent: None, key: None, pointer: "", is_written: true });
}

impl GearPorts {
    fn add(&mut self, port: PortSpec) {
        let side = match port.direction {
            Direction::In => &mut self.inputs,
            Direction::Out => &mut self.outputs,
        };
        if side.iter().all(|known| known.name != port.name) {
            side.push(port);
        }
    }
}

/// A value that carries a mark.
struct Marked {
    pointer: String,
    span: Span,
}

/// A value of a config with the schemas that apply to it.
pub(crate) struct Place<'a, 's> {
    pub(crate) node: &'a Node,
    pub(crate) view: &'a View<'s>,
    /// The key it stands under.
    pub(crate) key: Option<&'a str>,
    /// Whether it was written, rather than filled in by default.
    pub(crate) is_written: bool,
    parent: Option<(&'a Node, &'a View<'s>)>,
    pointer: &'a str,
}

impl Place<'_, '_> {
    /// Whether the sibling keys have the values that `when` of an annotation asks for.
    fn applies(&self, mark: &Map<String, Json>) -> bool {
        mark.get("when")
            .and_then(Json::as_object)
            .is_none_or(|when| when.iter().all(|(key, value)| self.sibling(key).as_ref() == Some(value)))
    }

    /// The value of a key beside this one, or its default.
    fn sibling(&self, key: &str) -> Option<Json> {
        let (node, view) = self.parent?;
        node.get(key).map(Node::to_json).or_else(|| default_of(view, key).cloned())
    }
}

struct Walk<'v, 's> {
    schemas: Schemas<'s>,
    visit: &'v mut dyn FnMut(Place<'_, '_>),
}

/// Where the walk stands.
#[derive(Clone, Copy)]
struct Spot<'a, 's> {
    node: &'a Node,
    parent: Option<(&'a Node, &'a View<'s>)>,
    key: Option<&'a str>,
    pointer: &'a str,
    is_written: bool,
}

impl<'s> Walk<'_, 's> {
    fn value(&mut self, schemas: &[&'s Json], spot: Spot<'_, 's>) {
        let Spot { node, parent, key, pointer, is_written } = spot;
        if pointer.matches('/').count() > DEPTH_MAX {
            return;
        }
        let mut view = View::default();
        for schema in schemas {
            // A value that fits no branch has no meaning either; `check` reports it.
            let Ok(more) = self.schemas.resolve(schema, node) else { return };
            view.maps.extend(more.maps);
        }
        (self.visit)(Place { node, view: &view, key, is_written, parent, pointer });
        let schemas: Vec<&Json> = view.maps.iter().filter_map(|map| map.get("items")).collect();
        for (index, node) in node.items().iter().enumerate() {
            let pointer = format!("{pointer}/{index}");
            self.value(&schemas, Spot { node, parent: None, key: None, pointer: &pointer, is_written });
        }
        if matches!(node.value, Value::Table(_)) {
            self.table(&view, spot);
        }
    }

    fn table(&mut self, view: &View<'s>, spot: Spot<'_, 's>) {
        let Spot { node, pointer, is_written, .. } = spot;
        let parent = Some((node, view));
        for entry in node.entries() {
            let mut schemas: Vec<&Json> = view.property(&entry.key).collect();
            schemas.extend(schemas.is_empty().then(|| view.additional()).flatten());
            let pointer = format!("{pointer}/{}", entry.key.replace('~', "~0").replace('/', "~1"));
            let key = Some(entry.key.as_str());
            self.value(&schemas, Spot { node: &entry.node, parent, key, pointer: &pointer, is_written });
        }
        let mut absent: Vec<&str> =
            view.properties().map(|(name, _)| name).filter(|name| node.get(name).is_none()).collect();
        absent.sort_unstable();
        absent.dedup();
        for name in absent {
            let Some(default) = default_of(view, name) else { continue };
            let schemas: Vec<&Json> = view.property(name).collect();
            let default = Node::from_json(default, node.span);
            let pointer = format!("{pointer}/{name}");
            let spot = Spot { node: &default, parent, key: Some(name), pointer: &pointer, is_written: false };
            self.value(&schemas, spot);
        }
    }
}

fn default_of<'s>(view: &View<'s>, key: &str) -> Option<&'s Json> {
    view.property(key).find_map(|schema| schema.get("default"))
}

fn port(mark: &Map<String, Json>, value: &str) -> Option<PortSpec> {
    let text = |key| mark.get(key).and_then(Json::as_str);
    let name = text("name")?.replace("{}", value);
    let emits = match text("emits") {
        Some("emitter") => Emits::Emitter,
        Some("both") => Emits::Both,
        _ => Emits::Process,
    };
    match text("direction")? {
        "in" => Some(PortSpec::input(name, "named by the config")),
        "out" => Some(PortSpec::output(name, emits, "named by the config")),
        _ => None,
    }
}

/// Whether a text is `scheme:name` rather than a path; a single letter is a drive.
fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

#[cfg(test)]
mod tests;
