//! The Rack on the command line: parse, run, leave.

use std::process::ExitCode;

use clap::Parser;

mod cmd;
mod disk_files;
mod input;
mod live;
mod log_thread;
mod markdown;
mod plan;
mod stdout;
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
