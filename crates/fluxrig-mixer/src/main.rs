//! The Mixer: knows the fleet, starts the server it speaks over, and serves the API.

mod authority;
mod certificates;
mod cluster;
mod cmd;
mod launcher;
mod run;
mod settings;
mod up;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Before anything else: the process is to become another one.
    if let Some(why) = launcher::become_server() {
        cmd::complain(&anyhow::anyhow!("cannot start nats-server: {why}"));
        return ExitCode::from(2);
    }
    match cmd::Cli::parse().run() {
        Ok(code) => code,
        Err(why) => {
            cmd::complain(&why);
            ExitCode::from(2)
        }
    }
}
