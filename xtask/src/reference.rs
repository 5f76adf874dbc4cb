//! Writes the reference pages that are generated from the code: gears, schemas, the command line.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};

use crate::shell;

/// Writes every generated page.
pub(crate) fn write() -> Result<()> {
    for (path, text) in pages()? {
        fs::create_dir_all(path.parent().context("a page has a folder")?)?;
        fs::write(&path, text)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Compares every generated page with what is committed.
pub(crate) fn check() -> Result<()> {
    for (path, text) in pages()? {
        let committed = fs::read_to_string(&path).unwrap_or_default();
        ensure!(committed == text, "{} is out of date: run `cargo xtask reference`", path.display());
    }
    Ok(())
}

fn pages() -> Result<Vec<(PathBuf, String)>> {
    let printed = |package: &str, args: &str| {
        let line = format!("cargo run --quiet --package {package} -- {args}");
        shell::output(&line).with_context(|| format!("`{line}` failed"))
    };
    let fluxrig = |args: &str| printed("fluxrig", args);
    let reference = shell::root().join("docs").join("reference");
    let mut pages = vec![
        (reference.join("scenario.schema.json"), fluxrig("scenario schema --form yaml")?),
        (reference.join("fluxrig.schema.json"), fluxrig("scenario schema --form toml")?),
        (reference.join("settings.md"), fluxrig("scenario settings")?),
        (reference.join("cli.md"), fluxrig("help-markdown")?),
        (reference.join("mixer-api.md"), printed("fluxrig-mixer", "api-markdown")?),
    ];
    for kind in fluxrig("gears list --names")?.lines() {
        pages.push((
            reference.join("gears").join(format!("{kind}.md")),
            fluxrig(&format!("gears doc {kind}"))?,
        ));
    }
    Ok(pages)
}
