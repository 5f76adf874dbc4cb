//! What a rack lives on runs short: it says so, goes on, and is well again by itself when there is enough.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use flux_scenario::{edition::Edition, passport::Passport, signed::Signed};
use serde_json::Value as Json;

use crate::{
    alone::Ground,
    peers::is_possible,
    process::{PATIENCE, Running, last_json},
};

/// Time between two looks at the alarms.
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn scenario(interval: &str) -> String {
    format!(
        "meta: {{name: t, version: v1.0.0}}\ngears:\n  - {{name: src, type: generate, config: {{interval: {interval}}}}}\n  \
         - {{name: end, type: 'null'}}\nwires:\n  - {{from: src.out, to: end.in}}\n"
    )
}

/// A file system of its own, in memory, of a few megabytes; unmounted when dropped.
struct SmallDisk<'a>(&'a Path);

impl SmallDisk<'_> {
    /// `None` where we may not mount.
    fn mount(at: &Path) -> Option<SmallDisk<'_>> {
        fs::create_dir_all(at).unwrap();
        let mut mount = assert_cmd::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"]).arg(at);
        is_possible("mount of a tmpfs (needs root)", mount).then_some(SmallDisk(at))
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

/// Waits until these, and no others, are the alarms.
fn wait_for_alarms(ground: &Ground, wanted: &[&str]) {
    let mut looks = 0;
    loop {
        let status = ground.status();
        let alarms: Vec<&str> = status["alarms"]
            .as_array()
            .unwrap()
            .iter()
            .map(|alarm| alarm["alarm"].as_str().unwrap())
            .collect();
        if alarms == wanted {
            return;
        }
        looks += 1;
        assert!(LOOK_EVERY * looks < PATIENCE, "{alarms:?} and not {wanted:?}: {status}");
        thread::sleep(LOOK_EVERY);
    }
}

fn kept_number(ground: &Ground) -> Option<u64> {
    let verified = crate::process::ended(&["passport", "verify", "--json", "--state-dir", &ground.state], "");
    last_json(&verified.stdout)["number"].as_u64()
}

fn outcome(ground: &Ground) -> Json {
    last_json(&ground.ask("reload", &[]).stdout)["outcome"].take()
}

#[test]
fn on_a_full_disk_a_rack_reloads_and_keeps_it_once_there_is_room() {
    let ground = Ground::new(&scenario("1h"));
    let Some(disk) = SmallDisk::mount(Path::new(&ground.state)) else { return };
    let rack = ground.rack(&[]);
    wait_for_alarms(&ground, &[]);
    let filler = disk.0.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    wait_for_alarms(&ground, &["disk_full"]);
    fs::write(&ground.scenario, scenario("2h")).unwrap();
    assert_eq!(outcome(&ground), "reloaded");
    wait_for_alarms(&ground, &["disk_full", "last_good"]);
    assert_eq!(kept_number(&ground), Some(1), "what was kept before stands");
    fs::remove_file(filler).unwrap();
    drop(file);
    wait_for_alarms(&ground, &[]);
    assert_eq!(kept_number(&ground), Some(2));
    drop(rack);
}

#[test]
fn on_a_disk_that_is_only_read_a_rack_starts_with_what_ran_last() {
    let ground = Ground::new(&scenario("1h"));
    let Some(disk) = SmallDisk::mount(Path::new(&ground.state)) else { return };
    drop(ground.rack(&[]));
    disk.remount("ro");
    let words = ["--log-format", "json", "run", "--until-stdin-ends", "--state-dir", &ground.state];
    let mut rack = Running::start(&words);
    rack.wait_for(|line| line.contains("\"control_socket\"").then_some(()));
    rack.wait_for(|line| line.contains("\"disk_unwritable\"").then_some(()));
    disk.remount("rw");
    rack.wait_for(|line| (line.contains("alarm is over") && line.contains("control_socket")).then_some(()));
    wait_for_alarms(&ground, &[]);
    rack.signal("TERM");
    assert_eq!(rack.wait().code(), Some(0), "{}", rack.printed);
}

#[test]
fn without_descriptors_those_who_are_connected_are_served_and_others_when_there_are_some() {
    let text = "meta: {name: t, version: v1.0.0}\ngears:\n  - {name: line, type: io_tcp, config: {mode: server, bind: \
                '127.0.0.1:0', delimiter_append: true}}\nwires:\n  - {from: line.out, to: line.in}\n";
    let ground = Ground::new(text);
    let run = format!(
        "ulimit -n 48; exec '{}' --log-format json run '{}' --state-dir '{}' --until-stdin-ends",
        env!("CARGO_BIN_EXE_fluxrig"),
        ground.scenario,
        ground.state
    );
    let mut rack = Running::start_program(Path::new("/bin/sh"), &["-c", &run]);
    let address = rack.wait_until_listening("line");
    let connect = || {
        let stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        BufReader::new(stream)
    };
    let echo = |stream: &mut BufReader<TcpStream>| {
        stream.get_mut().write_all(b"hello\n").unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert_eq!(line, "hello\n");
    };
    let mut first = connect();
    echo(&mut first);
    // The kernel takes them in; the rack cannot.
    let mut crowd: Vec<_> = (0..100).map(|_| connect()).collect();
    rack.wait_for(|line| (line.contains("\"alarm\"") && line.contains("\"descriptors\"")).then_some(()));
    echo(&mut first);
    let mut last = crowd.pop().unwrap();
    drop(crowd);
    echo(&mut last);
    echo(&mut first);
    rack.wait_for(|line| (line.contains("alarm is over") && line.contains("\"descriptors\"")).then_some(()));
    wait_for_alarms(&ground, &[]);
    rack.end_input();
    assert!(rack.wait().code().is_some(), "{}", rack.printed);
}

#[test]
fn a_clock_before_what_was_kept_last_is_told_and_stops_nothing() {
    let ground = Ground::new(&scenario("1h"));
    drop(ground.rack(&[]));
    let passport = Passport::parse(&fs::read_to_string(ground.in_state("rack.flux")).unwrap()).unwrap();
    let file = ground.in_state("scenario.flux");
    let edition = Edition::verify(&fs::read(&file).unwrap(), &passport.public_key()).unwrap();
    let in_an_hour = Edition { saved_unix_ms: edition.saved_unix_ms + 3_600_000, ..edition };
    fs::write(&file, in_an_hour.sign(&passport)).unwrap();
    let _rack = ground.rack(&[]);
    wait_for_alarms(&ground, &["clock"]);
    fs::write(&ground.scenario, scenario("2h")).unwrap();
    assert_eq!((outcome(&ground), kept_number(&ground)), ("reloaded".into(), Some(2)));
}

/// A till with a durable wire to a ledger that never confirms.
fn waiting(ledger: SocketAddr) -> String {
    format!(
        "meta: {{name: t, version: v1.0.0}}
gears:
  - {{name: till, type: io_tcp, config: {{mode: server, bind: '127.0.0.1:0', acknowledge: ok, delimiter_append: true}}}}
  - {{name: ledger, type: io_tcp, config: {{mode: client, connect: '{ledger}', await_acknowledgement: true}}}}
wires:
  - {{id: bookings, from: till.out, to: ledger.in, lane: durable}}
"
    )
}

#[test]
fn a_journal_that_is_found_damaged_while_it_is_read_is_told_until_the_file_is_well() {
    const MESSAGES: usize = 600;
    let ledger = TcpListener::bind("127.0.0.1:0").unwrap();
    let ground = Ground::new(&waiting(ledger.local_addr().unwrap()));
    fs::write(ground.settings(), "[store]\nsegment_bytes = \"64KiB\"\n").unwrap();
    let settings = ground.settings();
    let words = ["--log-format", "json", "run", &ground.scenario, "--config", &settings, "--state-dir"];
    let mut rack = Running::start(&[&words[..], &[&ground.state]].concat());
    let till = TcpStream::connect(rack.wait_until_listening("till")).unwrap();
    let line = [&[b'x'; 300][..], b"\n"].concat();
    (&till).write_all(&line.repeat(MESSAGES)).unwrap();
    let safe = BufReader::new(&till).lines().take(MESSAGES).filter(|line| line.as_ref().unwrap() == "ok");
    assert_eq!(safe.count(), MESSAGES);
    rack.signal("KILL");
    rack.wait();
    // A sealed segment: it is not read before its records are.
    let directory = ground.in_state("wires/bookings");
    let file = directory.join("0000000000000001.journal");
    let whole = fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damaged[20_000] ^= 1;
    fs::write(&file, damaged).unwrap();
    let _rack = ground.rack(&["--config", &settings]);
    wait_for_alarms(&ground, &["journal"]);
    let status = ground.status();
    let why = status["alarms"][0]["why"].as_str().unwrap();
    let repair = format!("`fluxrig journal repair {}`", directory.display());
    assert!(why.starts_with("bookings: ") && why.contains(&file.display().to_string()), "{why}");
    assert!(why.contains(" is damaged at offset ") && why.contains(&repair), "{why}");
    assert_eq!(status["wires"][0]["durable"]["unsettled"], MESSAGES);
    fs::write(&file, whole).unwrap();
    wait_for_alarms(&ground, &[]);
}

#[test]
fn memory_that_is_nearly_used_up_is_told() {
    let mut probe = assert_cmd::Command::new("prlimit");
    probe.arg("--version");
    if !is_possible("prlimit", probe) {
        return;
    }
    let ground = Ground::new(&scenario("1h"));
    let rack = ground.rack(&[]);
    wait_for_alarms(&ground, &[]);
    let bound_address_space = |limit: &str| {
        let words = [format!("--as={limit}:"), format!("--pid={}", rack.id())];
        assert!(Command::new("prlimit").args(words).status().unwrap().success());
    };
    let statm = fs::read_to_string(format!("/proc/{}/statm", rack.id())).unwrap();
    let bytes = statm.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096;
    bound_address_space(&(bytes * 100 / 97).to_string());
    wait_for_alarms(&ground, &["memory"]);
    bound_address_space("unlimited");
    wait_for_alarms(&ground, &[]);
}
