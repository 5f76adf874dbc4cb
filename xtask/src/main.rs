//! The project's own chores: `cargo xtask test` is the README's test command, the rest are its parts.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a chore prints, times and reads the environment"
)]

use std::process::ExitCode;

mod chaos;
mod dependencies;
mod layers;
mod peers;
mod reference;
mod shell;
mod simulation;
mod suite;
mod tidy;

const HELP: &str = "\
cargo xtask <chore>

  test        everything that must hold: format, lints, layers, tidy, every test, reference pages
  ci          the same with every foreign peer required
  sim         whole racks in a simulated world, a seed each (`--seed N`, `--minutes M`, `--seeds K`, `--json`,
              `--planted`: bugs on purpose, each of which it must see)
  chaos       a rack that is killed, cut off, and has its files torn under load, its ledgers compared (`--help`)
  layers      the crates import only what ARCHITECTURE.md allows
  tidy        the source keeps its own rules
  reference   write docs/reference from the code (`--check`: only compare)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["sim", options @ ..] = &args[..] {
        return simulation::command(options);
    }
    let done = match args[..] {
        ["test"] => suite::run(),
        ["ci"] => peers::require().and_then(|()| suite::run()),
        ["chaos", ref words @ ..] => chaos::run(words),
        ["chaos-sender", address, ledger] => chaos::send(address, ledger),
        ["chaos-receiver", address, ledger] => chaos::receive(address, ledger),
        ["chaos-proxy", seed, ref addresses @ ..] => chaos::pass_on(seed, addresses),
        ["chaos-janitor"] => chaos::clean_up(),
        ["layers"] => layers::check(),
        ["tidy"] => tidy::check(),
        ["reference"] => reference::write(),
        ["reference", "--check"] => reference::check(),
        _ => {
            println!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("\nxtask: {why:#}");
            ExitCode::FAILURE
        }
    }
}
