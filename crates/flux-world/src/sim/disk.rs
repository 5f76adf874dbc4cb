//! A disk in memory that loses what was not synced: files by sector, names by directory, both with what a crash brings back.
//!
//! A write changes what is read at once and what is on disk only at the next sync. A crash decides for each sector that
//! was not synced whether it made it; names (created, renamed, removed) make it in their order, up to some point.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::disk_faults::{DiskLatency, Faults};
use super::sectors::Sectors;
use crate::Entropy;
use crate::disk::Entry;

/// The simulated disk of one host; a clone is the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    pub(super) state: Arc<Mutex<State>>,
}

/// An open file of a simulated disk. After a crash it fails, as its process is gone.
#[derive(Debug)]
pub(crate) struct SimFile {
    disk: SimDisk,
    boot: u64,
    sectors: Arc<Mutex<Sectors>>,
}

/// Holds a lock file of a simulated disk.
#[derive(Debug)]
pub(crate) struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    boot: u64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) entropy: Entropy,
    pub(super) faults: Faults,
    pub(super) names: BTreeMap<PathBuf, Arc<Mutex<Sectors>>>,
    names_synced: BTreeMap<PathBuf, Arc<Mutex<Sectors>>>,
    /// What happened to names since their directory was synced, in order.
    names_pending: Vec<NameChange>,
    directories: BTreeSet<PathBuf>,
    locks: BTreeSet<PathBuf>,
    /// Counts crashes: what was opened before one is gone after it.
    boot: u64,
    /// Time the calls so far would have taken and nobody waited for yet.
    owed: Duration,
}

#[derive(Clone, Debug)]
struct NameChange {
    path: PathBuf,
    /// What the name leads to from then on; nothing once it is removed.
    target: Option<Arc<Mutex<Sectors>>>,
}

impl SimDisk {
    pub(crate) fn new(entropy: Entropy) -> Self {
        let state = State {
            entropy,
            faults: Faults::default(),
            names: BTreeMap::new(),
            names_synced: BTreeMap::new(),
            names_pending: Vec::new(),
            directories: BTreeSet::new(),
            locks: BTreeSet::new(),
            boot: 0,
            owed: Duration::ZERO,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn boot(&self) -> u64 {
        self.state.lock().boot
    }

    /// Waits for as long as the calls so far would have taken.
    pub(crate) async fn take_time(&self) {
        let owed = std::mem::take(&mut self.state.lock().owed);
        if owed > Duration::ZERO {
            tokio::time::sleep(owed).await;
        }
    }

    pub(crate) fn read(&self, path: &Path) -> io::Result<Bytes> {
        let file = self.open(path)?;
        let mut content = vec![0; file.bytes()? as usize];
        file.read_at(0, &mut content)?;
        Ok(content.into())
    }

    pub(crate) fn exists(&self, path: &Path) -> bool {
        let state = self.state.lock();
        state.names.contains_key(path) || state.directories.contains(path)
    }

    pub(crate) fn is_file(&self, path: &Path) -> io::Result<bool> {
        let state = self.state.lock();
        let is_file = state.names.contains_key(path);
        if is_file || state.directories.contains(path) {
            Ok(is_file)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    pub(crate) fn create(&self, path: &Path) -> io::Result<SimFile> {
        let mut state = self.state.lock();
        state.may_change()?;
        if state.names.contains_key(path) || state.directories.contains(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !path.parent().is_some_and(|parent| state.directories.contains(parent)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let sectors = Arc::new(Mutex::new(Sectors::default()));
        state.rename_to(path, Some(sectors.clone()));
        Ok(SimFile { disk: self.clone(), boot: state.boot, sectors })
    }

    pub(crate) fn open(&self, path: &Path) -> io::Result<SimFile> {
        let state = self.state.lock();
        let sectors = state.names.get(path).ok_or(io::ErrorKind::NotFound)?.clone();
        Ok(SimFile { disk: self.clone(), boot: state.boot, sectors })
    }

    /// Directories are there for good at once: what a crash does to them is not simulated.
    pub(crate) fn make_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.may_change()?;
        for ancestor in path.ancestors() {
            state.directories.insert(ancestor.to_owned());
        }
        Ok(())
    }

    pub(crate) fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state.lock();
        if !state.directories.contains(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let here = state.names.iter().filter(|(path, _)| path.parent() == Some(directory));
        let entries = here.filter_map(|(path, sectors)| {
            let name = path.file_name()?.to_string_lossy().into_owned();
            Some(Entry { name, bytes: sectors.lock().bytes() })
        });
        Ok(entries.collect())
    }

    pub(crate) fn directories(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        if !state.directories.contains(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let here = state.directories.iter().filter(|path| path.parent() == Some(directory));
        let names = here.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.may_change()?;
        let sectors = state.names.get(from).ok_or(io::ErrorKind::NotFound)?.clone();
        state.rename_to(to, Some(sectors));
        state.rename_to(from, None);
        Ok(())
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.may_change()?;
        state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        state.rename_to(path, None);
        Ok(())
    }

    pub(crate) fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.may_change()?;
        state.owe(|latency| latency.sync);
        if !state.faults.is_lying {
            state.settle_names(|change| change.path.parent() == Some(directory));
        }
        Ok(())
    }

    pub(crate) fn free_bytes(&self, _directory: &Path) -> io::Result<u64> {
        let state = self.state.lock();
        let used = state.used_bytes();
        Ok(state.faults.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(used)))
    }

    pub(crate) fn lock(&self, path: &Path) -> io::Result<SimLock> {
        if !self.exists(path) {
            self.create(path)?;
        }
        let mut state = self.state.lock();
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(SimLock { disk: self.clone(), path: path.to_owned(), boot: state.boot })
    }
}

impl State {
    /// Counts a call that changes something, and fails it when the machine is down or told to fail.
    pub(super) fn may_change(&mut self) -> io::Result<()> {
        self.faults.next_change()
    }

    fn owe(&mut self, of: impl FnOnce(&DiskLatency) -> Duration) {
        self.owed += of(&self.faults.latency);
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.names.values().map(|sectors| sectors.lock().allocated_bytes()).sum()
    }

    fn rename_to(&mut self, path: &Path, target: Option<Arc<Mutex<Sectors>>>) {
        match &target {
            Some(sectors) => self.names.insert(path.to_owned(), sectors.clone()),
            None => self.names.remove(path),
        };
        self.names_pending.push(NameChange { path: path.to_owned(), target });
    }

    /// Puts the pending changes of names that `is_settled` picks on disk, in order.
    fn settle_names(&mut self, is_settled: impl Fn(&NameChange) -> bool) {
        let (settled, pending) = self.names_pending.drain(..).partition(is_settled);
        self.names_pending = pending;
        let settled: Vec<NameChange> = settled;
        for change in settled {
            match change.target {
                Some(sectors) => self.names_synced.insert(change.path, sectors),
                None => self.names_synced.remove(&change.path),
            };
        }
    }

    /// The program that uses it is gone: what it held is void, what it wrote is there.
    pub(super) fn end_process(&mut self) {
        self.boot += 1;
        self.owed = Duration::ZERO;
        self.locks.clear();
        self.faults.restart();
    }

    /// The machine stops here and starts again: what was not synced is there in part.
    pub(super) fn crash(&mut self) {
        self.end_process();
        let kept = self.entropy.below(self.names_pending.len() as u64 + 1) as usize;
        self.names_pending.truncate(kept);
        self.settle_names(|_| true);
        self.names = self.names_synced.clone();
        for sectors in self.names.values() {
            sectors.lock().crash(&self.entropy);
        }
    }
}

impl SimFile {
    pub(crate) fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state()?;
        state.owe(|latency| latency.read);
        Ok(self.sectors.lock().read(offset, into))
    }

    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state()?;
        state.may_change()?;
        state.owe(|latency| latency.write);
        let grows = self.sectors.lock().growth_bytes(offset + bytes.len() as u64);
        let room = state.faults.room(state.used_bytes());
        if grows > room {
            // As a real disk does: what fits is written.
            let fits = bytes.len().saturating_sub((grows - room) as usize);
            self.sectors.lock().write(offset, &bytes[..fits]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.sectors.lock().write(offset, bytes);
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        let mut state = self.state()?;
        state.faults.next_sync()?;
        state.owe(|latency| latency.sync);
        if !state.faults.is_lying {
            self.sectors.lock().sync();
        }
        Ok(())
    }

    pub(crate) fn is_at(&self, path: &Path) -> io::Result<bool> {
        let state = self.state()?;
        Ok(state.names.get(path).is_some_and(|there| Arc::ptr_eq(there, &self.sectors)))
    }

    pub(crate) fn bytes(&self) -> io::Result<u64> {
        self.state().map(|_| self.sectors.lock().bytes())
    }

    pub(crate) fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.may_change()?;
        let grows = self.sectors.lock().growth_bytes(bytes);
        if grows > state.faults.room(state.used_bytes()) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.sectors.lock().set_bytes(bytes);
        Ok(())
    }

    /// The disk, if it has not crashed since the file was opened.
    fn state(&self) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let state = self.disk.state.lock();
        if state.boot != self.boot {
            return Err(io::Error::other("the machine crashed since this file was opened"));
        }
        Ok(state)
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state.lock();
        if state.boot == self.boot {
            state.locks.remove(&self.path);
        }
    }
}
