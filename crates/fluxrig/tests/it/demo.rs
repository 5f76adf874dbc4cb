//! `fluxrig demo`: the whole house for a moment, its one line of JSON, and that nothing of it stays behind.

use std::{fs, os::fd::OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::process::{PATIENCE, Running, ended, last_json};

#[track_caller]
fn check(words: &[&str]) -> u64 {
    let demo = ended(&[&["demo", "--terminals", "8", "--json"][..], words].concat(), "");
    assert_eq!(demo.code, Some(0), "{}{}", demo.stdout, demo.stderr);
    let line = last_json(&demo.stdout);
    let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["tps", "p50_us", "p99_us", "answered", "declined", "timed_out", "cross_wired"]);
    let [answered, declined, cross_wired] =
        ["answered", "declined", "cross_wired"].map(|key| line[key].as_u64().unwrap());
    assert!(answered > declined && declined > 0, "{line}");
    assert_eq!(cross_wired, 0);
    line["timed_out"].as_u64().unwrap()
}

#[test]
fn every_request_is_answered() {
    assert_eq!(check(&["--duration", "1s"]), 0);
}

#[test]
fn a_killed_scheme_costs_no_more_than_what_it_had_in_hand() {
    let timed_out = check(&["--duration", "2s", "--kill-scheme"]);
    assert!(timed_out <= 8, "{timed_out} requests of 8 terminals timed out");
}

#[test]
fn a_killed_demo_leaves_nothing_behind() {
    let mut demo = Running::start(&["demo", "--terminals", "2", "--duration", "60s"]);
    demo.wait_for(|line| line.starts_with("up: ").then_some(()));
    let children = children_of(demo.id());
    assert_eq!(children.len(), 3);
    // Taken while they live: another process may get the number later.
    let children: Vec<OwnedFd> = children
        .iter()
        .map(|&id| pidfd_open(Pid::from_raw(id).unwrap(), PidfdFlags::empty()).unwrap())
        .collect();
    demo.signal("KILL");
    demo.wait();
    let patience = Timespec::try_from(PATIENCE).unwrap();
    for child in &children {
        let ended = poll(&mut [PollFd::new(child, PollFlags::IN)], Some(&patience)).unwrap();
        assert_eq!(ended, 1, "a process of the demo outlives it");
    }
}

/// The fields of `/proc/ID/stat` after the name: state, parent, and so on (proc_pid_stat(5)).
fn stat(id: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn children_of(parent: u32) -> Vec<i32> {
    let ids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id| stat(*id).is_some_and(|fields| fields[1] == parent.to_string())).collect()
}
