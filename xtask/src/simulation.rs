//! Runs the simulation, built as fast as it can be with every assertion in it.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::shell;

/// Runs `flux-sim` with these options; what it has to say it says itself.
pub(crate) fn command(options: &[&str]) -> ExitCode {
    match run(options) {
        Ok(is_good) => ExitCode::from(u8::from(!is_good)),
        Err(why) => {
            eprintln!("xtask: {why:#}");
            ExitCode::from(2)
        }
    }
}

/// A minute on all cores, as a part of the tests.
pub(crate) fn minute() -> Result<()> {
    println!("$ cargo xtask sim --minutes 1");
    ensure!(run(&["--minutes", "1"])?, "the simulation found a violation");
    Ok(())
}

/// Every planted bug is found, as a part of the tests.
pub(crate) fn planted() -> Result<()> {
    println!("$ cargo xtask sim --planted");
    ensure!(run(&["--planted"])?, "the simulation does not see a planted bug");
    Ok(())
}

/// Whether no rule was broken.
fn run(options: &[&str]) -> Result<bool> {
    let status = Command::new("cargo")
        .args(["run", "--quiet", "--profile", "sim", "--package", "flux-sim"])
        // Only this build has bugs on purpose in it.
        .args(options.contains(&"--planted").then_some("--features=planted"))
        .arg("--")
        .args(options)
        .current_dir(shell::root())
        .status()
        .context("cannot run the simulation")?;
    Ok(status.success())
}
