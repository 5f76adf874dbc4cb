//! Everything that must hold, cheapest first.

use std::{process::Command, time::Instant};

use anyhow::{Result, ensure};

use crate::{chaos, layers, peers, reference, shell, simulation, tidy};

pub(crate) fn run() -> Result<()> {
    let began = Instant::now();
    shell::run("cargo fmt --all --check")?;
    layers::check()?;
    tidy::check()?;
    shell::run("cargo clippy --workspace --all-targets --quiet -- -D warnings")?;
    reference::check()?;
    tests()?;
    shell::run("cargo test --workspace --doc --quiet")?;
    simulation::minute()?;
    simulation::planted()?;
    chaos::minute()?;
    println!("\nall good, in {} s", began.elapsed().as_secs());
    Ok(())
}

/// Every test, by nextest where it is installed.
fn tests() -> Result<()> {
    let runner = match shell::output("cargo nextest --version") {
        Some(_) => "nextest run --no-fail-fast",
        None => "test --no-fail-fast --lib --bins --tests",
    };
    let line = format!("{runner} --workspace");
    println!("$ cargo {line}");
    let status = Command::new("cargo")
        .args(line.split(' '))
        .current_dir(shell::root())
        .envs(peers::prepare()?)
        .status()?;
    peers::report()?;
    ensure!(status.success(), "tests failed");
    Ok(())
}
