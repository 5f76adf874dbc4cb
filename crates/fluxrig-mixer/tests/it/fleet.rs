//! Two Racks by token, a third by approval, one revoked, one suspended, and a Mixer that is killed.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::Value as Json;

use crate::house::{House, wait};

#[test]
fn a_fleet_is_let_in_and_who_is_revoked_stays_out() {
    let Some(mut house) = House::start("") else { return };
    let fingerprint = house.fingerprint().to_owned();
    house.enrol("north");
    house.enrol("south");
    // A third one without a token has to wait until somebody approves it.
    let words = ["rack", "enrol", "--name", "east", "--fingerprint", &fingerprint, "--wait", "50s"];
    let mut east = house.begin("east", &words);
    let pending = wait(|| Some(house.rack("east")).filter(|east| east["state"] == "pending"), || east.log());
    let shown = pending["fingerprint"].as_str().unwrap();
    wait(|| east.log().contains(shown).then_some(()), || "the rack does not say its own".into());
    house.told(&["racks", "approve", "east"]);
    wait(|| (!east.is_running()).then_some(()), || "it waits on".into());
    let mut racks = ["north", "south", "east"].map(|rack| house.run(rack));
    for rack in ["north", "south", "east"] {
        house.wait_for(rack, "online");
    }
    assert_eq!(house.rack("south")["labels"]["site"], "lisbon");

    // Revoked, its connection dies, and neither it nor its keys come back.
    house.told(&["racks", "revoke", "south"]);
    house.wait_for("south", "offline");
    wait(|| racks[1].log().contains("FR0905").then_some(()), || racks[1].log());
    assert!(racks[1].is_running(), "what it runs goes on");
    let again = ["rack", "enrol", "--name", "south", "--fingerprint", &fingerprint, "--state-dir"];
    racks[1].stop();
    let state_dir = house.state_dir("south");
    assert!(house.refused(&[&again[..], &[&state_dir]].concat()).contains("FR0905"));
    let token = house.told(&["racks", "invite"]);
    let with_token = [&again[..], &[&state_dir, "--token", &token]].concat();
    assert!(house.refused(&with_token).contains("FR0905"), "its passport is void");
    racks[1] = house.run("south");
    wait(|| racks[1].log().contains("FR0905").then_some(()), || racks[1].log());
    assert_eq!(house.rack("south")["liveness"], "offline");

    // Suspended it has no word; activated it has, without a restart.
    let pid = racks[0].pid();
    house.told(&["racks", "suspend", "north"]);
    house.wait_for("north", "offline");
    house.told(&["racks", "activate", "north"]);
    house.wait_for("north", "online");
    assert!(racks[0].is_running() && racks[0].pid() == pid);

    // A Mixer that is killed takes its server with it; Racks go on, and are there when it is back.
    house.kill_mixer();
    thread::sleep(Duration::from_secs(1));
    assert!(racks[0].is_running() && racks[2].is_running());
    house.start_mixer();
    for rack in ["north", "east"] {
        house.wait_for(rack, "online");
    }
    assert_eq!(house.rack("south")["liveness"], "offline", "revocation outlives the Mixer");
    assert_eq!(racks[0].stop(), Some(0));
    house.wait_for("north", "late");

    // It goes on asking, and each refusal is an entry.
    racks[1].stop();
    let head: Json = serde_json::from_str(&house.told(&["audit", "--verify", "--json"])).unwrap();
    let entries: Json = serde_json::from_str(&house.told(&["audit", "--json"])).unwrap();
    assert_eq!(head["entries"].as_u64().unwrap() as usize, entries.as_array().unwrap().len());
    let count = |what: &str, outcome: &str| {
        entries
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["what"] == what && entry["outcome"] == outcome)
            .count()
    };
    assert_eq!(
        (count("rack.revoke", "done"), count("rack.approve", "done"), count("rack.suspend", "done")),
        (1, 1, 1)
    );
    assert!(count("rack.enrol", "refused") >= 3);
    assert_eq!(house.mixer().stop(), Some(0));
}

/// W61: no secret is the default, and none is broadcast: a token is good once. W62: a passport is verified with a key that is pinned.
#[test]
fn what_is_forged_foreign_used_or_expired_is_refused() {
    let Some(house) = House::start("") else { return };
    let enrol = |rack: &str, more: &[&str]| {
        let state_dir = house.state_dir(rack);
        house.refused(
            &[&["rack", "enrol", "--name", rack, "--state-dir", &state_dir, "--wait", "0s"], more].concat(),
        )
    };
    let token = house.told(&["racks", "invite"]);
    let foreign = "0".repeat(64);
    assert!(enrol("a", &["--fingerprint", &foreign]).contains("it is not the Mixer that was meant"));
    let elsewhere = format!("{}{foreign}", token.strip_suffix(house.fingerprint()).unwrap());
    assert!(
        enrol("a", &["--token", &elsewhere]).contains("it is not the Mixer that was meant"),
        "the token names another CA"
    );
    assert!(
        enrol("a", &[]).contains("give its token, or `--fingerprint`"),
        "nobody is believed without a reason"
    );
    assert!(enrol("a.b", &["--token", &token]).contains("is no name"));
    assert!(enrol("../a", &["--token", &token]).contains("is no name"));
    house.told(&[
        "rack",
        "enrol",
        "--name",
        "north",
        "--token",
        &token,
        "--state-dir",
        &house.state_dir("north"),
    ]);
    assert!(enrol("a", &["--token", &token]).contains("FR0903"), "used");
    let expired = house.told(&["racks", "invite", "--for", "1s"]);
    thread::sleep(Duration::from_millis(1_100));
    assert!(enrol("a", &["--token", &expired]).contains("FR0903"), "expired");
    let for_south = house.told(&["racks", "invite", "--rack", "south"]);
    assert!(enrol("a", &["--token", &for_south]).contains("FR0903"), "for another name");
    let api = house.ready["token"].as_str().unwrap();
    assert!(enrol("a", &["--token", api]).contains("it is a token for the API"));
    let state_dir = house.state_dir("thief");
    let thief =
        ["rack", "enrol", "--name", "north", "--state-dir", &state_dir, "--fingerprint", house.fingerprint()];
    let taken = house.refused(&thief);
    assert!(taken.contains("FR0904") && !taken.contains("another passport"), "{taken}");

    // A passport that was changed, or signed by somebody else, runs nothing.
    let path = house.directory.path().join("north").join("mixer.identity");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, good.replace("\\\"rack\\\":\\\"north\\\"", "\\\"rack\\\":\\\"other\\\"")).unwrap();
    let state_dir = house.state_dir("north");
    assert!(
        house
            .refused(&["rack", "run", "--state-dir", &state_dir])
            .contains("was changed after it was signed")
    );
    fs::write(&path, &good).unwrap();
    // And of a Rack with another passport it is not this Rack's.
    fs::remove_file(house.directory.path().join("north").join("rack.flux")).unwrap();
    house.told(&[
        "rack",
        "enrol",
        "--name",
        "x",
        "--token",
        &house.told(&["racks", "invite"]),
        "--state-dir",
        &house.state_dir("x"),
    ]);
    fs::copy(house.directory.path().join("x/rack.flux"), house.directory.path().join("north/rack.flux"))
        .unwrap();
    assert!(house.refused(&["rack", "run", "--state-dir", &state_dir]).contains("another key"));
}
