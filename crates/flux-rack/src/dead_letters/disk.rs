//! Dead letters on disk: a journal of their own, in which what was dropped or replayed is noted.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use flux_gear::Lease;
use flux_journal::{Consumer, Journal, Start, walk};
use flux_signal::LeaseEnd;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::{
    DeadLetter, Keeping,
    record::{self, Record},
};
use crate::custody::{Custody, JournalError, Refused, Site};

/// The consumer that holds what is kept on disk: its low mark is the oldest letter.
const CONSUMER: &str = "kept";

/// The letters of a rack in its state directory. The journal is opened, or made, when there is something for it.
pub(crate) struct DiskLetters {
    site: Site,
    open: OnceCell<Open>,
}

struct Open {
    custody: Custody,
    index: Arc<Mutex<Index>>,
}

/// Which letters there are.
pub(super) struct Index {
    /// Those that are kept.
    pub(super) kept: BTreeSet<u64>,
    /// Those to be replayed.
    pub(super) again: BTreeSet<u64>,
    /// Those that are being replayed.
    out: BTreeSet<u64>,
    /// Behind the last record.
    next: u64,
    consumer: Consumer,
}

impl Index {
    /// Reads the whole journal. Blocks.
    pub(super) fn read(site: &Site, journal: &Journal) -> Result<Index, JournalError> {
        let consumer = journal.consumer(CONSUMER, Start::Oldest).expect("nobody else has the journal");
        let (mut kept, mut again, mut next) = (BTreeSet::new(), BTreeSet::new(), consumer.low());
        let keys = site.keys()?;
        let walked = walk(&site.world, &site.directory, &keys, consumer.low(), &mut |found| {
            next = found.sequence + 1;
            match record::read(&found.body) {
                Some(Record::Letter(_)) => {
                    kept.insert(found.sequence);
                }
                Some(Record::Gone(gone)) => gone.iter().for_each(|gone| {
                    kept.remove(&gone);
                }),
                Some(Record::Again(letters)) => again.extend(letters.iter()),
                None => {
                    tracing::error!(sequence = found.sequence, "what lies among the dead letters is none")
                }
            }
            ControlFlow::Continue(())
        });
        let problems =
            walked.map_err(|source| JournalError::Open { source, directory: site.directory.clone() })?;
        for problem in &problems {
            tracing::error!(%problem, "dead letters are damaged");
        }
        again.retain(|letter| kept.contains(letter));
        Ok(Index { kept, again, out: BTreeSet::new(), next, consumer })
    }

    /// Takes letters away; which of them there were.
    pub(super) fn remove(&mut self, letters: &[u64]) -> Vec<u64> {
        letters.iter().copied().filter(|letter| self.kept.remove(letter)).collect()
    }

    /// Lets the journal go of what is behind the oldest letter.
    pub(super) fn trim(&self) {
        self.consumer.settle_until(self.kept.first().copied().unwrap_or(self.next));
    }
}

impl DiskLetters {
    pub(crate) fn new(site: Site) -> DiskLetters {
        DiskLetters { site, open: OnceCell::new() }
    }

    /// Opens the journal if there is one, and says which letters are to be replayed.
    pub(crate) async fn recover(&self) -> Result<Vec<u64>, JournalError> {
        if !self.site.world.disk.exists(&self.site.directory) {
            return Ok(Vec::new());
        }
        let open = self.open().await?;
        let again = std::mem::take(&mut open.index.lock().again);
        Ok(again.into_iter().collect())
    }

    /// Keeps a letter; waits for room as long as it takes. The lease ends when the letter is safe. Gives back what the
    /// journal does not take.
    pub(super) async fn keep(
        &self,
        letter: DeadLetter,
        lease: Option<Keeping>,
    ) -> Option<(DeadLetter, Option<Keeping>)> {
        let open = match self.open().await {
            Ok(open) => open,
            Err(why) => {
                tracing::error!(error = %why, "dead letters cannot be kept on disk: this one is kept in memory");
                return Some((letter, lease));
            }
        };
        let mut lease = Some(lease);
        let leases = || lease.take().flatten().and_then(Keeping::into_lease).into_iter().collect();
        let appended = open.custody.appender().append(&mut vec![record::write_letter(&letter)], leases).await;
        match appended {
            Ok(sequence) => {
                open.index.lock().note(sequence);
                None
            }
            Err(why) => {
                if let Refused::TooLong(why) = why {
                    tracing::error!(error = %why, "a dead letter is too long for its journal: it is kept in memory");
                }
                Some((letter, lease.flatten()))
            }
        }
    }

    /// Takes letters away, for good. Which of them there were.
    pub(crate) async fn remove(&self, letters: &[u64]) -> Result<Vec<u64>, JournalError> {
        let open = self.open().await?;
        let removed = open.index.lock().remove(letters);
        open.note_gone(&removed).await;
        Ok(removed)
    }

    /// A lease for the replay of a letter: when it ends well the letter is gone. `None` when there is no such letter, or it
    /// is being replayed already.
    pub(crate) fn replay(&self, letter: u64) -> Option<Lease> {
        let open = self.open.get()?;
        let (index, appender) = (open.index.clone(), open.custody.appender().clone());
        {
            let mut index = index.lock();
            if !index.kept.contains(&letter) || !index.out.insert(letter) {
                return None;
            }
        }
        Some(Lease::new(move |end| {
            let is_gone = {
                let mut index = index.lock();
                index.out.remove(&letter);
                end == LeaseEnd::Settled && !index.remove(&[letter]).is_empty()
            };
            if !is_gone {
                return;
            }
            // Where there is no room for the note now, it is a letter again after a restart: no loss.
            let noted = appender.try_append(&mut vec![record::write_gone(&[letter])], Vec::new);
            if let Ok(note) = noted {
                let mut index = index.lock();
                index.next = index.next.max(note + 1);
                index.trim();
            }
        }))
    }

    /// How many there are; those of a journal that nobody has needed yet do not count.
    pub(crate) fn len(&self) -> usize {
        self.open.get().map_or(0, |open| open.index.lock().kept.len())
    }

    /// Ends when all that is kept can be read.
    pub(crate) async fn all_safe(&self) {
        if let Some(open) = self.open.get() {
            open.custody.appender().all_safe().await;
        }
    }

    /// Puts everything on disk and gives the journal up.
    pub(crate) async fn close(&self) {
        if let Some(open) = self.open.get() {
            open.custody.close().await;
        }
    }

    pub(crate) fn let_go(&self) {
        if let Some(open) = self.open.get() {
            open.custody.let_go();
        }
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    async fn open(&self) -> Result<&Open, JournalError> {
        self.open
            .get_or_try_init(|| async {
                let custody = Custody::open("dead letters".to_owned(), self.site.clone()).await?;
                let (site, journal) = (self.site.clone(), custody.appender().usable(0).await);
                let Some((journal, _)) = journal else { return Err(JournalError::Stopping) };
                let read = self.site.world.disk.offload(move || Index::read(&site, &journal)).await?;
                Ok(Open { custody, index: Arc::new(Mutex::new(read)) })
            })
            .await
    }
}

impl Open {
    async fn note_gone(&self, letters: &[u64]) {
        if letters.is_empty() {
            return;
        }
        for some in letters.chunks(record::SEQUENCES_MAX) {
            let noted = self.custody.appender().append(&mut vec![record::write_gone(some)], Vec::new).await;
            if let Ok(sequence) = noted {
                let mut index = self.index.lock();
                index.next = index.next.max(sequence + 1);
            }
        }
        self.index.lock().trim();
        self.custody.appender().all_safe().await;
    }
}

impl Index {
    fn note(&mut self, letter: u64) {
        self.kept.insert(letter);
        self.next = self.next.max(letter + 1);
    }
}

impl std::fmt::Debug for DiskLetters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DiskLetters({})", self.site.directory.display())
    }
}
