//! What is followed is told as it happens, and on after a Mixer that was away.

use std::fs;

use serde_json::Value as Json;

use crate::house::{House, wait};

#[test]
fn who_watches_sees_what_changes_and_goes_on_when_the_mixer_is_back() {
    let Some(mut house) = House::start("") else { return };
    house.enrol("north");
    let (mut racks, out) = house.follow("racks", &["racks", "--watch"]);
    let (_lines, json) = house.follow("json", &["racks", "--watch", "--json"]);
    let (mut audit, entries) = house.follow("audit", &["audit", "--follow", "--json"]);
    let seen = |path: &std::path::Path, what: &str| {
        let told = || fs::read_to_string(path).unwrap();
        wait(|| told().contains(what).then_some(()), || format!("no `{what}`: {}", told()));
    };
    let line = |liveness: &str| format!("north  active  {liveness}");
    seen(&out, &line("offline"));
    seen(&json, "\"liveness\":\"offline\"");
    let mut rack = house.run("north");
    seen(&out, &line("online"));
    seen(&json, "\"liveness\":\"online\"");
    // Who is refused is seen by whoever follows the log.
    let stranger = house.told(&["token", "make", "x", "--role", "viewer"]);
    house.told(&["token", "revoke", &stranger_id(&house)]);
    assert_eq!(house.fluxrig_as(&stranger, &["racks"]).status.code(), Some(2));
    seen(&entries, "\"api.authenticate\"");
    house.kill_mixer();
    wait(|| racks.log().contains("the Mixer is away").then_some(()), || racks.log());
    house.start_mixer();
    wait(|| racks.log().contains("the Mixer is back").then_some(()), || racks.log());
    let before = fs::read_to_string(&out).unwrap().len();
    house.wait_for("north", "online");
    house.told(&["racks", "suspend", "north"]);
    wait(
        || fs::read_to_string(&out).unwrap()[before..].contains("north  suspended").then_some(()),
        || fs::read_to_string(&out).unwrap(),
    );
    seen(&entries, "\"rack.suspend\"");
    // Without its word it would ask to be let in anew.
    rack.stop();
    house.told(&["racks", "remove", "north"]);
    seen(&out, "north  removed");
    seen(&json, "{\"removed\":\"north\"}");
    assert!(racks.is_running() && audit.is_running());
    let whole = fs::read_to_string(&entries).unwrap();
    let numbers: Vec<u64> = whole
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap()["number"].as_u64().unwrap())
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "each once, in order: {numbers:?}");
}

/// The token that was made last.
fn stranger_id(house: &House) -> String {
    let listed: Json = serde_json::from_str(&house.told(&["token", "list", "--json"])).unwrap();
    let listed = listed.as_array().unwrap();
    listed.iter().find(|token| token["name"] == "x").unwrap()["id"].as_str().unwrap().to_owned()
}
