//! Runs programs in the root of the project.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_path_buf()
}

/// Runs a command line (words separated by blanks) and fails when it does.
pub(crate) fn run(line: &str) -> Result<()> {
    println!("$ {line}");
    let status = command(line).status().with_context(|| format!("cannot run `{line}`"))?;
    ensure!(status.success(), "`{line}` failed");
    Ok(())
}

/// What a command line prints, if it succeeds.
pub(crate) fn output(line: &str) -> Option<String> {
    let output = command(line).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn command(line: &str) -> Command {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).current_dir(root());
    command
}

/// The files git tracks (or would) that end like this, as paths from the root, with their text.
pub(crate) fn files(ending: &str) -> Result<Vec<(String, String)>> {
    let listed = output("git ls-files --cached --others --exclude-standard").context("git lists no files")?;
    let mut files = Vec::new();
    for path in listed.lines().filter(|path| path.ends_with(ending)) {
        let full = root().join(path);
        if full.is_file() {
            files.push((
                path.to_owned(),
                std::fs::read_to_string(&full).with_context(|| format!("reading {path}"))?,
            ));
        }
    }
    Ok(files)
}
