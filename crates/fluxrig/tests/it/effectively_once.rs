//! A gear that commits the id of a message with its effect, in a process that is killed again and again.

use std::{fs, io::Write, net::TcpStream, path::PathBuf, thread, time::Duration};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value as Json;

use crate::{alone::Ground, process::Running};

const PAGE: &str = include_str!("../../../../docs/tutorials/effectively-once.md");
const LEDGER: &str = include_str!("../../examples/ledger.rs");

const BOOKINGS: u32 = 3_000;
const KILLS: u32 = 12;

/// What is in the database.
#[derive(Debug, PartialEq)]
struct Account {
    bookings: u32,
    balance: i64,
    again: u32,
}

fn account(path: &str) -> Option<Account> {
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let read = database.query_row("SELECT bookings, balance, again FROM account", [], |row| {
        Ok(Account { bookings: row.get(0)?, balance: row.get(1)?, again: row.get(2)? })
    });
    read.ok()
}

/// What it has of this, once it has.
fn until<T>(what: impl Fn() -> Option<T>) -> T {
    for _ in 0..20_000 {
        if let Some(it) = what() {
            return it;
        }
        thread::sleep(Duration::from_millis(2));
    }
    panic!("it takes too long");
}

fn rack(ground: &Ground) -> (Running, String) {
    let tests = std::env::current_exe().unwrap();
    let ledger: PathBuf = tests.ancestors().nth(2).unwrap().join("examples/ledger");
    let words =
        ["--log-format", "json", "run", &ground.scenario, "--until-stdin-ends", "--state-dir", &ground.state];
    let mut rack = Running::start_program(&ledger, &words);
    let till = rack.wait_until_listening("till");
    rack.wait_for(|line| line.contains("\"rack is up\"").then_some(()));
    (rack, till)
}

fn durable(status: &Json, count: &str) -> u64 {
    status["wires"][0]["durable"][count].as_u64().unwrap()
}

#[test]
fn every_booking_is_in_the_ledger_once_whenever_the_process_is_killed() {
    let scenario = PAGE.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let ground = Ground::new("");
    let database = ground.directory.path().join("ledger.db").to_str().unwrap().to_owned();
    let scenario = scenario.replace("127.0.0.1:9000", "127.0.0.1:0").replace("ledger.db", &database);
    fs::write(&ground.scenario, scenario).unwrap();

    let (mut killed, till) = rack(&ground);
    let lines: String = (0..BOOKINGS).map(|n| format!("{n}\n")).collect();
    let mut till = TcpStream::connect(till).unwrap();
    till.write_all(lines.as_bytes()).unwrap();
    until(|| {
        let status = ground.status();
        let is_safe = durable(&status, "accepted") == u64::from(BOOKINGS);
        let booked = account(&database)?.bookings;
        (is_safe && durable(&status, "unsettled") + u64::from(booked) >= u64::from(BOOKINGS)).then_some(())
    });
    for kill in 1..=KILLS {
        until(|| (account(&database)?.bookings >= kill * BOOKINGS / (KILLS + 2)).then_some(()));
        killed.signal("KILL");
        killed.wait();
        killed = rack(&ground).0;
    }
    until(|| (durable(&ground.status(), "unsettled") == 0).then_some(()));
    killed.end_input();
    assert_eq!(killed.wait().code(), Some(0), "{}", killed.printed);
    let account = account(&database).unwrap();
    let balance = (0..i64::from(BOOKINGS)).sum::<i64>();
    assert_eq!((account.bookings, account.balance), (BOOKINGS, balance), "{account:?}");
    assert!(account.again > 0, "nothing came again: {account:?}");
}

#[test]
fn the_page_shows_the_gear_that_is_tested() {
    let shown = PAGE.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(LEDGER.contains(shown.trim_end()));
}
