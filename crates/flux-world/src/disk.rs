//! The disk: files by position, directories, and the threads that wait for both.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bytes::Bytes;

#[cfg(feature = "sim")]
use crate::sim::SimDisk;

mod file;
mod real;
mod work;

pub use file::DiskFile;
pub use work::{Bell, Rest, Work, Worker};

/// A handle to the file system, the operating system's or a simulated one.
///
/// Calls block. Settings, keys and passports are kilobytes read at a start or a reload and are read inline; what is
/// written all day has a [`Worker`] of its own; what is read while messages flow goes through [`Disk::offload`].
#[derive(Clone, Debug)]
pub struct Disk {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Real,
    #[cfg(feature = "sim")]
    Simulated(SimDisk),
}

/// A file as a directory lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name within the directory; a name that is not UTF-8 is shown with replacement characters.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

impl DiskLock {
    /// The lock for another process to have with this one: it is free when both have let it go. `None` in a simulation.
    pub fn share(&self) -> io::Result<Option<OwnedFd>> {
        match &self.held {
            LockKind::Real { file } => Ok(Some(file.try_clone()?.into())),
            #[cfg(feature = "sim")]
            LockKind::Simulated { .. } => Ok(None),
        }
    }

    /// A lock that another process shared.
    pub fn shared(lock: OwnedFd) -> DiskLock {
        DiskLock { held: LockKind::Real { file: lock.into() } }
    }
}

/// Keeps a path to one holder, across processes, until it is dropped or the process ends.
#[derive(Debug)]
pub struct DiskLock {
    held: LockKind,
}

#[derive(Debug)]
enum LockKind {
    Real {
        file: std::fs::File,
    },
    #[cfg(feature = "sim")]
    Simulated {
        _guard: crate::sim::SimLock,
    },
}

/// Sends a call to the disk at hand.
macro_rules! on_disk {
    ($self:ident, real: $real:expr, $simulated:ident => $sim:expr) => {
        match &$self.kind {
            Kind::Real => $real,
            #[cfg(feature = "sim")]
            Kind::Simulated($simulated) => $sim,
        }
    };
}

impl Disk {
    /// The disk of the operating system.
    pub fn real() -> Self {
        Self { kind: Kind::Real }
    }

    #[cfg(feature = "sim")]
    pub(crate) fn simulated(disk: SimDisk) -> Self {
        Self { kind: Kind::Simulated(disk) }
    }

    /// The whole file; `FileTooLarge` when it is longer than `bytes_max`, of which no more is read. What could be waited
    /// for without end, as a pipe, is refused.
    pub fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Bytes> {
        on_disk!(
            self,
            real: read_bounded(real::open_regular(path)?, bytes_max),
            disk => read_bounded(&*disk.read(path)?, bytes_max)
        )
    }

    /// As [`Disk::read`], of a pipe or a device, too: waits for whoever writes to it.
    pub fn read_input(&self, path: &Path, bytes_max: usize) -> io::Result<Bytes> {
        on_disk!(
            self,
            real: read_bounded(std::fs::File::open(path)?, bytes_max),
            disk => read_bounded(&*disk.read(path)?, bytes_max)
        )
    }

    /// The first bytes of a file, `bytes_max` at most. What [`Disk::read`] refuses, this does, too.
    pub fn read_start(&self, path: &Path, bytes_max: usize) -> io::Result<Bytes> {
        on_disk!(
            self,
            real: start_of(real::open_regular(path)?, bytes_max),
            disk => start_of(&*disk.read(path)?, bytes_max)
        )
    }

    /// Whether something is there; false also when it may not be asked.
    pub fn exists(&self, path: &Path) -> bool {
        on_disk!(self, real: path.exists(), disk => disk.exists(path))
    }

    /// Replaces the file as a whole: after a crash there is the old content or the new one, never a mixture.
    ///
    /// Written beside it, synced, renamed over it, and the directory synced.
    pub fn write_atomic(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.replace(path, content, Self::create)
    }

    /// As [`Disk::write_atomic`], for a file that its owner alone may read (mode 0600).
    pub fn write_atomic_private(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.replace(path, content, Self::create_private)
    }

    fn replace(
        &self,
        path: &Path,
        content: &[u8],
        create: impl FnOnce(&Self, &Path) -> io::Result<DiskFile>,
    ) -> io::Result<()> {
        let beside = beside(path)?;
        let written = self.write_synced(&beside, content, create).and_then(|()| self.rename(&beside, path));
        if written.is_err() {
            // The old content stands; the half-written copy is only litter, and the first error is the one that counts.
            let _ = self.remove(&beside);
        }
        written?;
        self.sync_dir(parent(path))
    }

    /// Creates an empty file to read and write; `AlreadyExists` when there is one.
    pub fn create(&self, path: &Path) -> io::Result<DiskFile> {
        on_disk!(self, real: real::create(path).map(DiskFile::real), disk => disk.create(path).map(DiskFile::simulated))
    }

    /// As [`Disk::create`]; the file is for its owner alone (mode 0600).
    pub fn create_private(&self, path: &Path) -> io::Result<DiskFile> {
        on_disk!(self, real: real::create_private(path).map(DiskFile::real), disk => disk.create(path).map(DiskFile::simulated))
    }

    /// Opens a file to read and write.
    pub fn open(&self, path: &Path) -> io::Result<DiskFile> {
        on_disk!(self, real: real::open(path).map(DiskFile::real), disk => disk.open(path).map(DiskFile::simulated))
    }

    /// Opens a file to read, which needs no permission to write.
    pub fn open_to_read(&self, path: &Path) -> io::Result<DiskFile> {
        on_disk!(self, real: std::fs::File::open(path).map(DiskFile::real), disk => disk.open(path).map(DiskFile::simulated))
    }

    /// Makes a directory and those above it; fine when it is there.
    pub fn make_dir(&self, path: &Path) -> io::Result<()> {
        on_disk!(self, real: std::fs::create_dir_all(path), disk => disk.make_dir(path))
    }

    /// As [`Disk::make_dir`]; the directories it makes are for their owner alone (mode 0700).
    pub fn make_private_dir(&self, path: &Path) -> io::Result<()> {
        on_disk!(self, real: real::make_private_dir(path), disk => disk.make_dir(path))
    }

    /// Whether this is a file as such: no link to one, no pipe, no directory.
    pub fn is_file(&self, path: &Path) -> io::Result<bool> {
        on_disk!(self, real: real::is_file(path), disk => disk.is_file(path))
    }

    /// The files of a directory, by name; directories in it are left out. What is no file as such, a link or a pipe, is
    /// listed too: see [`Disk::is_file`].
    pub fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        on_disk!(self, real: real::list(directory), disk => disk.list(directory))
    }

    /// The names of the directories in a directory, sorted.
    pub fn directories(&self, directory: &Path) -> io::Result<Vec<String>> {
        on_disk!(self, real: real::directories(directory), disk => disk.directories(directory))
    }

    /// Gives a file another name, replacing what had it. On disk for certain after [`Disk::sync_dir`].
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        on_disk!(self, real: std::fs::rename(from, to), disk => disk.rename(from, to))
    }

    /// Removes a file; who has it open goes on reading. On disk for certain after [`Disk::sync_dir`].
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        on_disk!(self, real: std::fs::remove_file(path), disk => disk.remove(path))
    }

    /// Puts the names of a directory's files on disk: what was created, renamed or removed.
    pub fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        on_disk!(self, real: std::fs::File::open(directory)?.sync_all(), disk => disk.sync_dir(directory))
    }

    /// Bytes an ordinary user may still write to the file system that holds `directory`.
    pub fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        on_disk!(self, real: real::free_bytes(directory), disk => disk.free_bytes(directory))
    }

    /// Takes the lock file `path`, which stays behind; `WouldBlock` when another holder has it. Where nothing can be
    /// written, a lock file that is there is taken all the same.
    pub fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        let held = on_disk!(
            self,
            real: LockKind::Real { file: real::lock(path)? },
            disk => LockKind::Simulated { _guard: disk.lock(path)? }
        );
        Ok(DiskLock { held })
    }

    /// Runs blocking work off the runtime's thread. In a simulated world it runs inline and takes simulated time.
    ///
    /// A call that is dropped is not undone: the work runs to its end.
    pub async fn offload<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> T {
        on_disk!(
            self,
            real: match tokio::task::spawn_blocking(call).await {
                Ok(result) => result,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            disk => {
                let result = call();
                disk.take_time().await;
                result
            }
        )
    }

    /// Gives `work` a thread of its own (a task, in a simulated world), which sleeps until the bell rings.
    pub fn employ(&self, name: &str, work: impl Work) -> io::Result<Worker> {
        on_disk!(self, real: Worker::on_thread(name, work), disk => Ok(Worker::on_task(disk.clone(), work)))
    }

    fn write_synced(
        &self,
        path: &Path,
        content: &[u8],
        create: impl FnOnce(&Self, &Path) -> io::Result<DiskFile>,
    ) -> io::Result<()> {
        if self.exists(path) {
            self.remove(path)?;
        }
        let file = create(self, path)?;
        file.write_at(0, content)?;
        file.sync_all()
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

/// The directory a file is in; "." for a bare name.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_waited_for_without_end_is_refused() {
        let (directory, disk) = (tempfile::tempdir().unwrap(), Disk::real());
        let (pipe, socket) = (directory.path().join("pipe"), directory.path().join("socket"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for (path, what) in [
            (&*pipe, "a pipe"),
            (&link, "a pipe"),
            (&socket, "a socket"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            for read in [Disk::read, Disk::read_start] {
                let why = read(&disk, path, 9).unwrap_err();
                assert_eq!(why.to_string(), format!("it is {what}, not a regular file"));
            }
        }
        assert!(disk.read(directory.path(), 9).is_err());
    }

    fn check_whole_files(disk: &Disk, directory: &Path) {
        let path = directory.join("state.flux");
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
        assert_eq!(disk.list(directory).unwrap(), [Entry { name: "state.flux".into(), bytes: 3 }]);
        disk.make_dir(&directory.join("wires")).unwrap();
        assert_eq!(disk.directories(directory).unwrap(), ["wires"]);
        assert_eq!(disk.write_atomic(Path::new("/"), b"x").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    /// What every disk must do alike.
    fn check_positions(disk: &Disk, directory: &Path) {
        let path = directory.join("by-position");
        let file = disk.create(&path).unwrap();
        assert_eq!(disk.create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        file.allocate(2_000).unwrap();
        assert_eq!(file.bytes().unwrap(), 2_000);
        file.write_at(600, b"here").unwrap();
        file.sync_data().unwrap();
        let mut read = [9; 8];
        assert_eq!(file.read_at(598, &mut read).unwrap(), 8);
        assert_eq!(&read, b"\0\0here\0\0");
        file.set_bytes(603).unwrap();
        assert_eq!(disk.open_to_read(&path).unwrap().read_at(600, &mut read).unwrap(), 3);
        assert_eq!(file.read_at(700, &mut read).unwrap(), 0);
        let moved = directory.join("moved");
        disk.rename(&path, &moved).unwrap();
        disk.sync_dir(directory).unwrap();
        assert_eq!(disk.open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(disk.is_file(&moved).unwrap() && !disk.is_file(directory).unwrap());
        assert!(file.is_at(&moved).unwrap() && !file.is_at(&path).unwrap());
        disk.write_atomic(&moved, b"another").unwrap();
        assert!(!file.is_at(&moved).unwrap(), "another file has its name");
        disk.remove(&moved).unwrap();
        assert_eq!(disk.is_file(&moved).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!file.is_at(&moved).unwrap());
        assert_eq!(file.read_at(600, &mut read).unwrap(), 3, "who has it open goes on reading");
        assert!(disk.free_bytes(directory).unwrap() > 0);
        let lock = disk.lock(&directory.join("LOCK")).unwrap();
        assert_eq!(disk.lock(&directory.join("LOCK")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        disk.lock(&directory.join("LOCK")).unwrap();
    }

    #[test]
    fn the_real_disk_keeps_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        check_whole_files(&Disk::real(), directory.path());
        check_positions(&Disk::real(), directory.path());
    }

    #[test]
    fn the_simulated_disk_keeps_the_contract() {
        let disk = Disk::simulated(SimDisk::new(crate::Entropy::seeded(1)));
        let directory = Path::new("/var/lib/flux");
        disk.make_dir(directory).unwrap();
        check_whole_files(&disk, directory);
        check_positions(&disk, directory);
    }

    #[test]
    fn of_endless_input_no_more_is_read_than_allowed() {
        let why = read_bounded(io::repeat(0), 1 << 16).unwrap_err();
        assert_eq!(why.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn what_is_private_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let (disk, inner) = (Disk::real(), directory.path().join("a/b"));
        disk.make_private_dir(&inner).unwrap();
        disk.make_private_dir(&inner).unwrap();
        let file = inner.join("key");
        disk.write_atomic(&file, b"public").unwrap();
        disk.write_atomic_private(&file, b"private").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode(&directory.path().join("a")), mode(&inner), mode(&file)], [0o700, 0o700, 0o600]);
        assert_eq!(disk.read(&file, 7).unwrap(), "private");
    }

    #[test]
    fn a_failed_write_keeps_the_old_content() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        let taken = directory.path().join("is-a-directory");
        std::fs::create_dir(&taken).unwrap();
        assert!(disk.write_atomic(&taken, b"x").is_err());
        assert!(taken.is_dir());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
