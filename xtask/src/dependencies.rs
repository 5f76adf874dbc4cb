//! Nothing is depended on that nobody uses: neither a line of the workspace's list nor one of a crate's own.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::shell;

const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// A line for each dependency that no crate names, or that a crate names and its sources do not.
pub(crate) fn unused() -> Result<Vec<String>> {
    let sources = shell::files(".rs")?;
    let (mut listed, mut named) = (BTreeSet::new(), BTreeSet::new());
    let mut problems = Vec::new();
    for (path, text) in shell::files("Cargo.toml")? {
        let manifest: Table = text.parse().with_context(|| path.clone())?;
        if let Some(workspace) = manifest.get("workspace").and_then(Value::as_table) {
            listed.extend(names(workspace));
        }
        let folder = path.trim_end_matches("Cargo.toml");
        for name in names(&manifest) {
            let mut own = sources.iter().filter(|(source, _)| source.starts_with(folder));
            let is_lent = |text: &str| lent(text).any(|path| has(&sources, path, &name));
            if !own.any(|(_, text)| is_used(&name, text) || is_lent(text)) {
                problems.push(format!("{path}: `{name}` is in no source of the crate"));
            }
            named.insert(name);
        }
    }
    problems.extend(listed.difference(&named).map(|name| format!("Cargo.toml: no crate names `{name}`")));
    Ok(problems)
}

/// The dependencies of a crate, or of the workspace.
/// Sources of other crates that a source takes in: `#[path = "../x.rs"]`.
fn lent(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("#[path = \"")?.strip_suffix("\"]"));
    lines.map(|path| path.trim_start_matches("../"))
}

/// Whether the source with such an end uses a dependency.
fn has(sources: &[(String, String)], end: &str, name: &str) -> bool {
    sources.iter().any(|(source, text)| source.ends_with(end) && is_used(name, text))
}

fn names(table: &Table) -> Vec<String> {
    let tables = KINDS.iter().filter_map(|kind| table.get(*kind)?.as_table());
    tables.flat_map(Table::keys).cloned().collect()
}

/// Whether a source has the name of a crate as a word.
fn is_used(name: &str, source: &str) -> bool {
    let name = name.replace('-', "_");
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    source
        .match_indices(&name)
        .any(|(at, _)| !source[..at].ends_with(is_part) && !source[at + name.len()..].starts_with(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_used_where_its_name_is_a_word() {
        assert!(is_used("flux-gear", "use flux_gear::Gear;"));
        assert!(is_used("half", "half"));
        assert!(!is_used("flux-gear", "use flux_gears::builtin;"));
        assert!(!is_used("half", "let is_half = behalf();"));
    }

    #[test]
    fn a_source_of_another_crate_counts_where_it_is_taken_in() {
        let main = "#[path = \"../../../flux-x/tests/it/ca.rs\"]\nmod ca;\n";
        let sources = [("crates/flux-x/tests/it/ca.rs".to_owned(), "use rcgen::KeyPair;".to_owned())];
        let has = |name| lent(main).any(|path| has(&sources, path, name));
        assert!(has("rcgen") && !has("nkeys"));
    }

    #[test]
    fn dependencies_of_every_kind_are_found() {
        let manifest =
            "[dependencies]\na.workspace = true\n[dev-dependencies]\nb = \"1\"\n[features]\nc = []";
        assert_eq!(names(&manifest.parse().unwrap()), ["a", "b"]);
    }
}
