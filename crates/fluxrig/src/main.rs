//! The Rack on the command line: parse, run, leave.
#![allow(clippy::print_stdout, reason = "a command prints its result")]

use std::process::ExitCode;

use clap::Parser;

mod cmd;
mod disk_files;
mod live;
mod markdown;
mod plan;
mod stop;
mod terminal;

fn main() -> ExitCode {
    let cli = cmd::Cli::parse();
    match cli.command.run(&cli.log) {
        Ok(code) => code,
        Err(why) => {
            terminal::complain(&why);
            ExitCode::from(2)
        }
    }
}
