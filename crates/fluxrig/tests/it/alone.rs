//! A rack and its state directory: who has it, and what can be asked of it while it runs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::process::{Ended, Running, ended, last_json};

const GENERATE: &str = "meta: {name: t, version: v1.0.0}\ngears:\n  - {name: src, type: generate, config: {interval: \
                        20ms}}\n  - {name: end, type: 'null'}\nwires:\n  - {from: src.out, to: end.in}\n";

/// A directory with a scenario in it, and a name for a state directory that is not there yet.
pub(crate) struct Ground {
    pub(crate) directory: TempDir,
    pub(crate) scenario: String,
    pub(crate) state: String,
}

impl Ground {
    pub(crate) fn new(text: &str) -> Ground {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let (scenario, state) = (path("t.yaml"), path("state"));
        fs::write(&scenario, text).unwrap();
        Ground { directory, scenario, state }
    }

    /// The name of a file of settings, for whoever wants one.
    pub(crate) fn settings(&self) -> String {
        self.directory.path().join("fluxrig.toml").to_str().unwrap().to_owned()
    }

    /// A rack that runs the scenario in the state directory, once it is up.
    pub(crate) fn rack(&self, words: &[&str]) -> Running {
        let always = ["--log-format", "json", "run", &self.scenario, "--until-stdin-ends"];
        let mut rack = Running::start(&[&always[..], &["--state-dir", &self.state], words].concat());
        rack.wait_for(|line| line.contains("\"rack is up\"").then_some(()));
        rack
    }

    pub(crate) fn ask(&self, command: &str, words: &[&str]) -> Ended {
        ended(&[&[command, "--state-dir", &self.state, "--json"], words].concat(), "")
    }

    pub(crate) fn status(&self) -> Json {
        last_json(&self.ask("status", &[]).stdout)
    }

    pub(crate) fn in_state(&self, name: &str) -> PathBuf {
        Path::new(&self.state).join(name)
    }
}

#[test]
fn a_rack_tells_how_it_does_and_nobody_else_gets_its_directory() {
    let ground = Ground::new(GENERATE);
    let mut rack = ground.rack(&[]);
    let status = ground.status();
    let names = |part: &str, name: &str| {
        let all = status[part].as_array().unwrap();
        all.iter().map(|one| one[name].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (names("gears", "gear"), names("wires", "lane")),
        (vec!["src".into(), "end".into()], vec!["hot".into()])
    );
    assert_eq!(
        (status["pid"].as_u64(), &status["alarms"]),
        (Some(rack.id().into()), &Json::Array(Vec::new()))
    );

    let second = ended(&["run", &ground.scenario, "--state-dir", &ground.state], "");
    assert_eq!(second.code, Some(2));
    let why = format!(
        "is in use by process {}: stop that rack, or give this one a directory of its own",
        rack.id()
    );
    assert!(second.stderr.contains(&why), "{}", second.stderr);

    rack.end_input();
    assert_eq!(rack.wait().code(), Some(0), "{}", rack.printed);
    let gone = ground.ask("status", &[]);
    assert_eq!(gone.code, Some(2));
    assert!(gone.stderr.contains("no rack runs with the state directory"), "{}", gone.stderr);
}

#[test]
fn what_a_killed_rack_leaves_stops_nobody() {
    let ground = Ground::new(GENERATE);
    let mut rack = ground.rack(&[]);
    rack.signal("KILL");
    rack.wait();
    assert!(ground.in_state("control.sock").exists(), "it had no chance to remove it");
    assert_eq!(ground.ask("status", &[]).code, Some(2));
    let rack = ground.rack(&[]);
    assert_eq!(ground.status()["pid"].as_u64(), Some(rack.id().into()));
}

#[test]
fn settings_name_the_directory_too_and_a_rack_with_nothing_to_keep_makes_none() {
    let ground = Ground::new(GENERATE);
    let settings = &ground.settings();
    fs::write(settings, format!("[base]\nstate_dir = '{}'\n", ground.state)).unwrap();
    let plain = ended(&["run", &ground.scenario, "--until-stdin-ends"], "");
    assert_eq!((plain.code, ground.in_state("").exists()), (Some(0), false), "{}", plain.stderr);
    let run = ["--log-format", "json", "run", &ground.scenario, "--until-stdin-ends", "--config", settings];
    let mut rack = Running::start(&run);
    rack.wait_for(|line| line.contains("\"rack is up\"").then_some(()));
    let asked = ended(&["status", "--config", settings, "--json"], "");
    assert_eq!((asked.code, last_json(&asked.stdout)["pid"].as_u64()), (Some(0), Some(rack.id().into())));
}

#[test]
fn a_control_socket_that_is_removed_is_made_again_and_a_rack_without_one_is_not_denied() {
    let ground = Ground::new(GENERATE);
    let mut rack = ground.rack(&[]);
    rack.signal("STOP");
    fs::remove_file(ground.in_state("control.sock")).unwrap();
    let asked = ground.ask("status", &[]);
    assert_eq!(asked.code, Some(2));
    let told = format!("process {}, and its control socket is not there", rack.id());
    assert!(asked.stderr.contains(&told), "{}", asked.stderr);
    rack.signal("CONT");
    rack.wait_for(|line| (line.contains("alarm") && line.contains("is gone")).then_some(()));
    rack.wait_for(|line| line.contains("\"alarm\":\"control_socket\"").then_some(()));
    assert_eq!(ground.status()["alarms"], serde_json::json!([]));
    rack.signal("KILL");
    rack.wait();
    fs::remove_file(ground.in_state("control.sock")).unwrap();
    assert!(ground.ask("status", &[]).stderr.contains("no rack runs with the state directory"));
}

#[test]
fn a_state_directory_whose_socket_has_too_long_a_path_is_told_of_with_the_limit() {
    let mut ground = Ground::new(GENERATE);
    ground.state += &"x".repeat(120);
    let mut rack = ground.rack(&[]);
    let wanted = "and the system takes a socket in one of ";
    if !rack.printed.contains(wanted) {
        rack.wait_for(|line| line.contains(wanted).then_some(()));
    }
}
