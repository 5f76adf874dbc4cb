//! Sessions live through reloads: none closes, and each gets back what it sends, once and in order.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value as Json;

use crate::alone::Ground;

/// A server that sends back what it gets, through `between`.
pub(crate) fn scenario(server: &str, between: &[&str]) -> String {
    let mut gears = format!(
        "  - {{name: line, type: io_tcp, config: {{mode: server, bind: '127.0.0.1:0', delimiter_append: true{server}}}}}\n"
    );
    let (mut wires, mut from) = (String::new(), "line");
    for gear in between {
        let name = gear.split(',').next().unwrap();
        gears += &format!("  - {{name: {gear}}}\n");
        wires += &format!("  - {{from: {from}.out, to: {name}.in}}\n");
        from = name;
    }
    format!(
        "meta: {{name: echo, version: v1.0.0}}\ngears:\n{gears}wires:\n{wires}  - {{from: {from}.out, to: line.in}}\n"
    )
}

/// Sends numbered lines, some ahead of what came back, until told to stop; returns how many made the round.
pub(crate) fn session(address: &str, stop: &AtomicBool, rounds: &AtomicU64) -> u64 {
    const AHEAD: u64 = 32;
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
    let (mut sent, mut received) = (0, 0);
    while received < sent || !stop.load(Ordering::Relaxed) {
        while sent < received + AHEAD && !stop.load(Ordering::Relaxed) {
            writeln!(socket, "{sent}").unwrap();
            sent += 1;
        }
        let line = lines.next().expect("the session goes on").unwrap();
        assert_eq!(line, received.to_string());
        received += 1;
        rounds.fetch_add(1, Ordering::Relaxed);
    }
    received
}

#[test]
fn sessions_go_on_through_versions_of_everything_and_lose_nothing() {
    let versions = [
        scenario("", &[]),
        scenario("", &["tap, type: log, config: {level: debug, pass: out}"]),
        scenario(", idle_timeout: 50s", &["tap, type: log, config: {level: debug, pass: out}"]),
        scenario(
            ", idle_timeout: 40s, max_connections: 100",
            &[
                "tap, type: log, config: {level: trace, pass: out}",
                "more, type: log, config: {level: trace, pass: out}",
            ],
        ),
        scenario("", &["more, type: log, config: {level: debug, pass: out}"]),
    ];
    let ground = Ground::new(&versions[0]);
    let mut rack = ground.rack(&[]);
    let listening = rack.printed.lines().find(|line| line.contains("\"listening\"")).unwrap();
    let address = serde_json::from_str::<Json>(listening).unwrap()["addr"].as_str().unwrap().to_owned();
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let sessions: Vec<_> = (0..8)
        .map(|_| {
            let (address, stop, rounds) = (address.clone(), stop.clone(), rounds.clone());
            thread::spawn(move || session(&address, &stop, &rounds))
        })
        .collect();
    for version in versions.iter().cycle().skip(1).take(3 * versions.len()) {
        let before = rounds.load(Ordering::Relaxed);
        std::fs::write(&ground.scenario, version).unwrap();
        let ended = ground.ask("reload", &[]);
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
        while rounds.load(Ordering::Relaxed) < before + 500 {
            assert!(!sessions.iter().any(thread::JoinHandle::is_finished), "a session ended");
            thread::sleep(Duration::from_millis(1));
        }
    }
    // A new one is accepted by the settings of now, at the same address.
    let late = AtomicBool::new(true);
    assert_eq!(session(&address, &late, &AtomicU64::new(0)), 0);
    stop.store(true, Ordering::Relaxed);
    let total: u64 = sessions.into_iter().map(|session| session.join().unwrap()).sum();
    assert_eq!(total, rounds.load(Ordering::Relaxed));
    rack.signal("TERM");
    assert_eq!(rack.wait().code(), Some(0), "{}", rack.printed);
}

#[test]
fn a_server_whose_frames_change_shape_keeps_its_port_and_ends_who_speaks_the_old_way() {
    let one = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = one.local_addr().unwrap().port();
    drop(one);
    let version = |options: &str| scenario(options, &[]).replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let ground = Ground::new(&version(""));
    let mut rack = ground.rack(&[]);
    let address = format!("127.0.0.1:{port}");
    let echo = |socket: &mut TcpStream, sent: &[u8], expected: &[u8]| {
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.write_all(sent).unwrap();
        let mut got = vec![0; expected.len()];
        socket.read_exact(&mut got).unwrap();
        assert_eq!(got, expected);
    };
    let mut old = TcpStream::connect(&address).unwrap();
    echo(&mut old, b"a\n", b"a\n");
    for (options, frame) in [(", delimiter: '|'", b"b|"), (", framing: length_prefix2", b"\0\0")] {
        std::fs::write(&ground.scenario, version(options)).unwrap();
        let ended = ground.ask("reload", &[]);
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
        echo(&mut TcpStream::connect(&address).unwrap(), frame, frame);
    }
    assert_eq!(old.read(&mut [0; 8]).unwrap(), 0);
    // The same port of every address: both cannot be open at once.
    std::fs::write(&ground.scenario, version("").replace("127.0.0.1", "")).unwrap();
    let ended = ground.ask("reload", &[]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    echo(&mut TcpStream::connect(&address).unwrap(), b"c\n", b"c\n");
    rack.signal("TERM");
    assert_eq!(rack.wait().code(), Some(0), "{}", rack.printed);
}
