//! A peer that is away for longer than anything is tried: what was accepted for it waits on disk, through a kill, a drain and
//! a reload, and arrives in order, once, when it is back.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use serde_json::{Value as Json, json};

use crate::{
    alone::Ground,
    process::{Running, last_json},
};

fn scenario(ledger: &str) -> String {
    format!(
        "meta: {{name: t, version: v1.0.0}}
gears:
  - {{name: till, type: io_tcp, config: {{mode: server, bind: '127.0.0.1:0'}}}}
  - {{name: seen, type: log, config: {{level: debug, pass: out}}}}
  - {{name: ledger, type: io_tcp, config: {{mode: client, connect: '{ledger}', delimiter_append: true, reconnect_wait: 20ms, reconnect_wait_max: 50ms}}}}
  - {{name: end, type: 'null'}}
wires:
  - {{id: bookings, from: till.out, to: seen.in, lane: durable}}
  - {{from: seen.out, to: ledger.in}}
  - {{from: ledger.out, to: end.in}}
"
    )
}

/// No test waits for ever.
const LOOKS_MAX: usize = 2_000;

struct Line {
    ground: Ground,
    rack: Running,
    till: String,
}

impl Line {
    fn start(ground: Ground) -> Line {
        let (settings, state) = (ground.settings(), ground.state.clone());
        let words =
            ["run", &ground.scenario, "--until-stdin-ends", "--state-dir", &state, "--config", &settings];
        let mut rack = Running::start(&[&["--log-format", "json"], &words[..]].concat());
        let till = rack.wait_until_listening("till");
        rack.wait_for(|line| line.contains("\"rack is up\"").then_some(()));
        Line { ground, rack, till }
    }

    fn send(&self, numbers: std::ops::Range<u32>) {
        let mut till = TcpStream::connect(&self.till).unwrap();
        let lines: String = numbers.map(|n| format!("{n}\n")).collect();
        till.write_all(lines.as_bytes()).unwrap();
        // Whoever closes at once may take back what was not read.
        self.until(|status| unsettled(status) > 0);
    }

    fn until(&self, is_so: impl Fn(&Json) -> bool) -> Json {
        for _ in 0..LOOKS_MAX {
            let status = self.ground.status();
            if is_so(&status) {
                return status;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("it takes too long: {:#}", self.ground.status());
    }

    /// So many messages are safe on disk, and the ledger has been tried for longer than a message of a hot wire is.
    fn until_it_waits(&self, messages: u64) -> Json {
        self.until(|status| {
            let waiting = &ledger(status)["waiting"];
            unsettled(status) == messages && waiting["is_long"] == true
        })
    }
}

fn unsettled(status: &Json) -> u64 {
    status["wires"][0]["durable"]["unsettled"].as_u64().unwrap()
}

fn ledger(status: &Json) -> &Json {
    &status["gears"][2]
}

/// A wire that holds messages for a peer who is away goes only if that is said.
#[test]
fn a_wire_that_holds_messages_is_taken_out_only_to_be_left_and_is_told_of() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let scenario = |wires: &str| {
        format!(
            "meta: {{name: t, version: v1.0.0}}
gears:
  - {{name: src, type: generate, config: {{interval: 1ms, count: 5, payload: x}}}}
  - {{name: ledger, type: io_tcp, config: {{mode: client, connect: '{nobody}'}}}}
  - {{name: end, type: 'null'}}
wires:
{wires}  - {{from: ledger.out, to: end.in}}
"
        )
    };
    let ground = Ground::new(&scenario("  - {id: bookings, from: src.out, to: ledger.in, lane: durable}\n"));
    fs::write(ground.settings(), "[rack]\nprocess_timeout = '50ms'\n").unwrap();
    let rack = ground.rack(&["--config", &ground.settings()]);
    let line = Line { ground, rack, till: String::new() };
    line.until(|status| unsettled(status) == 5);
    fs::write(&line.ground.scenario, scenario("  - {from: src.out, to: end.in}\n")).unwrap();
    let reload = |words: &[&str]| {
        let ended = line.ground.ask("reload", words);
        (ended.code, last_json(&ended.stdout))
    };
    let (code, planned) = reload(&["--dry-run"]);
    assert_eq!((code, &planned["held"]), (Some(0), &json!([{"name": "bookings", "messages": 5}])));
    let (code, refused) = reload(&[]);
    assert_eq!((code, &refused["outcome"]), (Some(1), &json!("refused")));
    assert!(
        refused["why"].as_str().unwrap().contains("`bookings` would go, and 5 messages wait on it"),
        "{refused}"
    );
    let (code, left) = reload(&["--leave"]);
    assert_eq!((code, &left["outcome"]), (Some(0), &json!("reloaded")));
    let status = line.until(|status| status["alarms"].as_array().is_some_and(|alarms| !alarms.is_empty()));
    assert_eq!(status["left_on_disk"], json!([{"name": "bookings", "messages": 5}]));
    assert_eq!(status["alarms"][0]["alarm"], "left_on_disk");
}

#[test]
fn what_was_accepted_while_the_peer_was_away_arrives_in_order_once_when_it_is_back() {
    let address = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (former, address) = (address(), address());
    let ground = Ground::new(&scenario(&former));
    fs::write(ground.settings(), "[rack.retry]\nattempts = 2\nbackoff = '1ms'\nbackoff_max = '5ms'\n")
        .unwrap();

    let mut line = Line::start(ground);
    line.send(0..500);
    let status = line.until_it_waits(500);
    let waiting = &ledger(&status)["waiting"];
    assert_eq!(waiting["why"], format!("{former} is not connected"));
    assert_eq!(waiting["wire"], "bookings");
    let status = line.until(|status| status["alarms"] != Json::Array(Vec::new()));
    assert_eq!(status["alarms"][0]["alarm"], "waiting");
    line.rack.signal("KILL");
    line.rack.wait();

    let mut line = Line::start(line.ground);
    line.send(500..1000);
    line.until_it_waits(1000);
    line.rack.end_input();
    assert_eq!(line.rack.wait().code(), Some(0), "{}", line.rack.printed);
    assert!(line.rack.printed.contains("1000 messages on bookings"), "{}", line.rack.printed);
    assert_eq!(line.rack.printed.matches("a gear waits for the world").count(), 1, "{}", line.rack.printed);

    let mut line = Line::start(line.ground);
    line.until_it_waits(1000);
    // It has another address now.
    fs::write(&line.ground.scenario, scenario(&address)).unwrap();
    let reload = line.ground.ask("reload", &[]);
    assert_eq!(reload.code, Some(0), "{}{}", reload.stdout, reload.stderr);
    line.until_it_waits(1000);
    line.send(1000..1500);
    let ledger = TcpListener::bind(&address).unwrap();
    let (connection, _) = ledger.accept().unwrap();
    let lines = BufReader::new(connection).lines().take(1500);
    let numbers: Vec<u32> = lines.map(|line| line.unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (0..1500).collect::<Vec<_>>());
    let status = line.until(|status| unsettled(status) == 0 && status["alarms"] == Json::Array(Vec::new()));
    assert_eq!(status["dead_letters"], 0);
    assert_eq!(status["wires"][0]["durable"]["redelivered"], 0);
    line.rack.end_input();
    assert_eq!(line.rack.wait().code(), Some(0), "{}", line.rack.printed);
}
