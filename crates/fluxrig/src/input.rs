//! What commands read: files and standard input, each up to a limit.

use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use flux_world::{Disk, read_bounded};

/// Text of one message: the largest there is, in the longest of its forms, with room for white space.
pub(crate) const MESSAGE_TEXT_BYTES_MAX: usize = 16 << 20;

/// A whole file.
pub(crate) fn file(disk: &Disk, path: &Path, bytes_max: usize) -> anyhow::Result<Bytes> {
    disk.read(path, bytes_max).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Standard input to its end.
pub(crate) fn stdin(bytes_max: usize) -> anyhow::Result<Bytes> {
    read_bounded(std::io::stdin().lock(), bytes_max).context("cannot read standard input")
}

/// The text of a message, from a file or else from standard input.
pub(crate) fn message_text(disk: &Disk, path: Option<&Path>) -> anyhow::Result<String> {
    let (bytes, name) = match path {
        Some(path) => {
            let name = path.display().to_string();
            let text = disk.read_input(path, MESSAGE_TEXT_BYTES_MAX);
            (text.with_context(|| format!("cannot read `{name}`"))?, name)
        }
        None => (stdin(MESSAGE_TEXT_BYTES_MAX)?, "standard input".into()),
    };
    String::from_utf8(bytes.into()).with_context(|| format!("`{name}` is not UTF-8 text"))
}
