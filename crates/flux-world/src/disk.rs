//! Files: small ones, read whole and replaced whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// A handle to the file system.
///
/// These calls block and run inline: they are meant for settings, keys and passports, kilobytes read at start or at a
/// reload, where a thread's hand-over costs more than the call. The journal brings its own writer. A simulated world
/// shares this disk; its own twin, with torn writes, comes with the journal.
#[derive(Clone, Debug)]
pub struct Disk {
    _private: (),
}

impl Disk {
    /// The disk of the operating system.
    pub fn real() -> Self {
        Self { _private: () }
    }

    /// The whole file; `FileTooLarge` when it is longer than `bytes_max`, of which no more is read.
    pub fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Bytes> {
        read_bounded(File::open(path)?, bytes_max)
    }

    /// The first bytes of a file, `bytes_max` at most.
    pub fn read_start(&self, path: &Path, bytes_max: usize) -> io::Result<Bytes> {
        start_of(File::open(path)?, bytes_max)
    }

    /// Whether something is there; false also when it may not be asked.
    pub fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    /// Replaces the file as a whole: after a crash there is the old content or the new one, never a mixture.
    ///
    /// Written beside it, synced, renamed over it, and the directory synced.
    pub fn write_atomic(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let beside = beside(path)?;
        let written = write_synced(&beside, content).and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            // The old content stands; the half-written copy is only litter, and the first error is the one that counts.
            let _ = fs::remove_file(&beside);
        }
        written?;
        sync_directory(path)
    }
}

/// Reads input to its end; `FileTooLarge` when that does not come within `bytes_max`.
pub fn read_bounded(input: impl Read, bytes_max: usize) -> io::Result<Bytes> {
    let bytes = start_of(input, bytes_max.saturating_add(1))?;
    if bytes.len() > bytes_max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {bytes_max} bytes")));
    }
    Ok(bytes)
}

fn start_of(input: impl Read, bytes_max: usize) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    input.take(bytes_max as u64).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{} names no file", path.display()))
    })?;
    let mut name = name.to_os_string();
    name.push(".new");
    Ok(path.with_file_name(name))
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.flux");
        let disk = Disk::real();
        assert!(!disk.exists(&path));
        disk.write_atomic(&path, b"one").unwrap();
        disk.write_atomic(&path, b"two").unwrap();
        assert_eq!(disk.read(&path, 3).unwrap(), "two");
        let why = disk.read(&path, 2).unwrap_err();
        assert_eq!(
            (why.kind(), why.to_string()),
            (io::ErrorKind::FileTooLarge, "longer than 2 bytes".into())
        );
        assert_eq!(disk.read_start(&path, 2).unwrap(), "tw");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_endless_input_no_more_is_read_than_allowed() {
        let why = read_bounded(io::repeat(0), 1 << 16).unwrap_err();
        assert_eq!(why.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_failed_write_keeps_the_old_content() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        let taken = directory.path().join("is-a-directory");
        fs::create_dir(&taken).unwrap();
        assert!(disk.write_atomic(&taken, b"x").is_err());
        assert!(taken.is_dir());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(disk.write_atomic(Path::new("/"), b"x").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
