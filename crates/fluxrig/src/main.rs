//! The Rack with the built-in gears.

use std::process::ExitCode;

fn main() -> ExitCode {
    fluxrig::run(flux_gears::builtin())
}
