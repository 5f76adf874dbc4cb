//! Which crate may import which. The table is ARCHITECTURE.md's; nothing else is allowed.

use anyhow::{Context, Result, ensure};

use crate::shell;

/// A crate and everything of ours it may import, in its `[dependencies]`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("flux-signal", &[]),
    ("flux-world", &[]),
    ("flux-scenario", &["flux-signal"]),
    ("flux-iso8583", &["flux-signal"]),
    ("flux-journal", &["flux-world"]),
    ("flux-pool", &["flux-world"]),
    ("flux-bus", &["flux-journal", "flux-signal", "flux-world"]),
    ("flux-mesh", &["flux-bus", "flux-journal", "flux-signal", "flux-world"]),
    ("flux-gear", &["flux-scenario", "flux-signal", "flux-world"]),
    ("flux-gears", &["flux-gear", "flux-pool", "flux-iso8583", "flux-signal", "flux-world"]),
    ("flux-rack", &["flux-gear", "flux-journal", "flux-mesh", "flux-scenario", "flux-signal", "flux-world"]),
    // Heavy, so that only a binary names it.
    ("flux-nats", &["flux-bus", "flux-world"]),
    ("flux-identity", &["flux-bus", "flux-scenario"]),
    (
        "flux-mixer",
        &[
            "flux-bus",
            "flux-identity",
            "flux-iso8583",
            "flux-journal",
            "flux-mesh",
            "flux-scenario",
            "flux-world",
        ],
    ),
    ("fluxrig", BINARY),
    (
        "fluxrig-mixer",
        &[
            "flux-bus",
            "flux-gears",
            "flux-identity",
            "flux-journal",
            "flux-mixer",
            "flux-nats",
            "flux-scenario",
            "flux-world",
            "fluxrig",
        ],
    ),
    // Runs the rack and its organs in a simulated world, and nothing imports it.
    ("flux-sim", &["flux-gear", "flux-gears", "flux-journal", "flux-rack", "flux-scenario", "flux-world"]),
    ("xtask", &[]),
    // Measures everything, and nothing imports it.
    ("flux-bench", BINARY),
];

/// Everything: a binary names leaves, too.
const BINARY: &[&str] = &[
    "flux-bus",
    "flux-gear",
    "flux-gears",
    "flux-identity",
    "flux-iso8583",
    "flux-journal",
    "flux-mesh",
    "flux-nats",
    "flux-pool",
    "flux-rack",
    "flux-scenario",
    "flux-signal",
    "flux-world",
];

/// Crates that must stay clear of the async runtime.
const PURE: &[&str] = &["flux-signal", "flux-scenario", "flux-iso8583"];

pub(crate) fn check() -> Result<()> {
    let mut seen = 0;
    for (path, text) in shell::files("Cargo.toml")? {
        let manifest: toml::Table = text.parse().with_context(|| path.clone())?;
        let Some(name) = manifest.get("package").and_then(|package| package.get("name")?.as_str()) else {
            continue;
        };
        let allowed = MAY_IMPORT.iter().find(|(other, _)| *other == name);
        let (_, allowed) =
            allowed.with_context(|| format!("{path}: `{name}` has no place in xtask/src/layers.rs"))?;
        let imports = manifest.get("dependencies").and_then(toml::Value::as_table);
        for import in imports.into_iter().flat_map(toml::Table::keys) {
            let is_ours = import.starts_with("flux");
            ensure!(
                !is_ours || allowed.contains(&import.as_str()),
                "{path}: `{name}` must not import `{import}`"
            );
            ensure!(import != "tokio" || !PURE.contains(&name), "{path}: `{name}` is pure: no tokio");
        }
        seen += 1;
    }
    ensure!(
        seen == MAY_IMPORT.len(),
        "xtask/src/layers.rs lists {} crates, there are {seen}",
        MAY_IMPORT.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn crates_import_only_what_the_layers_allow() {
        super::check().unwrap();
    }
}
