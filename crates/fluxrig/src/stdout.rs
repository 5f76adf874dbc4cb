//! Results on standard output: whoever reads them may leave early, and a full disk is an error like any other.

use std::{
    fmt::Display,
    io::{ErrorKind, Write, stdout},
};

use anyhow::Context;

/// Prints a line.
pub(crate) fn line(text: impl Display) -> anyhow::Result<()> {
    print(format_args!("{text}\n"))
}

/// Prints text that ends its own lines.
///
/// # Errors
/// When it cannot be written. A reader that left (`| head -1`) has seen enough: the command ends as it would have.
pub(crate) fn print(text: impl Display) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(why) if why.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}
