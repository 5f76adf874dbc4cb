//! What gears keep, on disk: each table and each log is a journal in the state directory, sealed with its key.

pub(crate) mod keys;
mod ledger;
mod log;
mod record;
mod replay;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use flux_gear::storage::{Backlog, Bounds, Log, Opening, Storage, StorageError, Table, WeakTable};
use flux_journal::{Journal, OpenError};
use flux_world::World;
use parking_lot::Mutex;

use ledger::JournalLedger;

/// Tables and logs under a state directory. Nothing is made there before something is opened.
///
/// `tables/<gear>/<name>/` and `logs/<gear>/<name>/` are journals; `storage.key` is what they are sealed with.
pub struct DiskStorage {
    world: World,
    state_dir: PathBuf,
    /// Those that are open, so that a gear that is made anew beside an old one has the same table.
    tables: Mutex<BTreeMap<PathBuf, WeakTable>>,
    /// The journals that were opened, and must be there from then on.
    opened: Mutex<BTreeSet<PathBuf>>,
}

impl DiskStorage {
    /// Storage in a state directory, which this process has to itself.
    pub fn new(world: World, state_dir: PathBuf) -> DiskStorage {
        DiskStorage { world, state_dir, tables: Mutex::default(), opened: Mutex::default() }
    }

    fn directory(&self, what: &str, gear: &str, name: &str) -> PathBuf {
        self.state_dir.join(what).join(gear).join(name)
    }

    /// Opens the journal of a directory, and says in the log what it found when that is more than nothing.
    async fn journal(&self, directory: &Path, config: flux_journal::Config) -> Result<Journal, StorageError> {
        if self.opened.lock().contains(directory) && !flux_journal::is_journal(&self.world.disk, directory) {
            return Err(StorageError::Unavailable(format!(
                "{} is gone: it was removed or moved away while it was in use; put it back, or restart the rack to begin anew \
                 without what was in it",
                directory.display()
            )));
        }
        let (world, state_dir, at) = (self.world.clone(), self.state_dir.clone(), directory.to_owned());
        let opened = self.world.disk.offload(move || {
            let keys = keys::of(&world.disk, &state_dir)?;
            Journal::open(&world, &at, config, keys).map_err(|why| unavailable(&at, &why))
        });
        let (journal, found) = opened.await?;
        if flux_journal::is_journal(&self.world.disk, directory) {
            self.opened.lock().insert(directory.to_owned());
        }
        for damage in &found.damages {
            tracing::error!(directory = %directory.display(), %damage, "what a gear kept is damaged");
        }
        Ok(journal)
    }

    async fn open_table(&self, directory: PathBuf, bounds: Bounds) -> Result<Table, StorageError> {
        if let Some(open) = self.tables.lock().get(&directory).and_then(WeakTable::upgrade) {
            open.set_bounds(bounds);
            return Ok(open);
        }
        let journal = self.journal(&directory, ledger::config(bounds)).await?;
        let (entries, replayed_bytes) = replay::entries(&journal, &directory).await?;
        let ledger = JournalLedger::new(journal, replayed_bytes)?;
        let table = Table::open(entries, bounds, Box::new(ledger), self.world.clock);
        self.tables.lock().insert(directory, table.downgrade());
        Ok(table)
    }
}

impl Storage for DiskStorage {
    fn table<'a>(&'a self, gear: &'a str, name: &'a str, bounds: Bounds) -> Opening<'a, Table> {
        Box::pin(self.open_table(self.directory("tables", gear, name), bounds))
    }

    fn log<'a>(&'a self, gear: &'a str, name: &'a str) -> Opening<'a, (Log, Backlog)> {
        let directory = self.directory("logs", gear, name);
        Box::pin(async move { log::open(self.journal(&directory, log::config()).await?) })
    }
}

/// Why a journal cannot be opened, with its place where the reason has none.
fn unavailable(directory: &Path, why: &OpenError) -> StorageError {
    StorageError::Unavailable(match why {
        OpenError::InUse { .. } => why.to_string(),
        why => format!("{}: {why}", directory.display()),
    })
}
