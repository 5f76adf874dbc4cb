//! Measures what needs the engine in process: `flux-bench [--rounds N]`. `bench/run` drives it; see `bench/README.md`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a driver prints and times")]

use anyhow::Context;

mod chain;
mod gears;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rounds = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => 5,
        ["--rounds", n] => n.parse().context("--rounds takes a number")?,
        _ => anyhow::bail!("usage: flux-bench [--rounds N]"),
    };
    println!("{}", chain::run(rounds)?);
    Ok(())
}
