//! How the server ends with us: this program, started again, becomes it once it has asked for that.

use std::ffi::OsString;

use flux_nats::server::{Program, launch};

/// The first word of a process that is to become a server.
const WORD: &str = "become-nats-server";

/// Becomes the server that the command line names. None where it names none; otherwise returns only with why it did not.
pub(crate) fn become_server() -> Option<std::io::Error> {
    let mut words = std::env::args_os().skip(1);
    (words.next()? == WORD).then(|| launch(words))
}

/// The server, started by way of this program.
pub(crate) fn by_way_of_us(program: Program) -> Program {
    let launcher = std::env::current_exe().ok().map(|this| (this, vec![OsString::from(WORD)]));
    Program { launcher, ..program }
}
