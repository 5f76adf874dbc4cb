//! The example of a host that never sees a card number, with the host and the terminals played by the test.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{
    example::placed,
    line::{Line, answer, request},
    process::Running,
};

const CARD: &str = "4111111111111111";

/// The rack, and the host's end of its connection.
struct Cloakroom {
    rack: Running,
    terminals: String,
    host: Line,
    listener: TcpListener,
    scenario: PathBuf,
    directory: TempDir,
}

impl Cloakroom {
    fn start(ttl: &str) -> Cloakroom {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (directory, scenario) = placed("coat-check", |text| {
            assert!(text.contains("ttl: 30s"), "the example has changed");
            let text = text.replace("127.0.0.1:10001", &address).replace("ttl: 30s", &format!("ttl: {ttl}"));
            text.replace("reconnect_wait: 250ms", "reconnect_wait: 5ms")
        });
        let (rack, terminals) = run(&scenario, directory.path());
        let host = Line::over(listener.accept().unwrap().0);
        let mut room = Cloakroom { rack, terminals, host, listener, scenario, directory };
        room.rack.wait_until_connected(&["host"]);
        room
    }

    fn is_killed_and_started_again(&mut self) {
        self.rack.signal("KILL");
        self.starts_again();
    }

    fn is_stopped_and_started_again(&mut self) {
        self.rack.end_input();
        self.starts_again();
    }

    fn starts_again(&mut self) {
        self.rack.wait();
        (self.rack, self.terminals) = run(&self.scenario, self.directory.path());
        self.host = Line::over(self.listener.accept().unwrap().0);
        self.rack.wait_until_connected(&["host"]);
    }

    fn message_of(&mut self, gear: &str) -> Json {
        self.rack.wait_for(|line| {
            let event: Json = serde_json::from_str(line).ok()?;
            (event["gear"] == gear && event["message"] == "message").then_some(event)
        })
    }
}

fn run(scenario: &Path, directory: &Path) -> (Running, String) {
    let state = directory.join("state");
    Running::rack_with(scenario, "info", &["--state-dir", state.to_str().unwrap()])
}

fn without_card(mut message: Json) -> Json {
    message["fields"].as_object_mut().unwrap().remove("2");
    message
}

#[test]
fn the_host_sees_no_card_number_and_the_terminal_has_it_back() {
    let mut room = Cloakroom::start("60s");
    let [mut first, mut second] = [Line::connect(&room.terminals), Line::connect(&room.terminals)];
    first.say(&request("000001"));
    room.host.hears(&without_card(request("000001")));
    second.say(&request("000002"));
    room.host.hears(&without_card(request("000002")));
    for trace in ["000002", "000001"] {
        room.host.say(&without_card(answer(trace)));
    }
    second.hears(&answer("000002"));
    first.hears(&answer("000001"));
    // The same answer again finds nothing to put on.
    room.host.say(&without_card(answer("000001")));
    let refused = room.message_of("refused");
    assert!(
        refused["fields"].as_str().unwrap().starts_with("meta.error.gear=coats meta.error.reason=no_coat")
    );
    assert!(!room.rack.printed.contains(CARD));
}

#[test]
fn a_request_left_open_by_a_killed_rack_is_told_of_once_by_the_next() {
    let mut room = Cloakroom::start("3s");
    let mut terminal = Line::connect(&room.terminals);
    for trace in ["000001", "000002"] {
        terminal.say(&request(trace));
        room.host.hears(&without_card(request(trace)));
    }
    room.host.say(&without_card(answer("000002")));
    terminal.hears(&answer("000002"));
    room.is_killed_and_started_again();
    let told = room.message_of("unanswered");
    assert!(
        told["fields"].as_str().unwrap().starts_with("meta.event.type=flux.event.timeout meta.conn.id=term:")
    );
    room.is_stopped_and_started_again();
    let mut terminal = Line::connect(&room.terminals);
    terminal.say(&request("000003"));
    room.host.hears(&without_card(request("000003")));
    room.rack.end_input();
    room.rack.wait();
    assert!(!room.rack.printed.contains("flux.event.timeout"), "{}", room.rack.printed);
}

#[test]
fn nothing_plain_is_on_disk() {
    let mut room = Cloakroom::start("60s");
    let mut terminal = Line::connect(&room.terminals);
    terminal.say(&request("000001"));
    room.host.hears(&without_card(request("000001")));
    let table = room.directory.path().join("state/tables/coats/coats");
    let files: Vec<_> = fs::read_dir(table).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        let bytes = fs::read(&file).unwrap();
        for plain in [CARD, "TERM0001", "term:"] {
            assert!(!bytes.windows(plain.len()).any(|part| part == plain.as_bytes()), "{plain} in {file:?}");
        }
    }
}
