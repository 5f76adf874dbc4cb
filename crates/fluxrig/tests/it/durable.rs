//! Durable wires and dead letters in a process: killed in the middle, started again, asked, changed.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::Value as Json;

use crate::{
    alone::Ground,
    process::{PATIENCE, Running, last_json},
};

/// A server, a durable wire, a client of `address`.
fn scenario(address: &str) -> String {
    format!(
        "meta: {{name: t, version: v1.0.0}}
gears:
  - {{name: till, type: io_tcp, config: {{mode: server, bind: '127.0.0.1:0'}}}}
  - {{name: hold, type: log}}
  - {{name: ledger, type: io_tcp, config: {{mode: client, connect: '{address}', delimiter_append: true, reconnect_wait: 20ms, reconnect_wait_max: 50ms}}}}
wires:
  - {{id: bookings, from: till.out, to: ledger.in, lane: durable}}
  - {{from: ledger.out, to: hold.in}}
"
    )
}

/// Everything that arrives in lines, by any connection.
pub(crate) fn ledger() -> (String, mpsc::Receiver<u32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(connection.unwrap()).lines() {
                    let Ok(line) = line else { return };
                    if sender.send(line.parse().unwrap()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, lines)
}

fn accepted(status: &Json) -> u64 {
    status["wires"][0]["durable"]["accepted"].as_u64().unwrap()
}

fn rack(ground: &Ground) -> (Running, String) {
    let mut rack = Running::start(&[
        "--log-format",
        "json",
        "run",
        &ground.scenario,
        "--until-stdin-ends",
        "--state-dir",
        &ground.state,
    ]);
    let address = rack.wait_until_listening("till");
    rack.wait_until_connected(&["ledger"]);
    // Nobody can ask it before.
    if !rack.printed.contains("\"rack is up\"") {
        rack.wait_for(|line| line.contains("\"rack is up\"").then_some(()));
    }
    (rack, address)
}

#[test]
fn what_is_safe_when_the_process_is_killed_arrives_after_the_next_start() {
    let (ledger, arrived) = ledger();
    let ground = Ground::new(&scenario(&ledger));
    let mut seen = Vec::new();
    let (mut sent, mut safe) = (0_u32, Vec::new());
    for _ in 0..3 {
        let (mut rack, till) = rack(&ground);
        let mut till = TcpStream::connect(till).unwrap();
        for _ in 0..40 {
            let batch: String = (sent..sent + 50).map(|n| format!("{n}\n")).collect();
            till.write_all(batch.as_bytes()).unwrap();
            sent += 50;
        }
        // Killed while some are under way.
        seen.push(arrived.recv_timeout(PATIENCE).unwrap());
        safe.push(accepted(&ground.status()));
        rack.signal("KILL");
        rack.wait();
        drop(till);
    }
    let (mut rack, _) = rack(&ground);
    while ground.status()["wires"][0]["durable"]["unsettled"] != 0 {
        thread::sleep(Duration::from_millis(20));
    }
    rack.end_input();
    assert_eq!(rack.wait().code(), Some(0), "{}", rack.printed);
    while let Ok(number) = arrived.recv_timeout(Duration::from_millis(300)) {
        seen.push(number);
    }
    let firsts: Vec<u32> = {
        let mut before = BTreeSet::new();
        seen.iter().copied().filter(|number| before.insert(*number)).collect()
    };
    assert!(firsts.is_sorted(), "out of order");
    // In each life the numbers that arrived are without a hole from its first one on.
    for (life, safe) in [0..2000, 2000..4000, 4000..6000].into_iter().zip(safe) {
        let of_it: Vec<u32> = firsts.iter().copied().filter(|number| life.contains(number)).collect();
        let want: Vec<u32> = (life.start..life.start + u32::try_from(of_it.len()).unwrap()).collect();
        assert_eq!(of_it, want, "a hole");
        assert!(of_it.len() as u64 >= safe && safe > 0, "{} of {safe} that were taken arrived", of_it.len());
    }
}

#[test]
fn a_drain_leaves_what_is_safe_on_disk_and_says_so() {
    let (ledger, _arrived) = ledger();
    let ground = Ground::new(&scenario(&ledger));
    let (mut rack, _) = rack(&ground);
    let status = ground.status();
    assert_eq!(status["wires"][0]["durable"]["ack"], "disk");
    assert!(fs::exists(ground.in_state("wires/bookings")).unwrap());
    rack.end_input();
    assert_eq!(rack.wait().code(), Some(0), "{}", rack.printed);
}

/// Requests that no spec can read, in a rack that keeps its letters.
fn with_letters() -> (Ground, Running) {
    let text = "meta: {name: t, version: v1.0.0}
gears:
  - {name: src, type: generate, config: {interval: 1ms, count: 5, payload: '4111111111111111'}}
  - {name: dec, type: codec_iso8583, config: {direction: decode, spec: iso87ascii}}
  - {name: end, type: 'null'}
wires:
  - {from: src.out, to: dec.in}
  - {from: dec.out, to: end.in}
";
    let ground = Ground::new(text);
    fs::write(ground.settings(), "[store]\nsegment_bytes = '1MiB'\nbytes_max = '8MiB'\n").unwrap();
    let rack = ground.rack(&["--config", &ground.settings()]);
    while ground.status()["dead_letters"].as_u64().unwrap() < 5 {
        thread::sleep(Duration::from_millis(10));
    }
    (ground, rack)
}

#[test]
fn dead_letters_are_listed_shown_replayed_and_dropped_beside_a_rack_and_without_one() {
    let (ground, mut rack) = with_letters();
    let dlq = |words: &[&str]| {
        let mut all = vec!["dlq", words[0], "--state-dir", &ground.state];
        all.extend(&words[1..]);
        crate::process::ended(&all, "")
    };
    let total = || last_json(&dlq(&["list", "--json"]).stdout)["total"].as_u64().unwrap();
    let listed =
        last_json(&dlq(&["list", "--json", "--gear", "dec", "--since", "1h", "--limit", "2"]).stdout);
    assert_eq!((listed["matching"].as_u64(), listed["letters"].as_array().unwrap().len()), (Some(5), 2));
    let letter = &listed["letters"][0];
    assert_eq!(
        (letter["gear"].as_str(), letter["port"].as_str(), letter["attempts"].as_u64()),
        (Some("dec"), Some("in"), Some(1))
    );
    let id = letter["id"].as_str().unwrap().to_owned();

    let masked = dlq(&["show", "--id", &id]).stdout
        + &dlq(&["show", "--id", &id, "--json"]).stdout
        + &dlq(&["list"]).stdout;
    assert!(
        masked.contains("masked") && !masked.contains("4111") && !masked.contains("34313131"),
        "{masked}"
    );
    assert!(dlq(&["show", "--id", &id, "--unmasked"]).stdout.contains("34313131"));

    // It fails again, and is one letter still.
    let replayed = last_json(&dlq(&["replay", "--id", &id, "--json"]).stdout);
    assert_eq!((replayed["letters"].as_u64(), replayed["when"].as_str()), (Some(1), Some("now")));
    while last_json(&dlq(&["list", "--json", "--id", &id]).stdout)["letters"][0]["attempts"] != 2 {
        thread::sleep(Duration::from_millis(10));
    }
    let refused = dlq(&["drop"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--all"), "{}", refused.stderr);
    assert_eq!(dlq(&["drop", "--all", "--dry-run"]).stdout, "5 letters would be dropped\n");
    assert_eq!(dlq(&["drop", "--id", &id]).stdout, "1 letters dropped\n");
    assert_eq!(total(), 4);

    rack.end_input();
    assert_eq!(rack.wait().code(), Some(0), "they are on disk: {}", rack.printed);
    assert_eq!(dlq(&["drop", "--all", "--limit", "2"]).stdout, "2 letters dropped\n");
    assert_eq!(
        dlq(&["replay", "--reason", "nothing"]).stdout,
        "0 letters will be replayed when the rack starts\n"
    );
    assert_eq!(dlq(&["replay", "--all"]).stdout, "2 letters will be replayed when the rack starts\n");
    assert_eq!(total(), 2);
    let mut rack = ground.rack(&["--config", &ground.settings()]);
    assert!(rack.printed.contains("dead letters are replayed"), "{}", rack.printed);
    rack.end_input();
    rack.wait();
    assert_eq!(crate::process::ended(&["dlq", "list", "--state-dir", "/nowhere/at/all"], "").code, Some(2));
}
