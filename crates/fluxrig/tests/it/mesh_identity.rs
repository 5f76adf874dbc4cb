//! Wires over an encrypted bus, by whom it knows: an NKey with a certificate, or a JWT. Who vouches for it is not anybody.

use std::path::Path;

use flux_bus::Grants;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{
    mesh::House,
    nats_ca::Ca,
    nats_operator::Operator,
    nats_server::{Server, Version},
};

const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const USER: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

/// Racks on an encrypted server with this configuration, which they reach by these settings.
fn house(ca: &Ca, verify: bool, server: &str, snake: &str) -> Option<House> {
    let program = Version::Newest.program()?;
    let (certificate, key) = ca.issue("server", 30);
    let tls = format!(
        "tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {:?}, verify: {verify} }}\n{server}",
        ca.roots()
    );
    let server = Server::start(program, None, &tls);
    let url = format!("tls://127.0.0.1:{}", server.port);
    let mut house = House::on(server, &url, &format!("root_ca_file = {:?}\n{snake}", ca.roots()));
    house.north.start();
    house.south.start();
    Some(house)
}

fn file(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn carries(mut house: House) {
    house.send(3_000);
    // What is made anew has to show again who it is.
    house.server.kill();
    house.send(500);
    house.server.begin();
    house.finish();
    house.arrived_once();
    assert!(!house.north.process.as_ref().unwrap().printed.contains(SEED));
}

#[test]
fn by_an_nkey_and_a_certificate() {
    let directory = TempDir::new().unwrap();
    let ca = Ca::new(directory.path(), "ca");
    let (certificate, key) = ca.issue("racks", 30);
    let seed = file(directory.path(), "rack.nk", SEED);
    let snake = format!("nkey_file = {seed:?}\ntls_cert_file = {certificate:?}\ntls_key_file = {key:?}\n");
    let users = format!("authorization {{ users: [ {{ nkey: {USER} }} ] }}");
    let Some(house) = house(&ca, true, &users, &snake) else { return };
    carries(house);
}

#[test]
fn by_a_jwt() {
    let directory = TempDir::new().unwrap();
    let (ca, operator) = (Ca::new(directory.path(), "ca"), Operator::new());
    let credentials = file(directory.path(), "racks.creds", &operator.credentials(&Grants::of_mixer()));
    let snake = format!("credentials_file = {credentials:?}\n");
    let Some(house) = house(&ca, false, &operator.config(), &snake) else { return };
    carries(house);
}

/// Nothing is said to a server for which somebody else vouches, nor to one that asks for a certificate by who has none.
#[test]
fn who_is_not_known_gets_nothing_and_it_waits() {
    let directory = TempDir::new().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| Ca::new(directory.path(), name));
    for (verify, roots) in [(false, Some(theirs.roots())), (true, None)] {
        let Some(mut house) = house(&ours, verify, "", "") else { return };
        if let Some(roots) = roots {
            house.north.kill();
            let settings = house.north.ground.settings();
            std::fs::write(&settings, format!("[snake]\nroot_ca_file = {roots:?}\n")).unwrap();
            house.north.start();
        }
        house.send(10);
        let trouble = |wire: &Json| wire["mesh"]["trouble"].is_string() && wire["unsettled"] == 10;
        let wire = house.north.until("it is told", trouble);
        assert_eq!(wire["mesh"]["is_connected"], false, "{wire:#}");
    }
}
