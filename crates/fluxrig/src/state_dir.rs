//! The state directory of a rack: made when something needs it, and had by one rack at a time.

use std::{
    io::ErrorKind,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, bail};
use flux_scenario::{
    Circuit,
    settings::{DeadLetterPlace, STATE_DIR},
};
use flux_world::{Disk, disk::DiskLock};
use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};

use crate::plan::Plan;

/// Locked while a rack has the directory; holds the id of its process, for people and for the error of the next one.
const LOCK_FILE: &str = "lock";
/// A process id, and room for what else might be there.
const LOCK_BYTES_MAX: usize = 64;

/// A state directory that is ours until this is dropped.
pub(crate) struct StateDir {
    path: PathBuf,
    lock: DiskLock,
}

impl StateDir {
    /// Makes the directory where it is missing, and takes it.
    ///
    /// # Errors
    /// When another process has it, which is named, and when it can neither be made nor locked.
    pub(crate) fn take(disk: &Disk, path: &Path) -> anyhow::Result<StateDir> {
        // Absolute, because a rack that starts with what ran last goes to the directory where that ran.
        let path = &std::path::absolute(path)?;
        let shown = path.display();
        disk.make_private_dir(path).with_context(|| format!("cannot make the state directory `{shown}`"))?;
        let file = path.join(LOCK_FILE);
        let lock = match disk.lock(&file) {
            Ok(lock) => lock,
            Err(why) if why.kind() == ErrorKind::WouldBlock => bail!(
                "the state directory `{shown}` is in use by {}: stop that rack, or give this one a directory of its \
                 own with --state-dir or `base.state_dir`",
                holder(disk, &file)
            ),
            Err(why) => {
                return Err(why).with_context(|| format!("cannot lock the state directory `{shown}`"));
            }
        };
        // The lock holds without the note, as on a full disk.
        let _ = note_holder(disk, &file);
        Ok(StateDir { path: path.to_owned(), lock })
    }

    /// The directory of a rack that is taken over from, by the lock that came from it.
    pub(crate) fn inherit(disk: &Disk, path: &Path, lock: OwnedFd) -> anyhow::Result<StateDir> {
        let path = std::path::absolute(path)?;
        let _ = note_holder(disk, &path.join(LOCK_FILE));
        Ok(StateDir { path, lock: DiskLock::shared(lock) })
    }

    /// The lock, for the rack that takes over.
    pub(crate) fn share(&self) -> std::io::Result<OwnedFd> {
        self.lock.share()?.ok_or_else(|| std::io::ErrorKind::Unsupported.into())
    }

    /// Says again whose it is.
    pub(crate) fn note(&self, disk: &Disk) {
        let _ = note_holder(disk, &self.path.join(LOCK_FILE));
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Who has the directory, where somebody does.
pub(crate) fn holder_of(disk: &Disk, path: &Path) -> Option<String> {
    let file = path.join(LOCK_FILE);
    let pid = noted(disk, &file).and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))?;
    // Only then is the lock tried, so that no rack that starts finds it held by us.
    let lives = !matches!(test_kill_process(pid), Err(Errno::SRCH));
    let is_held = || matches!(disk.lock(&file), Err(why) if why.kind() == ErrorKind::WouldBlock);
    (lives && is_held()).then(|| holder(disk, &file))
}

/// The directory of a rack that runs this: the one that is named, else one by default if it needs any.
pub(crate) fn of_rack(named: Option<PathBuf>, plan: &Plan) -> Option<PathBuf> {
    let named = named.or_else(|| plan.settings.base.state_dir.clone().map(PathBuf::from));
    let keeps_letters = plan.settings.rack.dead_letters == DeadLetterPlace::Disk;
    let is_needed = keeps_letters || plan.circuit.as_ref().is_some_and(is_needed);
    named.or_else(|| is_needed.then(|| STATE_DIR.into()))
}

/// Whether a circuit has anything to keep on disk, so that it needs a state directory even if none is named.
pub(crate) fn is_needed(circuit: &Circuit) -> bool {
    circuit.wires.iter().any(|wire| wire.durable.is_some())
        || circuit.gears.iter().any(|gear| gear.keeps_on_disk)
}

fn note_holder(disk: &Disk, file: &Path) -> std::io::Result<()> {
    let note = disk.open(file)?;
    note.set_bytes(0)?;
    note.write_at(0, format!("{}\n", process::id()).as_bytes())
}

fn holder(disk: &Disk, file: &Path) -> String {
    noted(disk, file).map_or_else(|| "another process".into(), |id| format!("process {id}"))
}

fn noted(disk: &Disk, file: &Path) -> Option<u32> {
    let note = disk.read_start(file, LOCK_BYTES_MAX).ok()?;
    std::str::from_utf8(&note).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn one_at_a_time_and_the_next_is_told_who_has_it() {
        let (directory, disk) = (tempfile::tempdir().unwrap(), Disk::real());
        let path = directory.path().join("data");
        let first = StateDir::take(&disk, &path).unwrap();
        let refused = |pid: &str| {
            let why = StateDir::take(&disk, &path).err().unwrap().to_string();
            assert!(why.contains(&format!("is in use by {pid}: stop that rack")), "{why}");
        };
        refused(&format!("process {}", process::id()));
        assert_eq!(holder_of(&disk, &path), Some(format!("process {}", process::id())));
        fs::write(path.join(LOCK_FILE), "rubbish").unwrap();
        refused("another process");
        drop(first);
        assert_eq!((holder_of(&disk, &path), holder_of(&disk, directory.path())), (None, None));
        StateDir::take(&disk, &path).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let (directory, disk) = (tempfile::tempdir().unwrap(), Disk::real());
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let why = StateDir::take(&disk, &file.join("data")).err().unwrap();
        assert!(format!("{why:#}").starts_with("cannot make the state directory `"), "{why:#}");
    }
}
