//! The processes of the demo: two schemes, and a rack with the example scenario between them and the terminals.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use flux_iso8583::Spec;
use flux_world::{ListenOptions, Target, World};
use serde_json::Value as Json;
use tempfile::TempDir;

use super::process::{PATIENCE, Process};
use crate::cmd::iso8583::{
    frames::LengthBytes,
    load::driver::{End, Profile, drive},
};

/// The example, as it lies in the repository.
const SCENARIO: &str = include_str!("../../../../../examples/payment-switch/scenario.yaml");
const SPEC: &str = include_str!("../../../../../examples/specs/acquirer.yaml");
/// The addresses it names: of the terminals, of the schemes visa and mc.
const ADDRESSES: [&str; 3] = ["127.0.0.1:8583", "127.0.0.1:10001", "127.0.0.1:10002"];
/// Any free port of this machine.
const ANYWHERE: &str = "127.0.0.1:0";
/// Time between two attempts to get an answer from a rack that is starting.
const TRY_EVERY: Duration = Duration::from_millis(5);
/// Time for an answer to such an attempt.
const TRY_TIMEOUT: Duration = Duration::from_millis(250);
/// Account numbers of the terminals' customers, by weight.
pub(super) const MIX: &str = "4:50,51:30,59:5,3:15";

/// See above. The directory holds the scenario and the logs.
pub(super) struct House {
    directory: TempDir,
    rack: Process,
    /// Absent while it is killed.
    visa: Option<Process>,
    visa_address: String,
    mc: Process,
    terminals: Target,
}

impl House {
    /// Starts everything and waits until a first request is answered.
    pub(super) async fn open(world: &World) -> anyhow::Result<House> {
        let directory = tempfile::Builder::new().prefix("fluxrig-demo-").tempdir()?;
        match House::furnish(world, directory.path()).await {
            Ok((rack, visa, visa_address, mc, terminals)) => {
                Ok(House { directory, rack, visa: Some(visa), visa_address, mc, terminals })
            }
            Err(why) => Err(keep(directory, why)),
        }
    }

    async fn furnish(
        world: &World,
        directory: &Path,
    ) -> anyhow::Result<(Process, Process, String, Process, Target)> {
        let (visa, visa_address) = start_scheme(world, "visa", ANYWHERE, directory).await?;
        let (mc, mc_address) = start_scheme(world, "mc", ANYWHERE, directory).await?;
        let terminals = free_address(world).await?;
        let mut scenario = SCENARIO.to_owned();
        for (written, ours) in ADDRESSES.into_iter().zip([&terminals, &visa_address, &mc_address]) {
            scenario = scenario.replace(written, ours);
        }
        for (name, text) in [("specs/acquirer.yaml", SPEC), ("payment-switch/scenario.yaml", &scenario)] {
            let path = directory.join(name);
            std::fs::create_dir_all(path.parent().expect("the name has a folder"))?;
            world.disk.write_atomic(&path, text.as_bytes())?;
        }
        let mut rack = Process::start("rack", &["run", "payment-switch/scenario.yaml"], directory)?;
        let terminals: Target = terminals.parse()?;
        tokio::select! {
            biased;
            why = rack.misfortune() => return Err(why),
            ready = answering(world, &terminals) => ready?,
        }
        Ok((rack, visa, visa_address, mc, terminals))
    }

    /// Where terminals connect.
    pub(super) fn terminals(&self) -> &Target {
        &self.terminals
    }

    /// Waits for the end of a process that nobody asked to end.
    pub(super) async fn misfortune(&mut self) -> anyhow::Error {
        let House { rack, visa, mc, .. } = self;
        let visa = async {
            match visa {
                Some(visa) => visa.misfortune().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            why = rack.misfortune() => why,
            why = visa => why,
            why = mc.misfortune() => why,
        }
    }

    /// Kills the scheme visa, if it runs.
    pub(super) async fn kill_visa(&mut self) -> anyhow::Result<()> {
        match self.visa.take() {
            Some(mut visa) => visa.kill().await,
            None => Ok(()),
        }
    }

    /// Starts the scheme visa again, where it was.
    pub(super) async fn restart_visa(&mut self, world: &World) -> anyhow::Result<()> {
        let (visa, _) = start_scheme(world, "visa", &self.visa_address, self.directory.path()).await?;
        self.visa = Some(visa);
        Ok(())
    }

    /// Lets the rack finish what it has in hand, then the schemes leave. Where something went wrong, with the demo or
    /// now, the error says where the logs are.
    pub(super) async fn close<T>(self, world: &World, shown: anyhow::Result<T>) -> anyhow::Result<T> {
        let House { directory, rack, visa, mc, .. } = self;
        let mut closed = shown;
        for process in [Some(rack), visa, Some(mc)].into_iter().flatten() {
            if closed.is_ok() {
                closed = process.leave(world.clock).await.and(closed);
            }
        }
        closed.map_err(|why| keep(directory, why))
    }
}

/// The load of so many terminals, one request at a time each, nothing of it taken for warm-up.
pub(super) fn load(target: &Target, connections: u16, end: End) -> anyhow::Result<Profile> {
    Ok(Profile {
        target: target.clone(),
        connections,
        pipeline: 1,
        rate: None,
        end,
        warmup: Duration::ZERO,
        timeout: TRY_TIMEOUT,
        spec: spec()?,
        mix: MIX.parse().expect("the constant is a mix"),
        length: LengthBytes::Two,
        tpdu: Vec::new(),
        reconnects: false,
    })
}

/// The dialect of the terminals.
fn spec() -> anyhow::Result<Arc<Spec>> {
    let none = |name: &str| Err(format!("`{name}` does not come with the demo"));
    Ok(Arc::new(Spec::load("acquirer.yaml", SPEC.as_bytes(), &none)?))
}

/// Keeps the directory for whoever looks into what went wrong.
fn keep(directory: TempDir, why: anyhow::Error) -> anyhow::Error {
    let path = directory.keep();
    why.context(format!("the logs are in {}", path.display()))
}

/// A scheme, and where it listens.
async fn start_scheme(
    world: &World,
    name: &'static str,
    listen: &str,
    directory: &Path,
) -> anyhow::Result<(Process, String)> {
    let words = [
        "iso8583",
        "scheme",
        "--spec",
        "iso87ascii",
        "--decline-pan-prefix",
        "59",
        "--json",
        "--listen",
        listen,
    ];
    let mut scheme = Process::start(name, &words, directory)?;
    let line: Json = serde_json::from_str(&scheme.line(world.clock).await?)?;
    let address =
        line["listening"].as_str().with_context(|| format!("{name} does not say where it listens"))?;
    Ok((scheme, address.to_owned()))
}

/// An address of this machine that nobody listens on at the moment.
async fn free_address(world: &World) -> anyhow::Result<String> {
    let listener = world.net.listen(ANYWHERE, &ListenOptions::default()).await?;
    Ok(listener.local_addr()?.to_string())
}

/// Waits until the rack answers a request: it listens, and has a connection to a scheme.
async fn answering(world: &World, target: &Target) -> anyhow::Result<()> {
    let attempts = async {
        loop {
            let request = load(target, 1, End::Requests(1))?;
            match drive(world, request, &mut |_, _| {}, std::future::pending()).await {
                Ok(outcome) if outcome.tally.total().answered() > 0 => return Ok(()),
                Ok(_) | Err(_) => world.clock.sleep(TRY_EVERY).await,
            }
        }
    };
    world.clock.timeout(PATIENCE, attempts).await.context("the rack answers nothing")?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_names_each_address_in_its_place() {
        for address in ADDRESSES {
            assert!(SCENARIO.contains(&format!("\"{address}\"")), "{address}");
        }
        load(&"127.0.0.1:1".parse().unwrap(), 1, End::Requests(1)).unwrap();
    }
}
