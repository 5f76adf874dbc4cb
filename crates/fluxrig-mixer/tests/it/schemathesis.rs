//! Somebody else's reading of the description: everything that it says is tried, within it and beyond it, on a live Mixer.

use std::env;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;

/// The program, beside the Python that has it. None where it is missing and need not be there.
#[allow(clippy::print_stdout, reason = "whoever runs the test should see it")]
fn program() -> Option<PathBuf> {
    let python = PathBuf::from(env::var_os("FLUXRIG_PEERS_PYTHON").unwrap_or_else(|| "python3".into()));
    let program = python.with_file_name("schemathesis");
    let probe = Command::new(&program).arg("--version").output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Some(program);
    }
    assert!(env::var_os("FLUXRIG_PEERS").is_none_or(|value| value != "required"), "no peer: schemathesis");
    if let Some(list) = env::var_os("FLUXRIG_PEERS_MISSING") {
        let list = std::fs::OpenOptions::new().create(true).append(true).open(list);
        writeln!(list.unwrap(), "schemathesis").unwrap();
    }
    println!("no peer: schemathesis");
    None
}

/// Ended with the test.
struct Mixer(Child);

impl Drop for Mixer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_api_is_as_it_is_described() {
    let Some(program) = program() else { return };
    let directory = tempfile::tempdir().unwrap();
    let words = ["--dev", "--json-ready", "--listen", "127.0.0.1:0", "--server", "none", "--state-dir"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_fluxrig-mixer"));
    command.args(words).arg(directory.path().join("mixer"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut mixer = Mixer(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(mixer.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Json = serde_json::from_str(&line).unwrap();
    let (api, token) = (ready["api"].as_str().unwrap(), ready["token"].as_str().unwrap());
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/schemathesis.toml");
    let output = Command::new(program)
        .arg("--config-file")
        .arg(config)
        .args(["run", &format!("{api}/api/v1/openapi.json"), "--header"])
        .arg(format!("Authorization: Bearer {token}"))
        .args(["--seed", "1", "--max-examples", "20", "--generation-database", "none"])
        .args(["--continue-on-failure", "--request-timeout", "20", "--no-color"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("Tested: 42"), "every route is tried: {told}");
}
