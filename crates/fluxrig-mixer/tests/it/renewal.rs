//! What a Rack was given is made anew while it runs, and what it runs is its part alone, with or without its Mixer.

use std::fs;

use serde_json::Value as Json;

use crate::house::{House, wait};

#[test]
fn certificates_are_made_anew_without_a_restart() {
    let Some(house) = House::start("certificate_lifetime = \"10s\"\n") else { return };
    house.enrol("north");
    let file = house.directory.path().join("north/identity/certificate.pem");
    let first = fs::read_to_string(&file).unwrap();
    let mut north = house.run("north");
    let begin = house.wait_for("north", "online");
    let until = |rack: &Json| rack["certificate_expires_unix_ms"].as_u64().unwrap();
    // Twice the life of a certificate later it is heard of still, by the same process.
    let renewed = wait(
        || {
            Some(house.rack("north"))
                .filter(|now| until(now) > until(&begin) + 20_000 && now["liveness"] == "online")
        },
        || format!("{} {}", house.rack("north"), north.log()),
    );
    assert!(north.is_running());
    assert!(renewed["passport_number"].as_u64() > begin["passport_number"].as_u64());
    assert_ne!(fs::read_to_string(&file).unwrap(), first);
}

#[test]
fn a_rack_runs_its_part_with_or_without_its_mixer() {
    let scenario = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    let text = "
meta: {name: branch, version: 1.0.0}
racks: [{name: north}, {name: south}]
gears:
  - {name: tick, type: generate, deploy: north, config: {interval: 1h, payload: mine}}
  - {name: sink, type: 'null', deploy: north}
  - {name: theirs, type: 'null', deploy: south}
wires: [{from: tick.out, to: sink.in}]
";
    fs::write(scenario.path(), text).unwrap();
    let settings = format!("[mixer]\nstartup_scenario = {:?}\n", scenario.path().display().to_string());
    let Some(mut house) = House::start(&settings) else { return };
    house.enrol("north");
    let part =
        |house: &House| fs::read_to_string(house.directory.path().join("north/mixer.identity")).unwrap();
    assert!(part(&house).contains("mine") && !part(&house).contains("theirs"));
    house.kill_mixer();
    // It needs nobody to start, and is heard of when somebody is there.
    let mut north = house.run("north");
    let status = |house: &House| {
        let words = ["status", "--json", "--state-dir", &house.state_dir("north")];
        let output = house.fluxrig(&words);
        serde_json::from_slice::<Json>(&output.stdout).ok()
    };
    let running = wait(|| status(&house), || north.log());
    assert_eq!(running["gears"].as_array().unwrap().len(), 2);
    house.start_mixer();
    house.wait_for("north", "online");
    wait(|| (house.rack("north")["gears"] == 2).then_some(()), || house.rack("north").to_string());
    assert_eq!(north.stop(), Some(0));
}
