//! From a file to what racks run, by the command line: pushed, compared, activated, waited for.

use std::fs;
use std::process::Output;

use serde_json::{Value as Json, json};

use crate::house::House;

const BRANCH: &str = "
meta: {name: branch, version: 1.0.0, labels: {api_token: tiger}}
racks: [{name: north}]
gears:
  - {name: line, type: io_tcp, deploy: north, config: {mode: server, bind: '127.0.0.1:0'}}
  - {name: sink, type: 'null', deploy: north}
wires: [{from: line.out, to: sink.in}]
";

/// Exit status, and what it said on both.
fn said(output: &Output) -> (Option<i32>, String) {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output.status.code(), out + &err)
}

fn topology(house: &House) -> Json {
    serde_json::from_str(&house.told(&["topology", "--json"])).unwrap()
}

#[test]
fn a_scenario_goes_from_a_file_to_what_a_rack_runs() {
    let Some(house) = House::start("") else { return };
    let file = |name: &str, text: &str| fs::write(house.directory.path().join(name), text).unwrap();
    let run = |words: &[&str]| said(&house.fluxrig(words));
    file("bad.yaml", &BRANCH.replace("io_tcp", "io_tpc"));
    file("1.0.0.yaml", BRANCH);
    file("1.1.0.yaml", &BRANCH.replace("1.0.0", "1.1.0").replace("127.0.0.1:0", "localhost:0"));
    let nothing = topology(&house);
    assert_eq!((&nothing["is_synced"], &nothing["scenario"]), (&Json::Null, &Json::Null));
    assert!(house.told(&["topology"]).starts_with("no scenario is active"));

    // What is wrong is said as `check` says it, before anything is sent; and what only the Mixer knows, with its place.
    let (code, told) = run(&["scenario", "push", "bad.yaml"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("FR0211") && told.contains("bad.yaml:5:24"), "{told}");
    file("nameless.yaml", &BRANCH.replace("version: 1.0.0", "version: 1.0.0+x"));
    let (code, told) = run(&["scenario", "push", "nameless.yaml"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("nameless.yaml:2:") && told.contains("FR0204"), "{told}");
    let (code, told) = run(&["scenario", "push", "1.0.0.yaml", "--tag", "1.0.1"]);
    assert!(code == Some(2) && told.contains("says that it is version 1.0.0, not 1.0.1"), "{told}");
    house.told(&["scenario", "push", "1.0.0.yaml", "--dry-run"]);
    assert_eq!(house.told(&["scenario", "list", "--json"]), "[]", "nothing is kept");
    house.told(&["scenario", "push", "1.0.0.yaml", "--tag", "v1.0.0", "--note", "the first: 100 %"]);
    assert!(house.told(&["scenario", "push", "1.0.0.yaml"]).contains("was in the Mixer already"));
    file("other.yaml", &BRANCH.replace("sink", "drain"));
    let (code, told) = run(&["scenario", "push", "other.yaml"]);
    assert!(code == Some(2) && told.contains("FR0912"), "another text under that version: {told}");
    house.told(&["scenario", "push", "1.1.0.yaml"]);
    let history: Json =
        serde_json::from_str(&house.told(&["scenario", "history", "branch", "--json"])).unwrap();
    assert_eq!((&history[0]["tag"], &history[1]["note"]), (&json!("1.1.0"), &json!("the first: 100 %")));
    assert!(house.told(&["scenario", "list"]).contains("branch   1.1.0"));

    // Read as it was pushed; who may not change it is shown no secret.
    house.told(&["scenario", "show", "branch:1.0.0", "-o", "shown.yaml"]);
    assert_eq!(fs::read_to_string(house.directory.path().join("shown.yaml")).unwrap(), BRANCH);
    let viewer = house.told(&["token", "make", "looker", "--role", "viewer"]);
    let (code, told) = said(&house.fluxrig_as(&viewer, &["scenario", "show", "branch:1.0.0"]));
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("secrets are hidden") && !told.contains("tiger"), "{told}");
    let (code, told) = said(&house.fluxrig_as(&viewer, &["scenario", "push", "1.0.0.yaml"]));
    assert!(code == Some(2) && told.contains("FR0907"), "{told}");
    let porto = house.told(&["token", "make", "porto", "--role", "deployer", "--scope", "site=porto"]);
    let (code, told) = said(&house.fluxrig_as(&porto, &["scenario", "push", "1.0.0.yaml"]));
    assert!(code == Some(2) && told.contains("FR0919"), "a scenario is the whole fleet's: {told}");
    assert!(house.told(&["token", "list"]).contains("deployer  site=porto"));
    let told = house.told(&["scenario", "diff", "branch:1.0.0", "branch"]);
    assert!(
        told.contains("on north:\n  ~ gear line (io_tcp): config.bind") && !told.contains("tiger"),
        "{told}"
    );

    // A dry run changes nothing. A rack that is not there is waited for in vain, and named.
    let told = house.told(&["scenario", "activate", "branch:1.0.0", "--dry-run"]);
    assert!(told.contains("from nothing to branch:1.0.0") && told.contains("+ gear line"), "{told}");
    assert_eq!(topology(&house)["scenario"], Json::Null);
    let (code, told) = run(&["scenario", "activate", "branch:1.0.0", "--wait", "1s"]);
    assert!(code == Some(1) && told.contains("north is not enrolled"), "{told}");
    assert_eq!(topology(&house)["is_synced"], false);
    house.enrol("north");
    let (watch, changes) = house.follow("watch", &["topology", "--watch", "--json"]);
    let mut rack = house.run("north");
    let told = house.told(&["scenario", "activate", "branch:1.0.0", "--wait", "60s", "--json"]);
    let told: Json = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["is_synced"], &told["difference"]["plans"]), (&json!(true), &json!([])));
    assert_eq!(topology(&house)["is_synced"], true);
    let is_told = |line: &str| {
        let line: Json = serde_json::from_str(line).unwrap();
        line["rack"]["name"] == "north" && line["rack"]["sync"] == "synced"
    };
    crate::house::wait(
        || fs::read_to_string(&changes).unwrap().lines().any(is_told).then_some(()),
        || format!("{}{}", fs::read_to_string(&changes).unwrap(), watch.log()),
    );
    let (code, told) = run(&["scenario", "remove", "branch:1.0.0"]);
    assert!(code == Some(2) && told.contains("is active"), "{told}");
    house.told(&["scenario", "remove", "branch:1.1.0"]);
    assert_eq!(run(&["scenario", "show", "branch:1.1.0"]).0, Some(2));
    assert_eq!(rack.stop(), Some(0));
}

#[test]
fn a_spec_is_kept_compared_and_removed() {
    let Some(house) = House::start("") else { return };
    let base = "{id: base, name: Base, version: 1.0.0, extends: iso87ascii}";
    let shop = "{id: shop, name: Shop, version: 2.0.0, extends: 'base:1.0.0'}";
    for (name, text) in [("base.yaml", base), ("shop.yaml", shop)] {
        fs::write(house.directory.path().join(name), text).unwrap();
    }
    let (code, told) = said(&house.fluxrig(&["spec", "push", "shop.yaml"]));
    assert!(code == Some(1) && told.contains("shop.yaml:1:") && told.contains("FR0809"), "{told}");
    for file in ["base.yaml", "shop.yaml"] {
        house.told(&["spec", "push", file]);
    }
    assert_eq!(house.told(&["spec", "show", "shop"]), shop);
    let told = house.told(&["spec", "diff", "base", "shop:2.0.0"]);
    assert!(told.starts_with("--- base:1.0.0\n+++ shop:2.0.0\n@@"), "{told}");
    house.told(&["spec", "remove", "shop:2.0.0"]);
    assert_eq!(said(&house.fluxrig(&["spec", "show", "shop"])).0, Some(2));
}
