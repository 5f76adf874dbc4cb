//! A new process takes over from a running one: no connection ends, nothing is lost, and in vain it changes nothing.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use crate::{
    alone::Ground,
    certificate,
    line::{answer, request},
    peers::has_openssl,
    process::{PATIENCE, Running},
    reload_sessions::{scenario, session},
    switch::Switch,
};

impl Ground {
    /// A rack that takes over from the one that runs here, once it is up.
    fn successor(&self, words: &[&str]) -> Running {
        self.rack(&[&["--take-over"], words].concat())
    }
}

fn ends_well(mut rack: Running) {
    assert_eq!(rack.wait().code(), Some(0), "{}", rack.printed);
    assert!(rack.printed.contains("another process has taken over"), "{}", rack.printed);
}

fn address(rack: &Running) -> String {
    let listening = rack.printed.lines().find(|line| line.contains("\"listening\"")).unwrap();
    serde_json::from_str::<serde_json::Value>(listening).unwrap()["addr"].as_str().unwrap().to_owned()
}

#[test]
fn sessions_go_on_from_process_to_process_and_lose_nothing() {
    let tap = "tap, type: log, config: {level: debug, pass: out}";
    let ground = Ground::new(&scenario("", &[tap]));
    let mut rack = ground.rack(&[]);
    let address = address(&rack);
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let sessions: Vec<_> = (0..8)
        .map(|_| {
            let (address, stop, rounds) = (address.clone(), stop.clone(), rounds.clone());
            thread::spawn(move || session(&address, &stop, &rounds))
        })
        .collect();
    for _ in 0..5 {
        let before = rounds.load(Ordering::Relaxed);
        ends_well(std::mem::replace(&mut rack, ground.successor(&[])));
        assert_eq!(ground.status()["pid"].as_u64(), Some(rack.id().into()));
        while rounds.load(Ordering::Relaxed) < before + 500 {
            assert!(!sessions.iter().any(thread::JoinHandle::is_finished), "a session ended");
            thread::yield_now();
        }
    }
    // Others are let in at the same address, and it can be reloaded as before.
    let late = AtomicBool::new(true);
    assert_eq!(session(&address, &late, &AtomicU64::new(0)), 0);
    fs::write(&ground.scenario, scenario("", &[])).unwrap();
    let reloaded = ground.ask("reload", &[]);
    assert_eq!(reloaded.code, Some(0), "{}{}", reloaded.stdout, reloaded.stderr);
    stop.store(true, Ordering::Relaxed);
    let total: u64 = sessions.into_iter().map(|session| session.join().unwrap()).sum();
    assert_eq!(total, rounds.load(Ordering::Relaxed));
    rack.signal("TERM");
    assert_eq!(rack.wait().code(), Some(0), "{}", rack.printed);
}

#[test]
fn a_proxy_goes_on_with_both_connections_of_each_pair() {
    const PAIRS: usize = 4;
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "meta: {{name: t, version: 1.0.0}}\ngears:\n  - {{name: line, type: io_tcp, config: {{mode: server, bind: \
         '127.0.0.1:0', delimiter_append: true}}}}\n  - {{name: far, type: io_tcp, config: {{mode: client, connect: '{}', \
         connections: per_source, delimiter_append: true}}}}\nwires:\n  - {{from: line.out, to: far.in}}\n  - {{from: \
         far.out, to: line.in}}\n",
        far.local_addr().unwrap()
    );
    let accepted = Arc::new(AtomicU64::new(0));
    thread::spawn({
        let accepted = accepted.clone();
        move || {
            for connection in far.incoming().map(Result::unwrap) {
                accepted.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || std::io::copy(&mut connection.try_clone().unwrap(), &mut &connection));
            }
        }
    });
    let ground = Ground::new(&text);
    let mut rack = ground.rack(&[]);
    let address = address(&rack);
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let sessions: Vec<_> = (0..PAIRS)
        .map(|_| {
            let (address, stop, rounds) = (address.clone(), stop.clone(), rounds.clone());
            thread::spawn(move || session(&address, &stop, &rounds))
        })
        .collect();
    for _ in 0..3 {
        let before = rounds.load(Ordering::Relaxed);
        while rounds.load(Ordering::Relaxed) < before + 500 {
            assert!(!sessions.iter().any(thread::JoinHandle::is_finished), "a session ended");
            thread::yield_now();
        }
        ends_well(std::mem::replace(&mut rack, ground.successor(&[])));
    }
    stop.store(true, Ordering::Relaxed);
    let total: u64 = sessions.into_iter().map(|session| session.join().unwrap()).sum();
    assert_eq!((total, accepted.load(Ordering::Relaxed)), (rounds.load(Ordering::Relaxed), PAIRS as u64));
    drop(rack);
}

#[test]
fn half_a_frame_is_finished_by_the_next_process() {
    let ground = Ground::new(&scenario("", &[]));
    let rack = ground.rack(&[]);
    let mut socket = TcpStream::connect(address(&rack)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
    writeln!(socket, "whole").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "whole");
    write!(socket, "one ha").unwrap();
    let next = ground.successor(&[]);
    ends_well(rack);
    writeln!(socket, "lf\nanother").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "one half");
    assert_eq!(lines.next().unwrap().unwrap(), "another");
    drop(next);
}

#[test]
fn what_is_in_flight_is_answered_by_the_process_that_took_over() {
    for store in ["memory", "local_durable"] {
        let mut switch = Switch::start(&format!("valet: {{default_ttl: 60s, store: {store}}}"));
        let mut terminal = switch.terminal();
        for trace in ["000001", "000002"] {
            terminal.say(&request(trace));
            switch.visa.hears(&request(trace));
        }
        switch.is_taken_over();
        // The first is answered by the same connection to the terminal and from the scheme; the second never came twice.
        switch.visa.say(&answer("000001"));
        terminal.hears(&answer("000001"));
        terminal.say(&request("000003"));
        switch.visa.hears(&request("000003"));
        switch.is_taken_over();
        for trace in ["000003", "000002"] {
            switch.visa.say(&answer(trace));
            terminal.hears(&answer(trace));
        }
        // An outcome that was retained is still known: a repeat is answered here.
        terminal.say(&request("000001"));
        terminal.hears(&answer("000001"));
    }
}

#[test]
fn a_session_of_tls_is_answered_what_it_asked_and_then_closed() {
    if !has_openssl() {
        return;
    }
    let ground = Ground::new("");
    let [certificate, _] = certificate::issue(ground.directory.path());
    let tls = ", tls: {cert_file: own.pem, key_file: own.key}";
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    // What the client asks goes to a far end, and its answer comes back by the connection of the question.
    let text = format!(
        "meta: {{name: t, version: 1.0.0}}\ngears:\n  - {{name: line, type: io_tcp, config: {{mode: server, bind: \
         '127.0.0.1:0', delimiter_append: true{tls}}}}}\n  - {{name: far, type: io_tcp, config: {{mode: client, connect: '{}', \
         connections: per_source, delimiter_append: true}}}}\nwires:\n  - {{from: line.out, to: far.in}}\n  - {{from: \
         far.out, to: line.in}}\n",
        far.local_addr().unwrap()
    );
    fs::write(&ground.scenario, text).unwrap();
    let mut rack = ground.rack(&[]);
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-connect", &address(&rack), "-CAfile"])
        .arg(&certificate)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut answers = BufReader::new(client.stdout.take().unwrap()).lines();
    writeln!(client.stdin.as_mut().unwrap(), "question").unwrap();
    let (mut far_end, _) = far.accept().unwrap();
    let mut questions = BufReader::new(far_end.try_clone().unwrap()).lines();
    assert_eq!(questions.next().unwrap().unwrap(), "question");
    let (rack_ends, next) = thread::scope(|scope| {
        let next = scope.spawn(|| ground.successor(&["--take-over-within", "50s"]));
        // It waits for this answer, however long the far end takes.
        rack.wait_for(|line| line.contains("another process takes over").then_some(()));
        assert!(!next.is_finished());
        writeln!(far_end, "answer").unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), "answer");
        assert!(answers.next().is_none(), "then it is closed");
        (rack, next.join().unwrap())
    });
    ends_well(rack_ends);
    client.wait().unwrap();
    drop(next);
}

#[test]
fn what_waits_on_disk_for_a_peer_that_is_away_is_delivered_by_the_process_that_took_over() {
    const MESSAGES: usize = 50;
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = far.local_addr().unwrap();
    drop(far);
    let ground = Ground::new(&format!(
        "meta: {{name: t, version: 1.0.0}}\ngears:\n  - {{name: line, type: io_tcp, config: {{mode: server, bind: \
         '127.0.0.1:0', acknowledge: ok, delimiter_append: true}}}}\n  - {{name: far, type: io_tcp, config: {{mode: client, \
         connect: '{peer}', delimiter_append: true, reconnect_wait: 5ms, reconnect_wait_max: 20ms}}}}\nwires:\n  - {{from: \
         line.out, to: far.in, lane: durable}}\n"
    ));
    let mut rack = ground.rack(&[]);
    let mut socket = TcpStream::connect(address(&rack)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut acknowledged = BufReader::new(socket.try_clone().unwrap()).lines();
    let mut say = |numbers: std::ops::Range<usize>| {
        for number in numbers {
            writeln!(socket, "{number}").unwrap();
            assert_eq!(acknowledged.next().unwrap().unwrap(), "ok");
        }
    };
    say(0..MESSAGES);
    ends_well(std::mem::replace(&mut rack, ground.successor(&[])));
    // By the same connection, to the new process.
    say(MESSAGES..2 * MESSAGES);
    let far = TcpListener::bind(peer).unwrap();
    let arrived = BufReader::new(far.accept().unwrap().0).lines().take(2 * MESSAGES);
    let expected: Vec<String> = (0..2 * MESSAGES).map(|number| number.to_string()).collect();
    assert_eq!(arrived.map(Result::unwrap).collect::<Vec<_>>(), expected);
}

#[test]
fn who_cannot_take_over_changes_nothing() {
    let ground = Ground::new(&scenario("", &[]));
    let mut rack = ground.rack(&[]);
    let address = address(&rack);
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let client = thread::spawn({
        let (stop, rounds) = (stop.clone(), rounds.clone());
        move || session(&address, &stop, &rounds)
    });
    let goes_on = |rounds: &AtomicU64| {
        let before = rounds.load(Ordering::Relaxed);
        while rounds.load(Ordering::Relaxed) < before + 200 {
            assert!(!client.is_finished(), "the session ended");
            thread::yield_now();
        }
    };
    // One whose further gear cannot listen, started before the one with the session and after it.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = ground.directory.path().join("other.yaml");
    let more = format!(
        "  - {{name: second, type: io_tcp, config: {{mode: server, bind: '{}'}}}}\n",
        taken.local_addr().unwrap()
    );
    for before in ["  - {name: line", "wires:"] {
        let text = scenario("", &[]).replace(before, &format!("{more}{before}"));
        fs::write(&other, text + "  - {from: second.out, to: second.in}\n").unwrap();
        let ended = crate::process::ended(
            &["run", other.to_str().unwrap(), "--state-dir", &ground.state, "--take-over"],
            "",
        );
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("cannot take over; the rack that runs goes on"), "{}", ended.stderr);
        assert!(ended.stderr.contains("Address already in use"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("dead_letter"), "{}", ended.stderr);
        assert_eq!(ground.status()["pid"].as_u64(), Some(rack.id().into()));
        goes_on(&rounds);
    }
    let alarm = ground.status()["alarms"][0]["why"].to_string();
    assert!(alarm.contains("another process could not take over"), "{}", ground.status());
    // One that leaves when it has everything.
    let mut socket = UnixStream::connect(ground.in_state("control.sock")).unwrap();
    socket.write_all(b"{\"command\":\"take_over\",\"within_ms\":1000}\n").unwrap();
    let mut length = [0; 8];
    std::io::Read::read_exact(&mut socket, &mut length).unwrap();
    drop(socket);
    rack.wait_for(|line| line.contains("could not take over; this one goes on").then_some(()));
    goes_on(&rounds);
    // And one that can.
    let next = ground.successor(&[]);
    ends_well(rack);
    goes_on(&rounds);
    stop.store(true, Ordering::Relaxed);
    assert_eq!(client.join().unwrap(), rounds.load(Ordering::Relaxed));
    drop(next);
}

#[test]
fn where_nobody_runs_it_starts_and_without_a_directory_it_says_so() {
    let ground = Ground::new(&scenario("", &[]));
    let mut rack = ground.successor(&[]);
    rack.end_input();
    assert_eq!(rack.wait().code(), Some(0), "{}", rack.printed);
    let ended = crate::process::ended(&["run", &ground.scenario, "--take-over"], "");
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("name it with --state-dir"), "{}", ended.stderr);
}
