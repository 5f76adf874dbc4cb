//! What the Mixer of a Rack wants of it, from the agent that asks for it to the Rack that does it.

use std::path::{Path, PathBuf};

use flux_identity::{Duty, LogLevel, SignedPassport};
use flux_rack::Remains;
use flux_scenario::edition::ContentHash;
use flux_world::World;

use super::identity::{DIRECTORY, file};

/// A scenario that runs nothing.
const NOTHING: &str = r#"{"meta":{"name":"nothing","version":"0.0.0"},"gears":[]}"#;

/// What a Rack is to do, by its passport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// What it runs.
    pub(crate) file: PathBuf,
    /// What becomes of what waits on wires that go.
    pub(crate) remains: Remains,
    pub(crate) log_level: Option<LogLevel>,
    /// Whether it is to end.
    pub(crate) is_over: bool,
    /// Whether the Rack began with it; else it goes over to it as soon as it can.
    pub(crate) is_begun: bool,
    /// What tells it from others; none where the Rack runs something of its own.
    pub(crate) digest: Option<ContentHash>,
}

impl Wish {
    /// What a passport wants, written where it can be run from. `own` is what the Rack was started with, in place of its part.
    pub(crate) fn of(
        world: &World,
        state_dir: &Path,
        passport: &SignedPassport,
        own: Option<&Path>,
    ) -> anyhow::Result<Wish> {
        let orders = &passport.orders;
        let written = |name: &str, text: &str| written(world, state_dir, name, text);
        let runs = orders.duty == Duty::Running;
        let file = match (own, &orders.part) {
            (Some(own), _) if runs => own.to_owned(),
            (None, Some(part)) if runs => written("part.yaml", &part.text)?,
            _ => nothing(world, state_dir)?,
        };
        Ok(Wish {
            file,
            remains: if orders.duty == Duty::Stopped { Remains::LeftOnDisk } else { Remains::Delivered },
            log_level: orders.log_level,
            is_over: false,
            is_begun: true,
            digest: (own.is_none() || !runs).then(|| orders.digest()),
        })
    }
}

/// A file with nothing to run.
pub(crate) fn nothing(world: &World, state_dir: &Path) -> anyhow::Result<PathBuf> {
    written(world, state_dir, "nothing.yaml", NOTHING)
}

fn written(world: &World, state_dir: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    world.disk.make_private_dir(&state_dir.join(DIRECTORY))?;
    let path = file(state_dir, name);
    world.disk.write_atomic_private(&path, text.as_bytes())?;
    Ok(path)
}
