//! Dead letters on disk: a journal of their own, in which what was dropped or replayed is noted.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
    time::Duration,
};

use flux_gear::Lease;
use flux_journal::{Consumer, Journal, Start, walk};
use flux_signal::LeaseEnd;
use parking_lot::Mutex;
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, OnceCell, OwnedMutexGuard},
    task::JoinHandle,
};

use super::{
    DeadLetter, Keeping,
    record::{self, Record},
    sweep::Sweeper,
};
use crate::custody::{Custody, JournalError, Refused, Site};

/// The consumer that holds what is kept on disk: its low mark is the oldest letter.
const CONSUMER: &str = "kept";

/// How long a drop waits for room for its note. A full journal may have none before more is dropped.
const NOTE_PATIENCE: Duration = Duration::from_secs(5);

/// The letters of a rack in its state directory. The journal is opened, or made, when there is something for it.
pub(crate) struct DiskLetters {
    site: Site,
    open: OnceCell<Open>,
    /// Held while letters change their sequences.
    still: Arc<AsyncMutex<()>>,
}

struct Open {
    custody: Custody,
    index: Arc<Mutex<Index>>,
    /// Rung after each change, for whoever keeps the journal short.
    wake: Arc<Notify>,
    sweeper: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

/// Which letters there are.
pub(super) struct Index {
    /// Those that are kept, with the length of their records.
    kept: BTreeMap<u64, u64>,
    /// Those whose copies are not safe yet, and where these lie.
    moved: BTreeMap<u64, u64>,
    /// What the kept ones take, and what was written since the last sweep began.
    kept_bytes: u64,
    written_bytes: u64,
    /// Where the sweep under way ends.
    sweep: Option<u64>,
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
        let consumer = holder(journal);
        let (mut kept, mut again, mut next) = (BTreeMap::new(), BTreeSet::new(), consumer.low());
        let mut written_bytes = 0;
        let keys = site.keys()?;
        let walked = walk(&site.world, &site.directory, &keys, consumer.low(), &mut |found| {
            next = found.sequence + 1;
            let bytes = found.body.len() as u64;
            written_bytes += bytes;
            match record::read(&found.body) {
                Some(Record::Letter(_)) => {
                    kept.insert(found.sequence, bytes);
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
        again.retain(|letter| kept.contains_key(letter));
        let kept_bytes = kept.values().sum();
        Ok(Index {
            kept,
            moved: BTreeMap::new(),
            kept_bytes,
            written_bytes,
            sweep: None,
            again,
            out: BTreeSet::new(),
            next,
            consumer,
        })
    }

    /// The journal was opened again: every record is where it was.
    pub(super) fn hold(&mut self, journal: &Journal) {
        self.consumer = holder(journal);
        self.trim();
    }

    pub(super) fn has(&self, letter: u64) -> bool {
        self.kept.contains_key(&letter)
    }

    /// Whether it is a letter that nobody has in hand.
    pub(super) fn can_move(&self, letter: u64) -> bool {
        self.has(letter) && !self.out.contains(&letter)
    }

    /// Before which record all letters are to be moved; none when that is not worth it. It waits for those that are to be
    /// replayed, which are known by where they lie.
    pub(super) fn sweep_before(&mut self, spare_bytes: u64) -> Option<u64> {
        if !self.again.is_empty() {
            return None;
        }
        if self.sweep.is_none() && self.written_bytes > spare_bytes + 2 * self.kept_bytes {
            self.sweep = Some(self.next);
            self.written_bytes = 0;
        }
        self.sweep
    }

    pub(super) fn end_sweep(&mut self) {
        self.sweep = None;
    }

    pub(super) fn oldest_before(&self, note: u64) -> Option<u64> {
        self.kept.keys().next().copied().filter(|oldest| *oldest < note)
    }

    /// A letter lies elsewhere now; the old place is needed until that is safe.
    pub(super) fn move_letter(&mut self, old: u64, new: u64, bytes: u64) {
        self.remove(&[old]);
        self.note(new, bytes);
        self.next = self.next.max(new + 2);
        self.moved.insert(old, new);
    }

    pub(super) fn moved_safely(&mut self, letters: &[u64]) {
        self.moved.retain(|letter, _| !letters.contains(letter));
        self.trim();
    }

    /// Takes letters away; which of them there were.
    pub(super) fn remove(&mut self, letters: &[u64]) -> Vec<u64> {
        let remove = |letter: &u64| {
            let bytes = self.kept.remove(letter)?;
            self.kept_bytes -= bytes;
            Some(*letter)
        };
        letters.iter().filter_map(remove).collect()
    }

    /// Lets the journal go of what is behind the oldest letter.
    pub(super) fn trim(&self) {
        let oldest = self.kept.keys().next().copied().unwrap_or(self.next);
        // A copy that is gone needs no place to fall back to; in a full journal it may never be safe.
        let moved = self.moved.iter().find(|(_, copy)| self.kept.contains_key(copy)).map(|(old, _)| *old);
        self.consumer.settle_until(moved.unwrap_or(oldest).min(oldest));
    }
}

fn holder(journal: &Journal) -> Consumer {
    journal.consumer(CONSUMER, Start::Oldest).expect("nobody else has the journal")
}

impl DiskLetters {
    pub(crate) fn new(site: Site) -> DiskLetters {
        DiskLetters { site, open: OnceCell::new(), still: Arc::default() }
    }

    /// Opens the journal if there is one, and says which letters are to be replayed.
    pub(crate) async fn recover(&self) -> Result<Vec<u64>, JournalError> {
        if !self.site.world.disk.exists(&self.site.directory) {
            return Ok(Vec::new());
        }
        let open = self.open().await?;
        let again = open.index.lock().again.iter().copied().collect();
        Ok(again)
    }

    /// Those that were to be replayed are on their way.
    pub(crate) fn have_been_replayed(&self) {
        if let Some(open) = self.open.get() {
            open.index.lock().again.clear();
            open.wake.notify_one();
        }
    }

    /// Keeps each letter where it is, and so its sequence, for as long as this is held.
    pub(crate) async fn keep_still(&self) -> OwnedMutexGuard<()> {
        self.still.clone().lock_owned().await
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
        let body = record::write_letter(&letter);
        let bytes = body.len() as u64;
        let appended = open.custody.appender().append(&mut vec![body], leases).await;
        match appended {
            Ok(sequence) => {
                open.index.lock().note(sequence, bytes);
                open.wake.notify_one();
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
        let wake = open.wake.clone();
        {
            let mut index = index.lock();
            if !index.has(letter) || !index.out.insert(letter) {
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
                wake.notify_one();
                return;
            }
            // First of all: in a full journal this is what makes room.
            index.lock().trim();
            // Where there is no room for the note now, it is a letter again after a restart: no loss.
            let noted = appender.try_append(&mut vec![record::write_gone(&[letter])], Vec::new);
            if let Ok(note) = noted {
                let mut index = index.lock();
                index.next = index.next.max(note + 1);
                index.trim();
            }
            wake.notify_one();
        }))
    }

    /// How many there are; those of a journal that nobody has needed yet do not count.
    pub(crate) fn len(&self) -> usize {
        self.open.get().map_or(0, |open| open.index.lock().kept.len())
    }

    /// Ends when all that is kept can be read. What waits for room is not waited for: it waits for those to be taken away that
    /// are there.
    pub(crate) async fn all_safe(&self) {
        if let Some(open) = self.open.get() {
            open.custody.appender().all_safe_or_full().await;
        }
    }

    /// Puts everything on disk and gives the journal up. Returns how many letters may be nowhere else.
    pub(crate) async fn close(&self) -> u64 {
        let Some(open) = self.open.get() else { return 0 };
        let left = open.custody.close().await;
        let index = open.index.lock();
        // A letter is a parcel of its own, and the others are notes.
        let lost = left.into_iter().filter(|left| left.leased == 0);
        lost.map(|left| index.kept.range(left.sequences).count() as u64).sum()
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
                let Some((journal, generation)) = journal else { return Err(JournalError::Stopping) };
                let read = self.site.world.disk.offload(move || Index::read(&site, &journal)).await?;
                let (index, wake) = (Arc::new(Mutex::new(read)), Arc::new(Notify::new()));
                let sweeper = Sweeper {
                    site: self.site.clone(),
                    appender: custody.appender().clone(),
                    generation,
                    index: index.clone(),
                    wake: wake.clone(),
                    still: self.still.clone(),
                };
                Ok(Open { custody, index, wake, sweeper: tokio::spawn(sweeper.run()) })
            })
            .await
    }
}

impl Open {
    async fn note_gone(&self, letters: &[u64]) {
        if letters.is_empty() {
            return;
        }
        // First of all: in a full journal this is what makes room for the notes.
        self.index.lock().trim();
        let (appender, clock) = (self.custody.appender(), self.custody.appender().site().world.clock);
        for some in letters.chunks(record::SEQUENCES_MAX) {
            let mut note = vec![record::write_gone(some)];
            let noted = clock.timeout(NOTE_PATIENCE, appender.append(&mut note, Vec::new)).await;
            let mut index = self.index.lock();
            match noted {
                Ok(Ok(sequence)) => index.next = index.next.max(sequence + 1),
                _ if some.last() < Some(&index.consumer.low()) => {}
                _ => tracing::error!(
                    "no room to note that letters are dropped: they are there again after a restart"
                ),
            }
        }
        self.index.lock().trim();
        self.wake.notify_one();
        self.custody.appender().all_safe_or_full().await;
    }
}

impl Index {
    fn note(&mut self, letter: u64, bytes: u64) {
        self.kept.insert(letter, bytes);
        self.kept_bytes += bytes;
        self.written_bytes += bytes;
        self.next = self.next.max(letter + 1);
    }
}

impl std::fmt::Debug for DiskLetters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DiskLetters({})", self.site.directory.display())
    }
}
