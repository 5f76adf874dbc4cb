//! An open file, read and written by position.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::real;
#[cfg(feature = "sim")]
use crate::sim::SimFile;

/// An open file; positions are bytes from its start, and no position is remembered.
#[derive(Debug)]
pub struct DiskFile {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Real(File),
    #[cfg(feature = "sim")]
    Simulated(SimFile),
}

impl DiskFile {
    pub(super) fn real(file: File) -> Self {
        Self { kind: Kind::Real(file) }
    }

    #[cfg(feature = "sim")]
    pub(super) fn simulated(file: SimFile) -> Self {
        Self { kind: Kind::Simulated(file) }
    }

    /// Fills `into` from `offset` on; fewer bytes only at the end of the file.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        match &self.kind {
            Kind::Real(file) => read_full(file, offset, into),
            #[cfg(feature = "sim")]
            Kind::Simulated(file) => file.read_at(offset, into),
        }
    }

    /// Writes all of `bytes` at `offset`, growing the file when it must. Not on disk before [`DiskFile::sync_data`];
    /// after an error a part may be written.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match &self.kind {
            Kind::Real(file) => file.write_all_at(bytes, offset),
            #[cfg(feature = "sim")]
            Kind::Simulated(file) => file.write_at(offset, bytes),
        }
    }

    /// Puts what was written on disk, and the length with it. After an error nobody knows what is on disk: reopen, and
    /// trust only what is read back (Linux drops pages that failed to be written).
    pub fn sync_data(&self) -> io::Result<()> {
        match &self.kind {
            Kind::Real(file) => file.sync_data(),
            #[cfg(feature = "sim")]
            Kind::Simulated(file) => file.sync(),
        }
    }

    /// As [`DiskFile::sync_data`], with the times and permissions.
    pub fn sync_all(&self) -> io::Result<()> {
        match &self.kind {
            Kind::Real(file) => file.sync_all(),
            #[cfg(feature = "sim")]
            Kind::Simulated(file) => file.sync(),
        }
    }

    /// Whether `path` leads to this file: not once it was removed, or its directory was given another name. Where that may
    /// not be asked, it does.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        match &self.kind {
            Kind::Real(file) => real::is_at(file, path),
            #[cfg(feature = "sim")]
            Kind::Simulated(file) => file.is_at(path),
        }
    }

    /// Its length.
    pub fn bytes(&self) -> io::Result<u64> {
        match &self.kind {
            Kind::Real(file) => Ok(file.metadata()?.len()),
            #[cfg(feature = "sim")]
            Kind::Simulated(file) => file.bytes(),
        }
    }

    /// Cuts the file, or lengthens it with zeros.
    pub fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        match &self.kind {
            Kind::Real(file) => file.set_len(bytes),
            #[cfg(feature = "sim")]
            Kind::Simulated(file) => file.set_bytes(bytes),
        }
    }

    /// Lengthens the file with zeros to `until`, and takes the space for them now, so that later writes neither find the
    /// disk full nor change the file's length, which makes syncs cheaper. Never shortens.
    pub fn allocate(&self, until: u64) -> io::Result<()> {
        let from = self.bytes()?;
        if until <= from {
            return Ok(());
        }
        match &self.kind {
            Kind::Real(file) => real::allocate(file, from, until),
            #[cfg(feature = "sim")]
            Kind::Simulated(file) => file.set_bytes(until),
        }
    }
}

fn read_full(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(&mut into[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
