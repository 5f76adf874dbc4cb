//! A Mixer on a cluster that somebody else runs: with a signing key it does all but revoke, without one it says what it cannot do.

use std::fs;
use std::path::PathBuf;

use async_nats::ConnectOptions;
use flux_bus::Grants;
use flux_nats::{Credentials, NatsBus, Settings, Tls};
use flux_world::World;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::ca::Ca;
use crate::house::{House, wait};
use crate::nats_cluster::{Cluster, NODES};
use crate::nats_operator::Operator;
use crate::nats_server::{Version, is_up};

const SCENARIO: &str = "
meta: {name: two-sites, version: 1.0.0}
racks: [{name: north}, {name: south}]
gears:
  - {name: tick, type: generate, deploy: north, config: {interval: 1h, payload: hour}}
  - {name: sink, type: 'null', deploy: south}
wires:
  - {id: hours, from: tick.out, to: sink.in}
";

/// Three encrypted nodes, and the files of whoever may use them.
struct Site {
    cluster: Cluster,
    directory: TempDir,
    ca: PathBuf,
    operator: Operator,
}

impl Site {
    fn new() -> Option<Site> {
        let (program, directory, operator) =
            (Version::Newest.program()?, tempfile::tempdir().unwrap(), Operator::new());
        let ca = Ca::new(directory.path(), "theirs");
        let (certificate, key) = ca.issue("server", 30);
        let tls = format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}\n");
        let cluster = Cluster::start(program, &(tls + &operator.config()));
        let site = Site { cluster, ca: ca.roots(), directory, operator };
        let mut settings = Settings::new(site.servers());
        settings.credentials = Credentials::Jwt(site.operator.credentials(&Grants::of_mixer()));
        settings.tls = Some(Tls { roots: site.ca.clone(), identity: None });
        block_on(async { is_up(&NatsBus::connect_later(&World::real(), settings).await.unwrap()).await });
        Some(site)
    }

    fn servers(&self) -> Vec<String> {
        self.cluster.url("tls").split(',').map(String::from).collect()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// A Mixer on it; `cluster` is added to what is said of it.
    fn mixer(&self, cluster: &str) -> House {
        let scenario = self.file("scenario.yaml", SCENARIO);
        let settings = format!(
            "[mixer]\nstartup_scenario = {scenario:?}\n[cluster]\nroot_ca_file = {:?}\n{cluster}",
            self.ca
        );
        House::on(&["--bus", &self.cluster.url("tls"), "--replicas", "3"], &settings)
    }

    /// Which node leads a stream, once so many follow it.
    fn leader(&self, stream: &str, followers: usize) -> usize {
        block_on(async {
            let credentials = self.operator.credentials(&Grants::of_mixer());
            let options = ConnectOptions::with_credentials(&credentials).unwrap();
            let options = options.add_root_certificates(self.ca.clone()).retry_on_initial_connect();
            let client = options.connect(self.servers()).await.unwrap();
            self.cluster.leader(&client, stream, followers).await
        })
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

#[test]
fn with_a_signing_key_racks_get_identities_and_streams_with_three_copies() {
    let Some(mut site) = Site::new() else { return };
    let seed = site.file("account.nk", &site.operator.signing_seed());
    let key = format!("account_seed_file = {seed:?}\naccount = {:?}\n", site.operator.account());
    let mut house = site.mixer(&key);
    assert!(house.mixer().log().contains("cannot make them void there"), "{}", house.mixer().log());
    assert!(!house.mixer().log().contains(&site.operator.signing_seed()));
    house.enrol("north");
    house.enrol("south");
    let mut racks = ["north", "south"].map(|rack| house.run(rack));
    for rack in ["north", "south"] {
        house.wait_for(rack, "online");
    }
    let leader = site.leader("south_hours", NODES - 1);

    // Each node in turn; whoever was connected to it finds another.
    for at in [leader, (leader + 1) % NODES] {
        site.cluster.nodes[at].kill();
        let before = house.rack("north")["last_seen_unix_ms"].as_u64();
        wait(
            || (house.rack("north")["last_seen_unix_ms"].as_u64() > before).then_some(()),
            || house.rack("north").to_string(),
        );
        site.cluster.nodes[at].begin();
        site.leader("south_hours", NODES - 1);
    }

    // The cluster is not the Mixer's, and goes on without it.
    house.kill_mixer();
    assert!(racks.iter_mut().all(|rack| rack.is_running()));
    site.leader("south_hours", NODES - 1);
    house.start_mixer();
    for rack in ["north", "south"] {
        house.wait_for(rack, "online");
    }

    // What cannot be done is not said to be.
    let told = house.refused(&["racks", "revoke", "south"]);
    assert!(told.contains("stays good there until it expires"), "{told}");
    assert_eq!(house.rack("south")["state"], "revoked");
    assert_eq!(house.mixer().stop(), Some(0));
    site.leader("south_hours", NODES - 1);
}

#[test]
fn without_a_key_it_says_that_racks_get_no_identity() {
    let Some(site) = Site::new() else { return };
    let credentials = site.file("mixer.creds", &site.operator.credentials(&Grants::of_mixer()));
    let mut house = site.mixer(&format!("credentials_file = {credentials:?}\n"));
    let log = house.mixer().log();
    assert!(log.contains("makes no identities on the bus"), "{log}");
    house.enrol("north");
    let identity = fs::read_to_string(house.directory.path().join("north/mixer.identity")).unwrap();
    let identity: Json = serde_json::from_str(&identity).unwrap();
    assert!(identity["bus"].is_null() && identity["passport"].is_string());
    // What Racks use there is made for them all the same.
    site.leader("south_hours", NODES - 1);
    assert_eq!(house.mixer().stop(), Some(0));
}

#[test]
fn who_is_not_let_in_does_not_start() {
    let Some(site) = Site::new() else { return };
    let directory = tempfile::tempdir().unwrap();
    let url = site.cluster.url("tls");
    let refused = |words: &[&str], settings: &str| {
        let config = directory.path().join("mixer.toml");
        fs::write(&config, settings).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fluxrig-mixer"));
        command.args(["--listen", "127.0.0.1:0", "--bus", &url]).args(words);
        command.arg("--config").arg(config).arg("--state-dir").arg(directory.path().join("state"));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let ca = format!("[cluster]\nroot_ca_file = {:?}\n", site.ca);
    let told = refused(&[], &ca);
    assert!(
        told.contains("cluster.url, or --bus") && told.to_lowercase().contains("authorization"),
        "{told}"
    );
    let seed = site.file("user.nk", "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY");
    let told = refused(&[], &format!("{ca}account_seed_file = {seed:?}\n"));
    assert!(told.contains("no seed of an account's key") && !told.contains("SUACSSL3"), "{told}");
    assert!(refused(&["--replicas", "2"], &ca).contains("cluster.replicas: 1 or 3"));
    let mut alone = std::process::Command::new(env!("CARGO_BIN_EXE_fluxrig-mixer"));
    let told = alone.args(["--replicas", "3"]).output().unwrap().stderr;
    assert!(String::from_utf8_lossy(&told).contains("cluster.url is missing, or --bus"));
}
