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

/// W39: what a Rack runs and keeps is its own: it needs the Mixer for neither start nor work.
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

/// A part that cannot run is refused, and what ran before goes on, after a restart too; the Mixer is told.
#[test]
fn a_part_that_cannot_run_changes_nothing() {
    let text = |version: &str, interval: &str, file: &str| {
        format!(
            "
meta: {{name: branch, version: {version}}}
racks: [{{name: north}}]
gears:
  - {{name: tick, type: generate, deploy: north, config: {{interval: {interval}, payload: x}}}}
  - {{name: dec, type: codec_iso8583, deploy: north, config: {{direction: decode, spec: {file}}}}}
  - {{name: end, type: 'null', deploy: north}}
wires: [{{from: tick.out, to: dec.in}}, {{from: dec.out, to: end.in}}, {{from: dec.error, to: end.in}}]
"
        )
    };
    let scenario = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    fs::write(scenario.path(), text("1.0.0", "1h", "iso87ascii")).unwrap();
    let settings = format!("[mixer]\nstartup_scenario = {:?}\n", scenario.path().display().to_string());
    let Some(house) = House::start(&settings) else { return };
    house.enrol("north");
    let mut north = house.run("north");
    house.wait_for("north", "online");
    // The Mixer has no such file, and cannot know that the Rack has none.
    fs::write(scenario.path(), text("1.1.0", "2h", "./no-such.yaml").replace("spec:", "spec_path:")).unwrap();
    house.told(&["scenario", "push", &scenario.path().display().to_string()]);
    house.told(&["scenario", "activate", "branch:1.1.0"]);
    let sync = || {
        let topology: Json = serde_json::from_str(&house.told(&["topology", "--json"])).unwrap();
        topology["racks"][0]["sync"].as_str().map(str::to_owned)
    };
    for _ in 0..2 {
        wait(|| north.log().contains("no-such.yaml").then_some(()), || north.log());
        assert!(matches!(sync().as_deref(), Some("behind" | "unknown")), "{:?}", sync());
        // It exits with 1 where there are alarms, and here is one.
        let status = house.fluxrig(&["status", "--json", "--state-dir", &house.state_dir("north")]).stdout;
        let status: Json = serde_json::from_slice(&status).unwrap();
        assert_eq!(status["alarms"][0]["alarm"], "reload", "{status}");
        assert_eq!(status["gears"].as_array().unwrap().len(), 3, "{status}");
        assert_eq!(north.stop(), Some(0));
        north = house.run("north");
        house.wait_for("north", "online");
    }
}
