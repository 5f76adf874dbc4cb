//! Runs one comparison: `flux-bench NAME [--json] [--rounds N]`. See `bench/README.md`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a driver prints and times")]

mod chain;

fn main() -> anyhow::Result<()> {
    chain::run()
}
