//! What a rack can be asked while it runs: the commands of its control socket, and their answers.
//!
//! ```text
//! rack> {"command":"status"}                      one JSON object a line
//! rack< {"ok":{"version":"0.1.0","pid":4711,..}}
//! rack> {"command":"reload","dry_run":false}
//! rack< {"error":"gear `line`: ..."}
//! ```
//!
//! The socket is `control.sock` in the state directory; who may connect is whoever owns that file, and root.

use std::time::Duration;

use flux_rack::Filter;
use serde::{Deserialize, Serialize};

mod client;
mod server;

pub(crate) use client::{RackOptions, ask, connect};
pub(crate) use server::{Asked, ControlSocket, is_there};

/// Name of the socket in the state directory.
const SOCKET_FILE: &str = "control.sock";
/// Longest line of a request, its end counted.
const REQUEST_BYTES_MAX: usize = 64 << 10;
/// Longest line of an answer: the status of a rack with thousands of gears.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Longest silence of a client before its connection is closed, and longest wait for it to take an answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for an answer. A reload has its own deadlines, well below.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(180);

/// What a rack can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// How it does.
    Status {},
    /// To read its files again and become what they say, or to say what that would change.
    Reload {
        /// Only to say.
        dry_run: bool,
        /// Whether what waits on durable wires that go is left on disk.
        #[serde(default)]
        leave: bool,
    },
    /// To try dead letters again where they failed.
    Replay {
        /// Which.
        filter: Filter,
        /// The first so many of them.
        limit: usize,
    },
    /// To end in favour of the process that asks: see `take_over.rs` for what is said from here on.
    TakeOver {
        /// Time for sessions that cannot go over to come to their end.
        within_ms: u64,
    },
    /// To drop dead letters for good.
    DropLetters {
        /// Which.
        filter: Filter,
        /// The first so many of them.
        limit: usize,
    },
}

/// What comes back: what was asked for, or why not.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer<T> {
    /// What was asked for.
    Ok(T),
    /// Why there is no such thing.
    Error(String),
}

#[cfg(test)]
mod tests;
