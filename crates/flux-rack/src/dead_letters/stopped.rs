//! Changes the dead letters of a rack that does not run.

use std::path::Path;

use flux_journal::{Config, Journal};
use flux_world::{BackoffPolicy, World};

use super::{DIRECTORY, disk::Index, record};
use crate::custody::{JournalError, Site};

/// The dead letters of a state directory, to oneself.
pub struct Stopped {
    journal: Journal,
    index: Index,
}

impl Stopped {
    /// Takes them; refused while a rack has them.
    pub async fn open(world: &World, state_dir: &Path) -> Result<Stopped, JournalError> {
        let site = Site {
            world: world.clone(),
            directory: state_dir.join(DIRECTORY),
            config: Config::default(),
            state_dir: state_dir.to_owned(),
            backoff: BackoffPolicy::default(),
        };
        let journal = site.open("dead letters").await?;
        let opened = journal.clone();
        let index = world.disk.offload(move || Index::read(&site, &opened)).await?;
        Ok(Stopped { journal, index })
    }

    /// Drops letters for good; how many there were.
    pub async fn remove(mut self, letters: &[u64]) -> Result<usize, JournalError> {
        let removed = self.index.remove(letters);
        self.note(&removed, record::write_gone).await?;
        self.index.trim();
        self.close(removed.len()).await
    }

    /// Has letters replayed at the next start of the rack; how many there were.
    pub async fn replay_later(self, letters: &[u64]) -> Result<usize, JournalError> {
        let known: Vec<u64> = letters.iter().copied().filter(|letter| self.index.has(*letter)).collect();
        self.note(&known, record::write_again).await?;
        self.close(known.len()).await
    }

    async fn note(&self, letters: &[u64], write: fn(&[u64]) -> Vec<u8>) -> Result<(), JournalError> {
        for some in letters.chunks(record::SEQUENCES_MAX) {
            self.journal.append(&write(some)).await.map_err(JournalError::Append)?;
        }
        Ok(())
    }

    async fn close(self, letters: usize) -> Result<usize, JournalError> {
        let Stopped { journal, index } = self;
        drop(index);
        journal.close().await.map_err(JournalError::Append)?;
        Ok(letters)
    }
}
