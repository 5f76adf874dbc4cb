//! The Rack and programs that nobody here wrote: they read what we write, and we answer what they write.

mod openssl;
mod pyiso8583;
mod tshark;

pub(crate) use openssl::has_openssl;

use std::{
    env,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
};

use assert_cmd::Command;
use serde_json::{Value as Json, json};

use crate::process::{PATIENCE, Running};

/// A value for each field of ISO 8583:1987, by number.
const EVERY_FIELD: &str = include_str!("peers/every_field.json");

/// A request with every field except `left_out`, as `fluxrig iso8583 encode --json` reads it.
fn request_without(left_out: &[u8]) -> Json {
    let mut fields: Json = serde_json::from_str(EVERY_FIELD).unwrap();
    for number in left_out {
        fields.as_object_mut().unwrap().remove(&number.to_string()).expect("a field of the list");
    }
    json!({ "mti": "0200", "fields": fields })
}

/// Whether the program runs that `probe` starts. A test without its peer is noted; with `FLUXRIG_PEERS=required` it
/// fails.
pub(crate) fn has_peer(name: &str, probe: Command) -> bool {
    let is_there = is_possible(name, probe);
    let is_required = env::var_os("FLUXRIG_PEERS").is_some_and(|value| value == "required");
    assert!(is_there || !is_required, "no peer: {name}");
    is_there
}

/// Whether what `probe` tries can be done here. A test that cannot be made, for a machine grants rights as it likes, is
/// noted too.
#[allow(clippy::print_stdout, reason = "whoever runs the test should see it")]
pub(crate) fn is_possible(name: &str, mut probe: Command) -> bool {
    if probe.timeout(PATIENCE).output().is_ok_and(|output| output.status.success()) {
        return true;
    }
    if let Some(list) = env::var_os("FLUXRIG_PEERS_MISSING") {
        let mut list = OpenOptions::new().create(true).append(true).open(list).unwrap();
        list.write_all(format!("{name}\n").as_bytes()).unwrap();
    }
    println!("no peer: {name}");
    false
}

/// What a program printed that must succeed, given `input`.
fn output_of(program: &mut Command, input: &Json) -> String {
    let assert = program.timeout(PATIENCE).write_stdin(input.to_string()).assert().success();
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

fn wires(pairs: &[(&str, &str)]) -> Vec<Json> {
    pairs.iter().map(|(from, to)| json!({ "from": from, "to": to })).collect()
}

/// Runs a scenario, which is YAML as all JSON is; and where its gear `term` listens.
fn run(dir: &Path, scenario: Json) -> (Running, String) {
    let file = dir.join("scenario.yaml");
    fs::write(&file, scenario.to_string()).unwrap();
    Running::rack(&file, "info")
}
