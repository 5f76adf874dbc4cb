//! One process takes over from another: sockets, state and the state directory go from hand to hand, and no connection ends.
//!
//! ```text
//! new> {"command":"take_over","within_ms":5000}      on the control socket, which is theirs from here on
//! old  comes to rest, and packs
//! old< length (8 bytes, big endian), manifest        see `manifest.rs`
//! old< descriptors, 64 at most with each byte        the lock of the state directory, then those of the gears
//! new  boots with them
//! new> {"ok":4711}                                   it is up, and this is its process: the old one ends
//! new> {"error":"gear `line`: ..."}                  it is not: the old one goes on with what it packed
//! ```
//! In place of a manifest the old process may say `{"error":".."}`: nothing has changed. A new one that says nothing in time is
//! killed before the old one goes on, so that no two have one socket.

mod manifest;
mod passing;

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail};
use flux_rack::Estate;
use rustix::{
    net::sockopt::socket_peercred,
    process::{Pid, Signal, kill_process},
};
use serde_json::json;

use crate::control::{self, Answer, Request};

/// Time for the new process to boot with what it was given.
const BOOTS_WITHIN: Duration = Duration::from_secs(60);
/// Longest wait for the other side to take what is sent, or to send what comes next.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Time beyond that of sessions for the old process to come to rest.
const RESTS_WITHIN: Duration = Duration::from_secs(30);
/// Longest line said.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// Time for a process that was killed to be gone.
const DIES_WITHIN: Duration = Duration::from_secs(10);

/// The process that wants to take over, as the one sees it that has the rack.
pub(crate) struct Successor(UnixStream);

impl Successor {
    /// The one at the other end.
    ///
    /// # Errors
    /// When the socket cannot be made to wait.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Successor> {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        stream.set_read_timeout(Some(BOOTS_WITHIN))?;
        Ok(Successor(stream))
    }

    /// Says why not.
    pub(crate) fn refuse(mut self, why: &str) {
        // It may have left.
        let _ = writeln!(self.0, "{}", json!({ "error": why }));
    }

    /// Gives everything, and waits until the other is up: the number of its process. Blocks.
    ///
    /// # Errors
    /// When it is not. It has nothing any more then.
    pub(crate) fn hand(mut self, lock: BorrowedFd<'_>, estate: &Estate) -> Result<u32, String> {
        let answer = self.give(lock, estate).and_then(|()| self.verdict());
        match answer {
            Ok(Answer::Ok(pid)) => Ok(pid),
            Ok(Answer::Error(why)) => Err(why),
            Err(why) => {
                // Who hung up has nothing any more; who is silent may still have.
                if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
                    self.kill();
                }
                Err(format!("it did not take over: {why}"))
            }
        }
    }

    fn give(&mut self, lock: BorrowedFd<'_>, estate: &Estate) -> io::Result<()> {
        let manifest = manifest::write(estate).map_err(io::Error::other)?;
        self.0.write_all(&(manifest.len() as u64).to_be_bytes())?;
        self.0.write_all(&manifest)?;
        let of_gears = estate.gears.iter().flat_map(|left| &left.parcel.descriptors);
        let descriptors: Vec<_> = std::iter::once(lock).chain(of_gears.map(AsFd::as_fd)).collect();
        passing::send(&self.0, &descriptors)
    }

    fn verdict(&mut self) -> io::Result<Answer<u32>> {
        let mut line = String::new();
        BufReader::new((&self.0).take(LINE_BYTES_MAX)).read_line(&mut line)?;
        match serde_json::from_str(&line) {
            Ok(answer) => Ok(answer),
            Err(_) if line.is_empty() => Err(io::Error::new(ErrorKind::UnexpectedEof, "it is gone")),
            Err(why) => Err(io::Error::new(ErrorKind::InvalidData, why)),
        }
    }

    /// Ends the other process, and waits until it is gone: its end of the socket closes with it.
    fn kill(&mut self) {
        let Ok(other) = socket_peercred(&self.0) else { return };
        if other.pid == rustix::process::getpid() {
            return;
        }
        let Some(pid) = Pid::from_raw(other.pid.as_raw_nonzero().get()) else { return };
        let _ = kill_process(pid, Signal::KILL);
        let _ = self.0.set_read_timeout(Some(DIES_WITHIN));
        let mut rest = [0; 1024];
        while (&self.0).read(&mut rest).is_ok_and(|n| n > 0) {}
    }
}

/// What a rack got from the one before it.
pub(crate) struct Inheritance {
    /// What its gears left.
    pub(crate) estate: Estate,
    /// The lock of the state directory.
    pub(crate) lock: OwnedFd,
    /// Whom to tell how it goes.
    pub(crate) predecessor: Predecessor,
}

/// The process that is taken over from. Dropped without a word it takes its rack back.
pub(crate) struct Predecessor(UnixStream);

impl Predecessor {
    /// Says that the rack is up here.
    ///
    /// # Errors
    /// When the other does not hear it: it goes on then, and this one must not.
    pub(crate) fn dismiss(mut self) -> anyhow::Result<()> {
        let told = writeln!(self.0, "{}", json!({ "ok": std::process::id() }));
        told.context("the rack that is taken over from has gone on without us")
    }

    /// Says that it is not.
    pub(crate) fn call_back(mut self, why: &str) {
        let _ = writeln!(self.0, "{}", json!({ "error": why }));
    }
}

/// Takes over from the rack that has this state directory; `None` when there is none.
///
/// # Errors
/// When it does not let us. It goes on then.
pub(crate) fn ask(state_dir: &Path, within: Duration) -> anyhow::Result<Option<Inheritance>> {
    let Some(stream) = control::connect(state_dir)? else { return Ok(None) };
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    stream.set_read_timeout(Some(within + RESTS_WITHIN))?;
    let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    let mut line = serde_json::to_string(&Request::TakeOver { within_ms })?;
    line.push('\n');
    (&stream).write_all(line.as_bytes())?;
    let mut first = [0; 8];
    (&stream).read_exact(&mut first).context("the rack that runs did not answer")?;
    if first[0] == b'{' {
        let mut rest = String::new();
        BufReader::new((&stream).take(LINE_BYTES_MAX)).read_line(&mut rest)?;
        let line = String::from_utf8_lossy(&first).into_owned() + &rest;
        match serde_json::from_str::<Answer<()>>(&line) {
            Ok(Answer::Error(why)) => bail!("the rack that runs goes on: {why}"),
            Ok(Answer::Ok(())) | Err(_) => bail!("the rack that runs goes on: its answer is not understood"),
        }
    }
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    receive(&stream, u64::from_be_bytes(first))
        .map(|(estate, lock)| Some(Inheritance { estate, lock, predecessor: Predecessor(stream) }))
}

fn receive(stream: &UnixStream, bytes: u64) -> anyhow::Result<(Estate, OwnedFd)> {
    if bytes > manifest::BYTES_MAX {
        bail!("the rack that runs leaves {bytes} bytes, and {} at most are taken", manifest::BYTES_MAX);
    }
    let mut text = Vec::new();
    stream.take(bytes).read_to_end(&mut text)?;
    let (mut estate, counts) = manifest::read(text.into())?;
    let mut descriptors = passing::receive(stream, 1 + counts.iter().sum::<usize>())?.into_iter();
    let lock = descriptors.next().context("the lock of the state directory did not come")?;
    for (left, count) in estate.gears.iter_mut().zip(counts) {
        left.parcel.descriptors = descriptors.by_ref().take(count).collect();
    }
    Ok((estate, lock))
}
