//! A rack in the process of its Mixer: enrolled anew at each start, and run until either ends.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{anyhow, bail};
use flux_bus::{Bus, Name};
use flux_identity::Token;
use flux_scenario::Settings;
use flux_world::World;
use tokio::sync::{oneshot, watch};

use super::run::{Host, Run};
use crate::{
    last_good::{passport_file, passport_for_keeping},
    mixer::{Client, Enroller, Leader, Outcome, Wish},
    state_dir::StateDir,
    terminal,
};

/// A rack that somebody has in their process.
pub struct Guest {
    /// Address of the Mixer: `https://host:port`, or `http://` on this machine.
    pub mixer: String,
    /// A token for one enrolment.
    pub token: Token,
    /// What the rack is called.
    pub rack: Name,
    /// Where it keeps its state; nobody else has it.
    pub state_dir: PathBuf,
    /// The bus of the Mixer, where that is in this process; else the Mixer says where it is.
    pub bus: Option<Arc<dyn Bus>>,
    /// Is told once the rack is up.
    pub up: oneshot::Sender<()>,
    /// The rack ends when the other end of it is gone, and by SIGTERM and SIGINT.
    pub until: watch::Receiver<()>,
}

impl Guest {
    /// Enrols and runs the rack until it ends, on this thread. Whoever has it logs; panics are logged by their place alone from now
    /// on. Exit status 0 after a clean drain, 1 when something was left.
    ///
    /// # Errors
    /// When it is not enrolled, when it cannot run what it is to run, and when another process has its state directory.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        terminal::log_panics_by_place();
        let (leader, path) = terminal::runtime(1)?.block_on(Box::pin(enrolled(
            (self.mixer, self.token),
            self.rack,
            self.state_dir,
            self.bus,
        )))?;
        Run::beside(path, leader, Host { up: self.up, until: self.until })
    }
}

async fn enrolled(
    (mixer, token): (String, Token),
    rack: Name,
    state_dir: PathBuf,
    bus: Option<Arc<dyn Bus>>,
) -> anyhow::Result<(Leader, PathBuf)> {
    let (world, base) = (World::real(), Settings::default().base);
    let state_dir = StateDir::take(&world.disk, &state_dir)?;
    let path = state_dir.path().to_owned();
    let passport = passport_for_keeping(&world, &passport_file(&path, &base))?;
    let client = Client {
        address: mixer.parse()?,
        fingerprint: Some(token.fingerprint),
        token: None,
        world: world.clone(),
    };
    let own = passport.public_key();
    let labels = BTreeMap::new();
    let enroller = Enroller { client, rack, passport, labels, state_dir: path.clone() };
    let identity = match enroller.ask(Some(&token.expose()), None).await? {
        Outcome::Enrolled(identity) => *identity,
        Outcome::Pending { .. } => bail!("the Mixer does not take its own rack in: its token is not good"),
    };
    let passport = identity.passport(&own).map_err(|why| anyhow!("the Mixer's answer: {why:#}"))?;
    let wish = Wish::of(&world, &path, &passport, None)?;
    Ok((Leader { enroller, identity, passport, own: None, wish, bus }, path))
}
