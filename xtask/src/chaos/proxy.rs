//! A network that is no good, as a process: it delays what passes, stalls, and ends connections in every way there is.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::Random;

/// A connection lives at most so long.
const LONGEST_LIFE_MS: u64 = 1_000;
/// One chunk in so many is held back, and at most for so long.
const DELAYED_ONE_IN: u64 = 50;
const LONGEST_DELAY_MS: u64 = 40;
/// One chunk in so many is held back for long, with all that is behind it.
const STALLED_ONE_IN: u64 = 500;
const LONGEST_STALL_MS: u64 = 1_500;
/// A connection is half open at most for so long.
const LONGEST_HALF_OPEN_MS: u64 = 2_000;
/// What is left unread before a reset has so long to arrive.
const BEFORE_RESET: Duration = Duration::from_millis(20);
/// How often the end of a silent connection is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Longest wait for whoever is to be connected to.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// How a connection ends. What was read and not passed on is gone, as in a network that breaks.
#[derive(Clone, Copy)]
enum Fate {
    /// Both sides are told.
    Cut,
    /// Both are told, within a frame.
    CutInMidFrame,
    /// Both are told that nobody is there (RST).
    Reset,
    /// The near side, or the far one, is told nothing for a while.
    HalfOpen { is_near_told: bool },
}

/// Both sides of a connection.
struct Pair {
    near: TcpStream,
    far: TcpStream,
    ends_at: Instant,
    fate: Fate,
}

/// Passes connections on, from the first of each two addresses to the second, until standard input ends.
pub(crate) fn run(seed: &str, addresses: &[&str]) -> Result<()> {
    let (pairs, rest) = addresses.as_chunks::<2>();
    ensure!(rest.is_empty(), "an address to listen at has one to connect to");
    let mut random = Random(seed.parse()?);
    for [listen, target] in pairs {
        let (listener, target) = (TcpListener::bind(listen)?, target.parse()?);
        let mut random = random.fork();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let random = random.fork();
                thread::spawn(move || connect(near, target, random));
            }
        });
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn connect(near: TcpStream, target: SocketAddr, mut random: Random) -> Result<()> {
    let far = TcpStream::connect_timeout(&target, CONNECT_TIMEOUT)?;
    let fate = match random.below(5) {
        0 => Fate::Cut,
        1 => Fate::CutInMidFrame,
        2 => Fate::Reset,
        side => Fate::HalfOpen { is_near_told: side == 3 },
    };
    for stream in [&near, &far] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK_EVERY))?;
    }
    let ends_at = Instant::now() + random.millis(LONGEST_LIFE_MS);
    let pair = Arc::new(Pair { near, far, ends_at, fate });
    let (other, back) = (pair.clone(), random.fork());
    thread::spawn(move || pass_on(&other, &other.far, &other.near, back));
    pass_on(&pair, &pair.near, &pair.far, random)
}

/// One direction of a connection, until either side ends or its time has come.
fn pass_on(pair: &Pair, mut from: &TcpStream, mut to: &TcpStream, mut random: Random) -> Result<()> {
    let mut chunk = vec![0; 1 << 14];
    while Instant::now() < pair.ends_at {
        let count = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        if random.below(STALLED_ONE_IN) == 0 {
            thread::sleep(random.millis(LONGEST_STALL_MS));
        } else if random.below(DELAYED_ONE_IN) == 0 {
            thread::sleep(random.millis(LONGEST_DELAY_MS));
        }
        let is_last = Instant::now() >= pair.ends_at && matches!(pair.fate, Fate::CutInMidFrame);
        let passed = if is_last { random.below(count as u64) as usize } else { count };
        if to.write_all(&chunk[..passed]).is_err() {
            break;
        }
    }
    let told = |stream: &TcpStream| drop(stream.shutdown(Shutdown::Both));
    match pair.fate {
        // Whoever ended it first is not told anything that matters.
        Fate::Cut | Fate::CutInMidFrame => {
            told(&pair.near);
            told(&pair.far);
        }
        // A socket that is closed with something unread in it resets its connection.
        Fate::Reset => thread::sleep(BEFORE_RESET),
        Fate::HalfOpen { is_near_told } => {
            told(if is_near_told { &pair.near } else { &pair.far });
            thread::sleep(random.millis(LONGEST_HALF_OPEN_MS));
        }
    }
    Ok(())
}
