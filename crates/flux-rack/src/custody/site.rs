//! Where a journal of the rack is, how it is opened, and why it is not.

use std::path::PathBuf;

use flux_gear::storage::StorageError;
use flux_journal::{AppendError, Config, ConsumerError, FormatError, Journal, Keys, OpenError};
use flux_world::{BackoffPolicy, World};

use crate::storage::keys;

/// What it takes to open a journal, again and again.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) directory: PathBuf,
    pub(crate) config: Config,
    /// Where the keys are that seal it, if there are any.
    pub(crate) state_dir: PathBuf,
    /// How long to wait before it is opened again after it failed.
    pub(crate) backoff: BackoffPolicy,
}

/// Why a journal of the rack cannot be used. It says what to do.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It was not opened; nothing was changed.
    #[error("{source}{}", advice(source, directory))]
    Open {
        /// Why.
        source: OpenError,
        /// Where it is.
        directory: PathBuf,
    },
    /// A record was not taken.
    #[error(transparent)]
    Append(AppendError),
    /// It is not there any more.
    #[error("the journal {} is gone: it was removed or moved away while it was in use; put it back, or restart the rack to begin anew without what was in it", directory.display())]
    Gone {
        /// Where it was.
        directory: PathBuf,
    },
    /// It cannot be made an outbox.
    #[error(transparent)]
    Outbox(ConsumerError),
    /// The rack is stopping.
    #[error("the rack is stopping")]
    Stopping,
    /// The keys to seal it with cannot be read.
    #[error(transparent)]
    Keys(StorageError),
    /// Records of it are damaged.
    #[error("{problem}: run `fluxrig journal repair {}`, which keeps what is damaged and lets the rest be served", directory.display())]
    Damaged {
        /// The first of what is damaged.
        problem: String,
        /// Where it is.
        directory: PathBuf,
    },
}

fn advice(source: &OpenError, directory: &std::path::Path) -> String {
    match source {
        OpenError::Format(
            FormatError::Io { .. }
            | FormatError::Key { .. }
            | FormatError::OtherKey { .. }
            | FormatError::Newer { .. },
        ) => String::new(),
        OpenError::Format(_) => {
            format!("; look into it with `fluxrig journal check {}`", directory.display())
        }
        _ => String::new(),
    }
}

impl Site {
    /// The keys that seal it: those of the state directory, where there are any. Blocks.
    pub(crate) fn keys(&self) -> Result<Keys, JournalError> {
        keys::given(&self.world.disk, &self.state_dir).map_err(JournalError::Keys)
    }

    /// Opens the journal, off the thread of the runtime.
    pub(crate) async fn open(&self, name: &str) -> Result<Journal, JournalError> {
        self.reopen(name, u64::MAX).await.map(|(journal, _)| journal)
    }

    /// The same after it failed, without the records from `unsafe_from` on. Also returns where new ones go on: what lies
    /// before is safe.
    pub(crate) async fn reopen(&self, name: &str, unsafe_from: u64) -> Result<(Journal, u64), JournalError> {
        let site = self.clone();
        let directory = self.directory.clone();
        let opened = self.world.disk.offload(move || {
            let (config, keys) = (site.config.clone(), site.keys()?);
            let opened = Journal::reopen(&site.world, &site.directory, config, keys, unsafe_from);
            opened.map_err(|source| JournalError::Open { source, directory: site.directory })
        });
        let (journal, found) = opened.await?;
        if let Some(damage) = found.damages.first() {
            return Err(JournalError::Damaged { problem: damage.to_string(), directory });
        }
        if let Some((file, torn)) = &found.torn {
            tracing::warn!(journal = name, file = %file.display(), ?torn, "a crash left an unfinished end, which was cut: nobody was told that it was safe");
        }
        if let Some(behind) = found.clock_behind {
            tracing::warn!(journal = name, ?behind, "the clock is behind the last record");
        }
        Ok((journal, found.next))
    }
}
