//! Two enrolled Racks and a wire between them; what runs, and whether, is said at the Mixer alone.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::Value as Json;

use crate::house::{House, Process, wait};
use crate::nats_server::free_port;

pub(crate) struct Sites {
    pub(crate) house: House,
    pub(crate) tills: u16,
    pub(crate) ledger: TcpListener,
    /// The scenario that the Mixer begins with.
    _first: tempfile::NamedTempFile,
}

impl Sites {
    pub(crate) fn start() -> Option<Sites> {
        let (tills, ledger) = (free_port(), TcpListener::bind("127.0.0.1:0").unwrap());
        let text = scenario("1.0.0", tills, ledger.local_addr().unwrap().port());
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        fs::write(file.path(), text).unwrap();
        let settings = format!("[mixer]\nstartup_scenario = {:?}\n", file.path().display().to_string());
        Some(Sites { house: House::start(&settings)?, tills, ledger, _first: file })
    }

    fn activate(&self, version: &str, tills: u16) {
        let text = scenario(version, tills, self.ledger.local_addr().unwrap().port());
        let file = self.house.directory.path().join("next.yaml");
        fs::write(&file, text).unwrap();
        self.house.told(&["scenario", "push", &file.display().to_string()]);
        self.house.told(&["scenario", "activate", &format!("sites:{version}")]);
    }

    fn lines(&self) -> impl Iterator<Item = String> + use<> {
        let stream = self.ledger.accept().unwrap().0;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        BufReader::new(stream).lines().map(Result::unwrap)
    }

    pub(crate) fn synced(&self, racks: &[&Process]) {
        let topology = || serde_json::from_str::<Json>(&self.house.told(&["topology", "--json"])).unwrap();
        let log = || racks.iter().map(|rack| rack.log()).collect::<String>();
        wait(|| (topology()["is_synced"] == true).then_some(()), || format!("{} {}", topology(), log()));
    }
}

fn scenario(version: &str, tills: u16, ledger: u16) -> String {
    format!(
        "
meta: {{name: sites, version: {version}}}
racks: [{{name: office}}, {{group: shops, match: {{labels: {{kind: shop}}}}}}]
gears:
  - {{name: tills, type: io_tcp, deploy: shops, config: {{mode: server, bind: '127.0.0.1:{tills}', acknowledge: ok, delimiter_append: true}}}}
  - {{name: ledger, type: io_tcp, deploy: office, config: {{mode: client, connect: '127.0.0.1:{ledger}', delimiter_append: true}}}}
  - {{name: answers, type: 'null', deploy: office}}
wires:
  - {{id: bookings, from: tills.out, to: ledger.in, dedupe: true}}
  - {{from: ledger.out, to: answers.in}}
"
    )
}

/// Books, and is told that it is safe in the shop.
fn book(port: u16, lines: std::ops::Range<u32>) {
    let stream =
        wait(|| TcpStream::connect(("127.0.0.1", port)).ok(), || format!("nobody listens on {port}"));
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    for line in lines {
        writeln!(&stream, "{line}").unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), "ok");
    }
}

#[test]
fn two_racks_are_joined_and_told_what_to_do_by_their_mixer_alone() {
    let Some(mut sites) = Sites::start() else { return };
    sites.house.enrol_with("office", "kind=office");
    // It has no peers yet: that there is one is said to it while it runs.
    let office = sites.house.run("office");
    sites.house.wait_for("office", "online");
    sites.house.enrol_with("shop", "kind=shop");
    let mut shop = sites.house.run("shop");
    sites.synced(&[&office, &shop]);
    book(sites.tills, 0..100);
    let mut lines = sites.lines();
    let mut arrived = |range: std::ops::Range<u32>| {
        for n in range {
            assert_eq!(lines.next().unwrap(), n.to_string(), "in order, once");
        }
    };
    arrived(0..100);

    // Without the Mixer and its server bookings are taken, and arrive when both are back.
    sites.house.kill_mixer();
    book(sites.tills, 100..200);
    sites.house.start_mixer();
    arrived(100..200);

    // Another version goes live by itself.
    let other = free_port();
    sites.activate("1.1.0", other);
    sites.synced(&[&office, &shop]);
    book(other, 200..210);
    arrived(200..210);
    assert!(TcpStream::connect(("127.0.0.1", sites.tills)).is_err(), "it listens elsewhere now");

    // Stopped, it listens nowhere, after a restart too; and goes on when it is told so.
    assert!(sites.house.told(&["racks", "stop", "--label", "kind=shop"]).contains("shop"));
    wait(|| TcpStream::connect(("127.0.0.1", other)).err(), || shop.log());
    assert_eq!(shop.stop(), Some(0));
    let mut shop = sites.house.run("shop");
    sites.house.wait_for("shop", "online");
    assert!(TcpStream::connect(("127.0.0.1", other)).is_err());
    sites.house.told(&["racks", "start", "shop"]);
    book(other, 210..220);
    arrived(210..220);

    sites.house.told(&["racks", "log-level", "shop", "debug"]);
    wait(|| shop.log().contains("DEBUG").then_some(()), || shop.log());
    sites.house.told(&["racks", "shutdown", "shop"]);
    assert_eq!(wait(|| shop.ended(), || "it goes on".into()), Some(0), "{}", shop.log());
}
