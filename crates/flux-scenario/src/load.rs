//! Text to scenario and settings, with every problem of form on the way.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde_json::Value as Json;

use crate::annotate::walk;
use crate::catalog::Catalog;
use crate::circuit::{Circuit, Fuse};
use crate::codes::{Code, Severity};
use crate::conform::{Part, conform};
use crate::limits::FILE_BYTES_MAX;
use crate::lower;
use crate::node::{Entry, Node, Value};
use crate::report::{Issue, Report};
use crate::resolve::Schemas;
use crate::scenario::Scenario;
use crate::schema::{Form, scenario_shape, toml_shape};
use crate::secrecy::{hide_telling, telling_lines};
use crate::settings::Settings;
use crate::source::{Source, Span};
use crate::words::{closest, did_you_mean, listed, quoted};
use crate::{toml, yaml};

static SCENARIO_SHAPE: LazyLock<Json> = LazyLock::new(scenario_shape);
static TOML_SHAPE: LazyLock<Json> = LazyLock::new(toml_shape);

/// What a file holds. With errors in the report it is as much of it as could be understood.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// What to run.
    pub scenario: Scenario,
    /// How to run it; defaults for a YAML scenario.
    pub settings: Settings,
    /// Every problem of form. [`Loaded::check`] adds those of meaning.
    pub report: Report,
    /// The text.
    pub source: Arc<Source>,
}

impl Loaded {
    /// Every problem of the file: of form, and, against the kinds of a catalog, of meaning.
    pub fn check(&self, catalog: &Catalog) -> Report {
        self.with_form(crate::check(&self.scenario, catalog))
    }

    /// What `rack` runs, once neither form nor meaning has an error.
    ///
    /// # Errors
    /// The report of both, as for [`crate::compile`].
    pub fn compile(&self, rack: Option<&str>, catalog: &Catalog, fuse: Fuse) -> Result<Circuit, Report> {
        let compiled = crate::compile(&self.scenario, rack, catalog, fuse);
        let circuit = compiled.map_err(|found| self.with_form(found))?;
        if self.report.has_errors() { Err(self.check(catalog)) } else { Ok(circuit) }
    }

    /// The gears of `rack` whose kind and config are sound, whatever else is wrong with the file: to be made and tried,
    /// not to be run.
    pub fn trial(&self, rack: Option<&str>, catalog: &Catalog) -> Circuit {
        crate::circuit::trial(&self.scenario, rack, catalog, &self.report)
    }

    /// Adds problems of meaning to those of form. Where the form is wrong, what it would have meant says nothing new.
    fn with_form(&self, mut meaning: Report) -> Report {
        let mut report = self.report.clone();
        let errors = report.issues().iter().filter(|issue| issue.severity() == Severity::Error);
        let wrong: BTreeSet<Span> = errors.map(|issue| issue.span).collect();
        meaning.retain(|issue| !wrong.contains(&issue.span));
        report.merge(meaning);
        report
    }
}

/// Reads a scenario. The name decides the form: `.yaml`, `.yml` and `.flux` are YAML, `.toml` is `fluxrig.toml`.
/// Bytes that are too many or no text are reported as other problems are.
pub fn load(file_name: &str, text: &(impl AsRef<[u8]> + ?Sized)) -> Loaded {
    let mut report = open(file_name, text.as_ref());
    let source = report.source().clone();
    let (scenario, settings) = read(&source, &mut report, Content::Scenario)
        .unwrap_or_else(|| (Scenario { source: source.clone(), ..Scenario::default() }, Settings::default()));
    Loaded { scenario, settings, report, source }
}

/// Reads only the settings of a `fluxrig.toml`, which need not have gears then.
pub fn load_settings(file_name: &str, text: &(impl AsRef<[u8]> + ?Sized)) -> (Settings, Report) {
    let mut report = open(file_name, text.as_ref());
    let source = report.source().clone();
    let read = read(&source, &mut report, Content::Settings);
    (read.map(|(_, settings)| settings).unwrap_or_default(), report)
}

/// What a file is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Scenario,
    Settings,
}

/// A report on the text of a file, which says so where there is none.
fn open(file_name: &str, bytes: &[u8]) -> Report {
    if bytes.len() > FILE_BYTES_MAX {
        // Nothing of it is kept, and no line of it is shown.
        let mut report = Report::new(Arc::new(Source::new(file_name, "")));
        let message = format!("the file is longer than {FILE_BYTES_MAX} bytes");
        report.push(Issue::new(Code::TooLarge, Span::default(), message).help("split it"));
        return report;
    }
    let mut report = Report::new(Arc::new(Source::new(file_name, String::from_utf8_lossy(bytes))));
    if let Err(why) = str::from_utf8(bytes) {
        // The text before it is as it was; in its own place is a replacement character now.
        let at = why.valid_up_to();
        let place = Span::new(at..at + char::REPLACEMENT_CHARACTER.len_utf8());
        let message = format!("the byte 0x{:02x} is not UTF-8", bytes[at]);
        report.push(Issue::new(Code::NotText, place, message).help("save the file as UTF-8"));
    }
    report
}

fn read(source: &Source, report: &mut Report, content: Content) -> Option<(Scenario, Settings)> {
    if report.has_errors() {
        return None;
    }
    match form(source.name()) {
        Some(Form::Yaml) => {
            let root = hiding(yaml::parse(source, report), source, report)?;
            Some((read_scenario(&root, report), Settings::default()))
        }
        Some(Form::Toml) => {
            let root = join_dotted_routes(hiding(toml::parse(source, report), source, report)?);
            let settings = read_toml(&root, report);
            let scenario = match content {
                Content::Scenario => lower::fluxrig_toml(&root, report),
                Content::Settings => Scenario::default(),
            };
            Some((scenario, settings))
        }
        None => {
            let message = format!("cannot tell what form {} has", quoted(source.name()));
            report.push(
                Issue::new(Code::UnknownFormat, Span::default(), message).help("name it .yaml or .toml"),
            );
            None
        }
    }
}

/// What was read, with everything hidden that could be secret by the key it stands under.
fn hiding(root: Option<Node>, source: &Source, report: &mut Report) -> Option<Node> {
    match &root {
        Some(root) => hide_telling(root, report),
        None => telling_lines(source.text()).into_iter().for_each(|span| report.hide(span)),
    }
    root
}

fn form(name: &str) -> Option<Form> {
    match Path::new(name).extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "yaml" | "yml" | "flux" => Some(Form::Yaml),
        "toml" => Some(Form::Toml),
        _ => None,
    }
}

fn read_scenario(root: &Node, report: &mut Report) -> Scenario {
    if root.value == Value::Null {
        let issue = Issue::new(Code::NoGears, Span::default(), "the file is empty");
        report.push(issue.help("a scenario has `meta`, `gears` and `wires`"));
        return Scenario { source: report.source().clone(), ..Scenario::default() };
    }
    let shape = &*SCENARIO_SHAPE;
    let start = Span { end: root.span.start, ..root.span };
    conform(report, Part::Structure, Schemas::new(shape), shape, root, "the scenario", start);
    lower::scenario(root, report)
}

/// Holds each section against its schema; the settings become themselves when nothing is wrong with them.
fn read_toml(root: &Node, report: &mut Report) -> Settings {
    let shape = &*TOML_SHAPE;
    let sections = shape["properties"].as_object().expect("settings are a table");
    let mut given = serde_json::Map::new();
    let mut found = Report::new(report.source().clone());
    for Entry { key, key_span, node } in root.entries() {
        let Some(schema) = sections.get(key) else {
            let names: Vec<&str> = sections.keys().map(String::as_str).collect();
            let help = match closest(key, &names) {
                Some(name) => did_you_mean(name),
                None => format!("the sections are {}", listed(&names, "and")),
            };
            let message = format!("`fluxrig.toml` has no section `{key}`");
            report.push(Issue::new(Code::UnknownKey, *key_span, message).help(help));
            continue;
        };
        let name = format!("`{key}`");
        let schemas = Schemas::new(shape);
        if matches!(key.as_str(), "gears" | "bus") {
            conform(report, Part::Structure, schemas, schema, node, &name, *key_span);
        } else {
            conform(&mut found, Part::Settings, schemas, schema, node, &name, *key_span);
            given.insert(key.clone(), node.to_json());
            note_settings(&mut found, schemas, schema, key, node);
        }
    }
    let settings =
        if found.has_errors() { Ok(Settings::default()) } else { serde_json::from_value(given.into()) };
    report.merge(found);
    settings.unwrap_or_else(|error| {
        let message = format!("cannot read the settings: {error}");
        report.push(Issue::new(Code::SettingBadValue, Span::default(), message));
        Settings::default()
    })
}

/// Says which of the settings have no effect, and hides the secret ones.
fn note_settings(report: &mut Report, schemas: Schemas<'_>, schema: &Json, section: &str, node: &Node) {
    walk(schemas, schema, node, &mut |place| {
        let is_marked = |keyword| place.is_written && place.view.keyword(keyword) == Some(&Json::Bool(true));
        if is_marked("x-flux-secret") {
            report.hide(place.node.span);
        }
        if is_marked("x-flux-inert") {
            let name = place.key.unwrap_or(section);
            let message = format!("`{name}` is accepted and has no effect yet");
            report.push(Issue::new(Code::SettingInert, place.node.span, message));
        }
    });
}

/// In TOML `[bus.routes.gear.port]` is a table in a table; it means the route named `gear.port`.
fn join_dotted_routes(mut root: Node) -> Node {
    let bus = table_mut(&mut root).and_then(|entries| entries.iter_mut().find(|entry| entry.key == "bus"));
    let routes = bus
        .and_then(|bus| table_mut(&mut bus.node))
        .and_then(|entries| entries.iter_mut().find(|entry| entry.key == "routes"))
        .and_then(|routes| table_mut(&mut routes.node));
    let Some(routes) = routes else { return root };
    let mut joined = Vec::with_capacity(routes.len());
    for mut entry in std::mem::take(routes) {
        let is_nested = !entry.node.entries().is_empty()
            && entry.node.entries().iter().all(|inner| matches!(inner.node.value, Value::Table(_)));
        match table_mut(&mut entry.node) {
            Some(ports) if is_nested => joined.extend(
                ports.drain(..).map(|port| Entry { key: format!("{}.{}", entry.key, port.key), ..port }),
            ),
            _ => joined.push(entry),
        }
    }
    *routes = joined;
    root
}

fn table_mut(node: &mut Node) -> Option<&mut Vec<Entry>> {
    match &mut node.value {
        Value::Table(entries) => Some(entries),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
