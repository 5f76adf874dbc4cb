//! `fluxrig login`: which Mixer to ask, and with which token, from now on.

use std::process::ExitCode;

use clap::Args;
use flux_identity::Racks;
use flux_world::World;
use hyper::Method;

use crate::{
    mixer::{LoginOptions, keep_login},
    stdout, terminal,
};

/// Keep which Mixer to ask, and a token for its API, for the commands that follow
///
/// The token is tried first. It is kept in a file for you alone, in the directory for your settings.
///
/// Exit status: 0 when the Mixer knows the token, 2 when it does not or is not reached.
#[derive(Args)]
pub(crate) struct Login {
    #[command(flatten)]
    login: LoginOptions,
}

impl Login {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let world = World::real();
        let client = self.login.client(&world)?;
        let runtime = terminal::runtime(1)?;
        let racks: Racks = runtime.block_on(client.ask(Method::GET, "/racks?limit=1", None))?;
        let path = keep_login(&world, &client)?;
        stdout::line(format_args!(
            "{} knows this token, and {} racks; kept in {}",
            client.address,
            racks.total,
            path.display()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
