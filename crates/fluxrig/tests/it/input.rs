//! Input that never ends, is too long, or is no text: a clear word about it, and no more of it read than allowed.

use std::{fs, fs::File, process::Command};

use crate::process::{ended, last_json};

/// Runs `fluxrig` with 512 MiB of address space and endless standard input: the exit status and what it said.
fn in_little_memory(words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -v 524288; exec \"$@\"", "bash", env!("CARGO_BIN_EXE_fluxrig")]).args(words);
    let output = command.stdin(File::open("/dev/zero").unwrap()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn endless_input_is_refused_by_name_and_limit() {
    let directory = tempfile::tempdir().unwrap();
    let spec = directory.path().join("endless.yaml");
    fs::write(&spec, "extends: zero.yaml\nfields: {}\n").unwrap();
    let zero = directory.path().join("zero.yaml");
    fs::File::create(&zero).unwrap().set_len(1 << 40).unwrap();
    let zero = zero.to_str().unwrap();
    let spec = spec.to_str().unwrap();
    for (words, code, parts) in [
        (&["check", zero][..], 1, ["zero.yaml", "longer than 4194304 bytes"]),
        (&["run", zero], 1, ["zero.yaml", "longer than 4194304 bytes"]),
        (&["scenario", "graph", zero], 1, ["zero.yaml", "longer than 4194304 bytes"]),
        (&["iso8583", "decode", "--spec", zero, "00"], 2, ["zero.yaml`", "longer than 1048576 bytes"]),
        (&["check", "/dev/zero"], 2, ["`/dev/zero`", "a device, not a regular file"]),
        (&["check", spec, "--config", "/dev/zero"], 2, ["`/dev/zero`", "a device, not a regular file"]),
        (&["iso8583", "decode", "--spec", spec, "00"], 1, ["zero.yaml", "longer than 1048576 bytes"]),
        (&["iso8583", "decode"], 2, ["standard input", "longer than 16777216 bytes"]),
        (&["iso8583", "encode"], 2, ["standard input", "longer than 16777216 bytes"]),
        (&["iso8583", "encode", "/dev/zero"], 2, ["`/dev/zero`", "longer than 16777216 bytes"]),
        (&["msg", "decode"], 2, ["standard input", "longer than 16777216 bytes"]),
        (&["msg", "encode"], 2, ["standard input", "longer than 16777216 bytes"]),
    ] {
        let (ended, said) = in_little_memory(words);
        assert_eq!(ended, Some(code), "{words:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{words:?}: {said}");
        }
    }
}

#[test]
fn a_scenario_that_is_no_text_has_an_issue_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("latin1.yaml");
    fs::write(&file, b"# one\n# caf\xe9\ngears: []\n").unwrap();
    let checked = ended(&["check", "--json", file.to_str().unwrap()], "");
    let issue = &last_json(&checked.stdout)["issues"][0];
    assert_eq!((checked.code, &issue["code"]), (Some(1), &"FR0107".into()));
    assert_eq!((&issue["line"], &issue["column"]), (&2.into(), &6.into()));
}
