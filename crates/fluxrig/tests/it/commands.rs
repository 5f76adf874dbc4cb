//! Commands that print something and end: their output, and the exit status that scripts rely on.

use std::{fs, path::Path};

use serde_json::{Value as Json, json};

use crate::process::{PATIENCE, ended};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/payment-switch/scenario.yaml");

#[test]
fn check_tells_clean_from_broken_from_wrong_usage() {
    let clean = ended(&["check", EXAMPLE], "");
    assert_eq!((clean.code, clean.stderr.as_str()), (Some(0), ""));
    assert!(clean.stdout.ends_with(": no problems\n"), "{}", clean.stdout);
    let clean = ended(&["check", "--json", EXAMPLE], "");
    assert_eq!((clean.code, clean.stdout.as_str()), (Some(0), "{\"issues\":[]}\n"));
    let of_several_racks = ended(&["check", &EXAMPLE.replace("payment-switch", "two-sites")], "");
    assert_eq!((of_several_racks.code, of_several_racks.stderr.as_str()), (Some(0), ""));
    assert_eq!(ended(&["check", "/nowhere.yaml"], "").code, Some(2));
    assert_eq!(ended(&["check"], "").code, Some(2));
    assert_eq!(ended(&["check", EXAMPLE, "--no-such-option"], "").code, Some(2));
}

#[test]
fn the_scenario_of_the_readme_is_sound() {
    let readme = include_str!("../../../../README.md");
    let example = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("echo.yaml");
    fs::write(&file, example).unwrap();
    let checked = ended(&["check", "--json", file.to_str().unwrap()], "");
    assert_eq!((checked.code, checked.stdout.as_str()), (Some(0), "{\"issues\":[]}\n"));
}

#[test]
fn check_tries_every_gear_whatever_is_wrong_with_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ports.yaml");
    let text = "meta: {name: ports, version: v1.0.0}
gears:
  - {name: a, type: io_tcp, config: {mode: server, bind: '127.0.0.1:99999'}}
  - {name: b, type: io_tcp, config: {mode: client}}
wires:
  - {from: a.out, to: nobody.in}
  - {from: b.out, to: b.in}
";
    fs::write(&file, text).unwrap();
    let listed = ended(&["check", "--json", file.to_str().unwrap()], "");
    assert_eq!(listed.code, Some(1));
    let report: Json = serde_json::from_str(&listed.stdout).unwrap();
    let of_code = |code: &str| -> Vec<&Json> {
        let issues = report["issues"].as_array().unwrap().iter();
        issues.filter(|issue| issue["code"] == code).map(|issue| &issue["line"]).collect()
    };
    assert_eq!(of_code("FR0301"), [6]);
    assert_eq!(of_code("FR0701"), [3, 4]);
}

#[test]
fn check_reports_every_problem_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broken.yaml");
    let text = "meta: {name: broken, version: v1.0.0}\ngears:\n  - {name: term, type: io_iso8584}\n  - {name: \
                drain, type: 'null'}\nwires:\n  - {from: term.out, to: drian.in}\n";
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let shown = ended(&["check", file], "");
    assert_eq!(shown.code, Some(1));
    assert!(
        shown.stdout.contains("broken.yaml:3:") && shown.stdout.contains("io_iso8583"),
        "{}",
        shown.stdout
    );
    let listed = ended(&["check", "--json", file], "");
    assert_eq!(listed.code, Some(1));
    let report: Json = serde_json::from_str(&listed.stdout).unwrap();
    let issues = report["issues"].as_array().unwrap();
    assert!(issues.len() >= 2, "{report}");
    for issue in issues {
        let keys: Vec<&String> = issue.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "severity", "file", "line", "column", "message", "help"]);
    }
    assert_eq!((&issues[0]["file"], &issues[0]["line"]), (&json!(file), &json!(3)));
}

#[test]
fn plan_shows_what_changes_and_no_value() {
    let directory = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(EXAMPLE).unwrap();
    let next = directory.path().join("next.yaml");
    let specs = Path::new(EXAMPLE).parent().unwrap().join("../specs");
    let text =
        text.replace("../specs", specs.to_str().unwrap()).replace("127.0.0.1:10002", "192.0.2.7:10002");
    fs::write(&next, text).unwrap();
    let next = next.to_str().unwrap();
    let shown = ended(&["plan", EXAMPLE, next], "");
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    assert!(shown.stdout.contains("~ gear mc (io_iso8583): config.connect\n"), "{}", shown.stdout);
    assert!(shown.stdout.contains("= gear switch (conductor)\n"), "{}", shown.stdout);
    assert!(!shown.stdout.contains("192.0.2.7"), "{}", shown.stdout);
    let listed = ended(&["plan", EXAMPLE, next, "--json"], "");
    let steps: Json = serde_json::from_str(&listed.stdout).unwrap();
    let replaced = steps["gears"].as_array().unwrap().iter().find(|gear| gear["step"] == "replace").unwrap();
    assert_eq!(
        replaced,
        &json!({"gear": "mc", "kind": "io_iso8583", "step": "replace", "because": ["config.connect"]})
    );
    assert_eq!(ended(&["plan", EXAMPLE, "/nowhere.yaml"], "").code, Some(2));
}

#[test]
fn run_refuses_a_broken_scenario_and_a_dry_run_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broken.yaml");
    fs::write(&file, "meta: {name: broken, version: v1.0.0}\ngears: [{name: a, type: nothing}]\n").unwrap();
    let broken = ended(&["run", file.to_str().unwrap()], "");
    assert_eq!((broken.code, broken.stdout.as_str()), (Some(1), ""));
    assert!(broken.stderr.contains("broken.yaml:2:"), "{}", broken.stderr);
    let dry = ended(&["run", "--dry-run", EXAMPLE], "");
    assert_eq!(dry.code, Some(0));
    for part in ["switch (conductor)", "switch.out_visa => enc_visa.in", "drains in this order: term, "] {
        assert!(dry.stdout.contains(part), "{part}: {}", dry.stdout);
    }
}

#[test]
fn gears_are_listed_and_explained() {
    let list = ended(&["gears", "list", "--json"], "").stdout;
    let manifests: Vec<Json> = serde_json::from_str(&list).unwrap();
    let kinds: Vec<&str> = manifests.iter().map(|manifest| manifest["kind"].as_str().unwrap()).collect();
    for kind in ["conductor", "codec_iso8583", "io_iso8583", "log", "null"] {
        assert!(kinds.contains(&kind), "{kind} is not among {kinds:?}");
    }
    for kind in kinds {
        assert!(ended(&["gears", "doc", kind], "").stdout.contains("## Configuration"), "{kind}");
        let schema: Json = serde_json::from_str(&ended(&["gears", "schema", kind], "").stdout).unwrap();
        assert!(schema.is_object(), "{kind}");
    }
    assert_eq!(ended(&["gears", "doc", "nothing"], "").code, Some(2));
}

#[test]
fn scenarios_are_drawn() {
    let graph = |format| ended(&["scenario", "graph", EXAMPLE, "--format", format], "").stdout;
    assert!(graph("mermaid").contains("flowchart") && graph("mermaid").contains("switch"));
    assert!(graph("svg").starts_with("<svg") && graph("svg").trim_end().ends_with("</svg>"));
    let circuit: Json = serde_json::from_str(&graph("json")).unwrap();
    assert!(circuit["gears"].as_array().is_some_and(|gears| gears.len() == 12), "{circuit}");
    for form in ["yaml", "toml"] {
        let schema = ended(&["scenario", "schema", "--form", form], "").stdout;
        assert!(serde_json::from_str::<Json>(&schema).unwrap().is_object(), "{form}");
    }
}

#[test]
fn cbor_is_read_and_written() {
    let canonical = ended(&["msg", "encode", "--canonical", r#"{"b": 1, "a": [2, "x"]}"#], "");
    assert_eq!((canonical.code, canonical.stdout.as_str()), (Some(0), "a2616182026178616201\n"));
    let shown = ended(&["msg", "decode", canonical.stdout.trim()], "");
    assert_eq!((shown.code, shown.stdout.as_str()), (Some(0), "{\"a\": [2, \"x\"], \"b\": 1}\n"));
    let again = ended(&["msg", "encode", "--canonical"], "a2616201616182026178");
    assert_eq!(again.stdout, canonical.stdout);
    assert_eq!(ended(&["msg", "decode", "--strict", "a2616201616182026178"], "").code, Some(2));
    assert_eq!(ended(&["msg", "decode", "a1"], "").code, Some(2));
}

#[test]
fn a_message_is_read_back_in_both_forms() {
    let notation = "{\"id\": h'0198f2c47d107cc398c4dc0c0c07398f', \"ts\": 1756400000000000000, \"raw\": h'0200', \
                    \"data\": {\"amount\": 1.0, \"chip\": h'9f26', \"note\": \"hex:no\", \"when\": 1(0)}}";
    let written = ended(&["msg", "encode", "--canonical", notation], "").stdout;
    for form in [&[][..], &["--json"]] {
        let shown = ended(&[&["msg", "decode"], form, &[written.trim()]].concat(), "");
        assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
        let again = ended(&[&["msg", "encode"], form].concat(), &shown.stdout);
        assert_eq!((again.code, again.stdout.as_str()), (Some(0), written.as_str()), "{}", shown.stdout);
    }
    let refused = ended(&["msg", "encode", "--json"], r#"{"ts": 1}"#);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("`id` of the message: it is missing"), "{}", refused.stderr);
}

#[test]
fn shells_complete_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = ended(&["completions", shell], "");
        assert_eq!(script.code, Some(0));
        for command in ["check", "demo", "iso8583", "scheme"] {
            assert!(script.stdout.contains(command), "{shell}: {command}");
        }
    }
}

/// What bash offers for the last of these words.
fn offered(words: &[&str]) -> Vec<String> {
    let script = "source <(\"$1\" completions bash); shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                  _fluxrig fluxrig \"${@: -1}\" \"${@: -2:1}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = assert_cmd::Command::new("bash");
    bash.args(["-c", script, "bash", env!("CARGO_BIN_EXE_fluxrig"), "fluxrig"]).args(words);
    let output = bash.timeout(PATIENCE).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_kinds_of_gear_and_files() {
    assert_eq!(offered(&["gears", "doc", "cond"]), ["conductor"]);
    assert_eq!(offered(&["scenario", "graph", "--format", "m"]), ["mermaid"]);
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Carg");
    for option in [&["run", "--config"][..], &["iso8583", "decode", "--spec"]] {
        let found = offered(&[option, &[manifest]].concat());
        assert_eq!(found, [concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")], "{option:?}");
    }
    // Where nothing is offered, bash completes files (`-o default`).
    assert_eq!(offered(&["run", manifest]), [""]);
    assert!(ended(&["completions", "bash"], "").stdout.contains("-o default"));
}

#[test]
fn every_code_is_explained() {
    for page in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors")).unwrap() {
        let page = page.unwrap().path();
        let code = page.file_stem().unwrap().to_str().unwrap();
        let explained = ended(&["explain", code], "");
        assert_eq!(
            (explained.code, explained.stdout),
            (Some(0), fs::read_to_string(&page).unwrap()),
            "{code}"
        );
    }
    assert_eq!(ended(&["explain", "fr0201"], "").code, Some(0));
    let unknown = ended(&["explain", "FR9999"], "");
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("no code `FR9999`; they go from FR0101 to FR0"), "{}", unknown.stderr);
}

#[test]
fn the_version_is_told() {
    let version: Json = serde_json::from_str(&ended(&["version", "--json"], "").stdout).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(version["gears"].as_array().is_some_and(|gears| !gears.is_empty()));
}

#[test]
fn every_command_explains_itself() {
    for words in [
        &["run"][..],
        &["check"],
        &["explain"],
        &["demo"],
        &["gears"],
        &["scenario"],
        &["msg"],
        &["completions"],
        &["version"],
        &["iso8583"],
        &["iso8583", "decode"],
        &["iso8583", "encode"],
        &["iso8583", "send"],
        &["iso8583", "scheme"],
        &["iso8583", "load"],
    ] {
        let help = ended(&[words, &["--help"]].concat(), "");
        assert_eq!(help.code, Some(0));
        assert!(help.stdout.contains("Usage: fluxrig"), "{words:?}");
        let teaches = ["run", "check", "completions", "iso8583"].contains(&words[0]);
        assert!(!teaches || help.stdout.contains("Example"), "{words:?}");
    }
    assert!(Path::new(EXAMPLE).exists());
}

#[test]
fn who_names_dead_letters_that_are_not_there_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().to_str().unwrap();
    let dlq = |words: &[&str]| ended(&[&["dlq"], words].concat(), "");
    let id = "0190a5b27c3e7d4a8b1f2f6c1d9e0a7b";
    for action in ["drop", "replay"] {
        for words in [&[][..], &["--dry-run"]] {
            let named = dlq(&[&[action, "--state-dir", state, "--id", id], words].concat());
            assert_eq!((named.code, named.stderr.as_str()), (Some(1), "no dead letter matches\n"));
        }
        assert_eq!(dlq(&[action, "--state-dir", state, "--all"]).code, Some(0), "there is nothing to do");
    }
    let nil = dlq(&["drop", "--state-dir", state, "--id", &"0".repeat(32)]);
    assert!(nil.stderr.contains("32 hexadecimal digits, not all of them 0"), "{}", nil.stderr);
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for words in [&["list"][..], &["drop", "--all"]] {
        let no_directory = dlq(&[words, &["--state-dir", file.to_str().unwrap()]].concat());
        assert_eq!(no_directory.code, Some(2));
        assert!(no_directory.stderr.contains("is no directory"), "{}", no_directory.stderr);
    }
}
