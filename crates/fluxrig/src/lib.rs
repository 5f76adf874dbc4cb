//! The command line of a Rack, with the gears that a binary links.
//!
//! The `fluxrig` binary is this and the built-in gears. A binary with gears of its own is one line more, and has every
//! command (`check`, `run`, `gears doc`, completion) for them too:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     fluxrig::run(flux_gears::builtin())
//! }
//! ```

use std::{
    process::ExitCode,
    sync::{Arc, OnceLock},
};

pub use cmd::Guest;

use clap::Parser;
use flux_gear::Registry;

mod alarms;
mod bus;
mod cmd;
mod control;
mod files;
mod http;
mod input;
mod last_good;
mod live;
mod log_thread;
mod markdown;
mod mixer;
mod plan;
mod reload;
mod running;
mod secrets;
mod state_dir;
mod status;
mod stdout;
mod stop;
mod take_over;
mod terminal;
mod watch;
mod watching;
mod watchman;

/// What this binary links. One for the process: completion asks for it where nothing can be handed in.
static GEARS: OnceLock<Arc<Registry>> = OnceLock::new();

/// Reads the command line of this process, does what it says, and returns what the process is to exit with.
pub fn run(gears: Registry) -> ExitCode {
    let _ = GEARS.set(Arc::new(gears));
    let cli = cmd::Cli::parse();
    match cli.command.run(&cli.log) {
        Ok(code) => code,
        Err(why) => {
            terminal::complain(&why);
            ExitCode::from(2)
        }
    }
}

fn gears() -> &'static Arc<Registry> {
    GEARS.get_or_init(|| Arc::new(flux_gears::builtin()))
}
