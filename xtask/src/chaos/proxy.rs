//! A network that is no good: it delays what passes, and cuts connections where it likes.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::Random;

/// A connection lives at most so long.
const LONGEST_LIFE_MS: u64 = 400;
/// One chunk in so many is held back, and at most for so long.
const DELAYED_ONE_IN: u64 = 50;
const LONGEST_DELAY_MS: u64 = 40;
/// How often the end of a silent connection is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Passes connections on to a port of this machine, as long as this process lives; where to connect instead of there.
pub(super) fn start(target: u16, seed: u64) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let mut random = Random(seed);
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else { continue };
            let ends_at = Instant::now() + Duration::from_millis(random.below(LONGEST_LIFE_MS));
            for (from, to) in [(&near, &far), (&far, &near)] {
                let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                let random = Random(random.below(u64::MAX));
                thread::spawn(move || pass_on(from, to, ends_at, random));
            }
        }
    });
    Ok(port)
}

/// One direction of a connection, until either side ends or its time has come.
fn pass_on(mut from: TcpStream, mut to: TcpStream, ends_at: Instant, mut random: Random) -> Result<()> {
    from.set_read_timeout(Some(LOOK_EVERY))?;
    let mut chunk = vec![0; 1 << 14];
    while Instant::now() < ends_at {
        let count = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        if random.below(DELAYED_ONE_IN) == 0 {
            thread::sleep(Duration::from_millis(random.below(LONGEST_DELAY_MS)));
        }
        if to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    // What was read and not passed on is gone, as in a network that breaks.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
    Ok(())
}
