//! Each part of a fleet is killed, started again and stopped for a while, under load: what a shop took arrives at the office.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::house::{Process, wait};
use crate::orders::Sites;

/// Bookings that are sent at a time.
const BURST: u32 = 50;
/// How long a part stands still: longer than a bus is waited for.
const STILL: Duration = Duration::from_secs(3);

/// A till that books all the time, and books again what nobody said is safe.
struct Till {
    is_over: Arc<AtomicBool>,
    /// Bookings that were said to be safe.
    safe: Arc<AtomicU32>,
    thread: JoinHandle<u32>,
}

impl Till {
    fn start(port: u16) -> Till {
        let (is_over, safe) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (over, said) = (is_over.clone(), safe.clone());
        let thread = thread::spawn(move || {
            let (mut next, mut kept) = (0, VecDeque::new());
            while !over.load(Ordering::Relaxed) || !kept.is_empty() {
                if kept.is_empty() {
                    kept.extend(next..next + BURST);
                    next += BURST;
                }
                // What is cut off is kept, and booked again on another line.
                let _ = book(port, &mut kept);
                said.store(next - kept.len() as u32, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(10));
            }
            next
        });
        Till { is_over, safe, thread }
    }

    /// Ends it, once all is said to be safe, and returns how many there are.
    fn stop(self) -> u32 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn book(port: u16, kept: &mut VecDeque<u32>) -> std::io::Result<()> {
    let mut line = TcpStream::connect(("127.0.0.1", port))?;
    line.set_read_timeout(Some(Duration::from_secs(10)))?;
    let text: String = kept.iter().map(|number| format!("{number}\n")).collect();
    line.write_all(text.as_bytes())?;
    while !kept.is_empty() {
        let mut answer = [0; 3];
        line.read_exact(&mut answer)?;
        assert_eq!(&answer, b"ok\n");
        kept.pop_front();
    }
    Ok(())
}

/// What has arrived, each once, in the order in which it came first.
#[derive(Default)]
struct Book(parking_lot::Mutex<Vec<u32>>);

impl Book {
    /// Reads one connection after another, for as long as the test runs.
    fn start(sites: &Sites) -> Arc<Book> {
        let (book, ledger) = (Arc::new(Book::default()), sites.ledger.try_clone().unwrap());
        let kept = book.clone();
        thread::spawn(move || {
            for line in ledger.incoming() {
                let kept = kept.clone();
                thread::spawn(move || {
                    for number in BufReader::new(line.unwrap()).lines().map_while(Result::ok) {
                        let (number, mut kept) = (number.parse().unwrap(), kept.0.lock());
                        // They come in order, so what is not above the last came before.
                        if kept.last().is_none_or(|last| number > *last) {
                            kept.push(number);
                        }
                    }
                });
            }
        });
        book
    }

    fn last(&self) -> u32 {
        self.0.lock().last().copied().unwrap_or(0)
    }
}

struct Parts {
    sites: Sites,
    office: Process,
    shop: Process,
    till: Till,
    book: Arc<Book>,
}

impl Parts {
    fn start() -> Option<Parts> {
        let sites = Sites::start()?;
        sites.house.enrol_with("office", "kind=office");
        sites.house.enrol_with("shop", "kind=shop");
        let (office, shop) = (sites.house.run("office"), sites.house.run("shop"));
        sites.synced(&[&office, &shop]);
        let (till, book) = (Till::start(sites.tills), Book::start(&sites));
        Some(Parts { sites, office, shop, till, book })
    }

    /// The process of the server, which the Mixer started.
    fn server(&mut self) -> Pid {
        let mixer = self.sites.house.mixer().pid();
        let found = || {
            let tasks = fs::read_dir(format!("/proc/{mixer}/task")).unwrap();
            let children =
                tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("children")).ok());
            let all: String = children.collect();
            Pid::from_raw(all.split_whitespace().next()?.parse().ok()?)
        };
        wait(found, || "the Mixer has no server".into())
    }

    fn pid(process: &Process) -> Pid {
        Pid::from_raw(process.pid().cast_signed()).unwrap()
    }

    /// Waits until something arrives that was not booked before now.
    fn goes_on(&self, after: &str) {
        let safe = self.till.safe.load(Ordering::Relaxed);
        wait(
            || (self.book.last() > safe + 2 * BURST).then_some(()),
            || {
                let booked = self.till.safe.load(Ordering::Relaxed);
                let logs = format!("{}\n{}", self.shop.log(), self.office.log());
                format!("{after}: {safe}, {booked} booked, {} arrived\n{logs}", self.book.last())
            },
        );
    }
}

#[test]
fn whatever_part_is_killed_or_stands_still_nothing_that_was_booked_is_lost() {
    let Some(mut parts) = Parts::start() else { return };
    parts.goes_on("the beginning");
    parts.shop.kill();
    parts.shop = parts.sites.house.run("shop");
    parts.goes_on("the shop was killed");
    parts.office.kill();
    parts.office = parts.sites.house.run("office");
    parts.goes_on("the office was killed");
    parts.sites.house.kill_mixer();
    parts.sites.house.start_mixer();
    parts.goes_on("the Mixer was killed");
    kill_process(parts.server(), Signal::KILL).unwrap();
    parts.goes_on("the server was killed");
    let (server, mixer) = (parts.server(), Parts::pid(parts.sites.house.mixer()));
    for (pid, what) in [
        (server, "the server"),
        (mixer, "the Mixer"),
        (Parts::pid(&parts.shop), "the shop"),
        (Parts::pid(&parts.office), "the office"),
    ] {
        kill_process(pid, Signal::STOP).unwrap();
        thread::sleep(STILL);
        kill_process(pid, Signal::CONT).unwrap();
        parts.goes_on(&format!("{what} stood still"));
    }
    let booked = parts.till.stop();
    wait(
        || (parts.book.last() + 1 == booked).then_some(()),
        || format!("{booked} booked, {} is the last that arrived", parts.book.last()),
    );
    let arrived = parts.book.0.lock();
    let gap = arrived.iter().zip(0..).find(|(number, wanted)| *number != wanted);
    assert!(gap.is_none() && arrived.len() == booked as usize, "{gap:?} of {booked}");
}
