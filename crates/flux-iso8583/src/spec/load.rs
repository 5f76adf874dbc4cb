//! Loads a spec with everything it builds on and reports what is wrong with any of it.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Component, Path};

use super::{
    Problem, Report, Spec, layouts,
    merge::merge,
    problem::Code,
    read::Reader,
    yaml::{self, At, Node, Yaml},
};
use crate::limits::{EXTENDS_DEPTH_MAX, SPEC_FILES_MAX};

/// Finds the text of a spec by the name that `extends` or `wire.source` gives it; the error says why not. Names are
/// those of the file that was asked for first: a loader that reads files resolves them against its directory.
pub type Loader<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, String>;

impl Spec {
    /// Reads the spec in `bytes`, called `file` in reports, and those it builds on.
    ///
    /// ```
    /// let text = b"{id: shop, name: Shop, version: 1.0.0, extends: iso87ascii}";
    /// let spec = flux_iso8583::Spec::load("shop.yaml", text, &|name| Err(format!("no {name}"))).unwrap();
    /// assert_eq!(spec.field(2).unwrap().name, "Primary account number");
    /// ```
    pub fn load(file: &str, bytes: &[u8], loader: Loader<'_>) -> Result<Spec, Report> {
        let mut sources = Sources {
            files: vec![file.to_owned()],
            report: Report::default(),
            loader,
            digest: DefaultHasher::new(),
        };
        let Some(own) = sources.parse(0, bytes) else { return Err(sources.report) };
        let mut stack = vec![file.to_owned()];
        let merged = sources.on_its_bases(own.clone(), &mut stack);
        let mut reader = Reader { files: &sources.files, report: &mut sources.report };
        let spec = reader.spec(&own, &merged);
        sources.report.sort(&sources.files);
        if sources.report.has_errors() {
            return Err(sources.report);
        }
        Ok(Spec { warnings: sources.report, fingerprint: sources.digest.finish(), ..spec })
    }

    /// A base layout that comes with the crate: `iso87ascii`, `iso87binary`, `iso87hex`.
    pub fn builtin(name: &str) -> Option<Spec> {
        let text = layouts::builtin(name)?;
        let none = |name: &str| Err(format!("`{name}` does not come with the crate"));
        Some(Spec::load(name, text.as_bytes(), &none).expect("the tests load every built-in layout"))
    }

    /// The names that [`Spec::builtin`] knows.
    pub fn builtin_names() -> &'static [&'static str] {
        &layouts::NAMES
    }
}

struct Sources<'a> {
    files: Vec<String>,
    report: Report,
    loader: Loader<'a>,
    /// Of every text that was read.
    digest: DefaultHasher,
}

impl Sources<'_> {
    fn parse(&mut self, file: usize, bytes: &[u8]) -> Option<Node> {
        self.digest.write(bytes);
        match yaml::parse(file, bytes) {
            Ok(node) => Some(unwrapped(node)),
            Err(flaw) => {
                self.push(flaw.code, flaw.at, flaw.message, flaw.help.to_owned());
                None
            }
        }
    }

    fn push(&mut self, code: Code, at: At, message: String, help: String) {
        self.report.push(Problem {
            code,
            severity: code.severity(),
            file: self.files[at.file].clone(),
            line: at.line,
            column: at.column,
            message,
            help: Some(help),
        });
    }

    /// `node` on top of what its `extends` names, on top of what its `wire.source` names.
    fn on_its_bases(&mut self, node: Node, stack: &mut Vec<String>) -> Node {
        let source = node.get("wire").and_then(|wire| wire.get("source"));
        let names = [source, node.get("extends")];
        let bases: Vec<(String, At)> =
            names.into_iter().flatten().filter_map(|n| Some((n.text()?.to_owned(), n.at))).collect();
        let mut merged: Option<Node> = None;
        for (name, at) in bases {
            if let Some(base) = self.base(&name, at, stack) {
                merged = Some(match merged {
                    Some(lower) => merge(lower, base),
                    None => base,
                });
            }
        }
        match merged {
            Some(lower) => merge(lower, node),
            None => node,
        }
    }

    fn base(&mut self, name: &str, at: At, stack: &mut Vec<String>) -> Option<Node> {
        let is_endless = stack.len() > EXTENDS_DEPTH_MAX || self.files.len() >= SPEC_FILES_MAX;
        if is_endless || stack.iter().any(|other| other == name) {
            let chain = stack.join(" -> ");
            let message = format!("`{name}` cannot be built on here: {chain} -> {name}");
            self.push(Code::BaseCycle, at, message, format!("a chain of at most {EXTENDS_DEPTH_MAX}, {SPEC_FILES_MAX} files in all, none in its own chain"));
            return None;
        }
        let bytes = match layouts::builtin(name) {
            Some(text) => text.as_bytes().to_vec(),
            None if leaves_directory(name) => {
                let message = format!("`{name}` leads out of the directory of this file");
                self.push(Code::MissingBase, at, message, "name a file beside it or below".to_owned());
                return None;
            }
            None => match (self.loader)(name) {
                Ok(bytes) => bytes,
                Err(why) => {
                    let help = format!("name a file, or one of {}", layouts::NAMES.join(", "));
                    self.push(Code::MissingBase, at, format!("cannot load `{name}`: {why}"), help);
                    return None;
                }
            },
        };
        self.files.push(name.to_owned());
        let node = self.parse(self.files.len() - 1, &bytes)?;
        if !matches!(node.value, Yaml::Map(_)) {
            let message = format!("`{name}` is no spec: a spec is a map");
            self.push(Code::WrongShape, at, message, "name a file that starts like `id: shop`".to_owned());
            return None;
        }
        stack.push(name.to_owned());
        let merged = self.on_its_bases(node, stack);
        stack.pop();
        Some(merged)
    }
}

/// Whether a name, resolved against a directory, could be a file outside of it.
fn leaves_directory(name: &str) -> bool {
    let is_within = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    !Path::new(name).components().all(is_within) || name.contains('\\')
}

/// The document without the `spec:` around it, if it has one.
fn unwrapped(mut node: Node) -> Node {
    match &mut node.value {
        Yaml::Map(entries) if entries.len() == 1 && entries[0].key == "spec" => entries.remove(0).node,
        _ => node,
    }
}
