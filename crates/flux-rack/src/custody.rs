//! A journal with whoever appends to it, and what was appended and is not safe yet.
//!
//! The leases of what is appended end when the journal has it safe. A journal that fails (a sync that went wrong) is opened
//! again without what was not safe, for a file may seem to hold what never came to the disk; that is appended again, in its
//! old places. Whoever has more waits meanwhile, and nobody is told of a success that was none.

mod site;

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use flux_gear::Lease;
use flux_journal::{Ack, AppendError, Journal, Receipt, Stats};
use flux_world::{Backoff, planted};
use parking_lot::Mutex;
use tokio::{sync::Notify, task::JoinHandle};

pub use site::JournalError;
pub(crate) use site::Site;

/// How often who waits for records to be safe looks whether there is no room for them.
const FULL_CHECK: Duration = Duration::from_millis(100);

/// A journal that is in use, with the task that looks after it. Dropped, it leaves the journal as it is.
pub(crate) struct Custody {
    appender: Arc<Appender>,
    keeper: JoinHandle<()>,
}

/// Appends to a journal that may have to be opened again.
pub(crate) struct Appender {
    /// What the journal is for, as logs name it.
    name: String,
    site: Site,
    state: Mutex<State>,
    /// Rings when the journal can be used again, or will not be any more, and when all is safe.
    changed: Notify,
    /// Rings when there is something for the keeper.
    bell: Notify,
}

struct State {
    journal: Opened,
    ack: Ack,
    /// How often it was opened.
    generation: u64,
    /// Oldest first.
    parcels: VecDeque<Parcel>,
    /// Parcels taken so far, and those of them that are safe.
    taken: u64,
    released: u64,
}

enum Opened {
    Usable(Journal),
    /// It is about to be opened again.
    Failed {
        /// What went wrong last.
        why: String,
        /// Whether it had files, which must be there then.
        had_files: bool,
    },
    Closed,
}

/// What was appended in one go and is not known to be safe. Dropped, it abandons its leases.
struct Parcel {
    receipt: Receipt,
    bodies: Vec<Vec<u8>>,
    leases: Vec<Lease>,
}

/// Records that may not be on disk although the journal is closed.
pub(crate) struct Unsafe {
    pub(crate) sequences: Range<u64>,
    /// Of those, how many somebody delivers again.
    pub(crate) leased: u64,
}

/// Why a record was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// There is no room now, or the journal is being opened again.
    NotNow,
    /// It is longer than the journal takes.
    TooLong(AppendError),
    /// The rack is stopping.
    Closed,
}

impl Custody {
    /// Opens the journal, or makes it.
    pub(crate) async fn open(name: String, site: Site) -> Result<Custody, JournalError> {
        let journal = site.open(&name).await?;
        let state = State {
            journal: Opened::Usable(journal),
            ack: site.config.ack,
            generation: 1,
            parcels: VecDeque::new(),
            taken: 0,
            released: 0,
        };
        let (changed, bell) = (Notify::new(), Notify::new());
        let appender = Arc::new(Appender { name, site, state: Mutex::new(state), changed, bell });
        let keeper = tokio::spawn(appender.clone().keep());
        Ok(Custody { appender, keeper })
    }

    pub(crate) fn appender(&self) -> &Arc<Appender> {
        &self.appender
    }

    /// Takes no more, puts what was appended on disk, and gives the journal up. What cannot be put there abandons its
    /// leases.
    pub(crate) async fn close(&self) -> Vec<Unsafe> {
        self.keeper.abort();
        self.appender.close().await
    }

    /// Gives the journal up as it is: whoever still appends is refused.
    pub(crate) fn let_go(&self) {
        self.keeper.abort();
        let (journal, parcels) = self.appender.take();
        drop((journal, parcels));
    }
}

impl Drop for Custody {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl Parcel {
    /// It is safe.
    fn settle(mut self) {
        self.leases.clear();
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.leases.drain(..).for_each(Lease::abandon);
    }
}

impl Appender {
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Appends records that belong together if there is room, and empties `bodies` then. The leases, which are asked for
    /// only then, end when the records are safe. Returns the sequence of the first.
    pub(crate) fn try_append(
        &self,
        bodies: &mut Vec<Vec<u8>>,
        leases: impl FnOnce() -> Vec<Lease>,
    ) -> Result<u64, Refused> {
        let mut state = self.state.lock();
        let receipt = match &state.journal {
            Opened::Usable(journal) => journal.try_append_batch(bodies),
            Opened::Failed { .. } => return Err(Refused::NotNow),
            Opened::Closed => return Err(Refused::Closed),
        };
        match receipt {
            Ok(receipt) => Ok(self.take_parcel(&mut state, receipt, bodies, leases())),
            Err(AppendError::Full { .. }) => Err(Refused::NotNow),
            Err(why @ AppendError::TooLong { .. }) => Err(Refused::TooLong(why)),
            Err(why) => {
                self.note_failure(&mut state, &why);
                Err(Refused::NotNow)
            }
        }
    }

    /// The same, waiting for room as long as it takes, and saying so when it takes long. Dropped before its end it has
    /// taken nothing.
    pub(crate) async fn append(
        &self,
        bodies: &mut Vec<Vec<u8>>,
        leases: impl FnOnce() -> Vec<Lease>,
    ) -> Result<u64, Refused> {
        let mut is_reported = false;
        loop {
            let Some((journal, generation)) = self.usable(0).await else { return Err(Refused::Closed) };
            match journal.append_batch(bodies).await {
                Ok(receipt) => {
                    let mut state = self.state.lock();
                    // What went into a journal that failed since is appended to the next one.
                    if state.generation == generation {
                        return Ok(self.take_parcel(&mut state, receipt, bodies, leases()));
                    }
                }
                Err(AppendError::Full { full, waited }) => {
                    if !std::mem::replace(&mut is_reported, true) {
                        tracing::error!(journal = self.name, ?waited, why = %full, "journal takes no more: its senders wait");
                    }
                }
                Err(why @ AppendError::TooLong { .. }) => return Err(Refused::TooLong(why)),
                Err(why) => self.note_failure(&mut self.state.lock(), &why),
            }
        }
    }

    /// The journal once it can be used, if it was opened more often than `generation`; with how often it was. `None` when
    /// the rack is stopping.
    pub(crate) async fn usable(&self, generation: u64) -> Option<(Journal, u64)> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.state.lock();
                match &state.journal {
                    Opened::Usable(journal) if state.generation > generation => {
                        return Some((journal.clone(), state.generation));
                    }
                    Opened::Usable(_) | Opened::Failed { .. } => {}
                    Opened::Closed => return None,
                }
            }
            changed.await;
        }
    }

    /// Acknowledges at another level from now on.
    pub(crate) fn set_ack(&self, ack: Ack) {
        let mut state = self.state.lock();
        state.ack = ack;
        if let Opened::Usable(journal) = &state.journal {
            journal.set_ack(ack);
        }
    }

    /// Ends when all that was appended so far is safe, or the rack is stopping. What is appended meanwhile is not waited for.
    pub(crate) async fn all_safe(&self) {
        let taken = self.state.lock().taken;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.state.lock();
                if state.released >= taken || matches!(state.journal, Opened::Closed) {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Records that were appended and wait for the disk.
    pub(crate) fn unsafe_yet(&self) -> u64 {
        let state = self.state.lock();
        let waiting = state.parcels.iter().filter(|parcel| !parcel.receipt.is_safe());
        waiting.map(|parcel| parcel.bodies.len() as u64).sum()
    }

    async fn close(&self) -> Vec<Unsafe> {
        let (journal, parcels) = self.take();
        let closed = match journal {
            Opened::Usable(journal) => journal.close().await.map_err(|why| why.to_string()),
            Opened::Failed { why, .. } => Err(format!("it failed before: {why}")),
            Opened::Closed => Ok(()),
        };
        match closed {
            Ok(()) => {
                parcels.into_iter().for_each(Parcel::settle);
                Vec::new()
            }
            Err(why) => {
                let (safe, parcels): (Vec<_>, Vec<_>) =
                    parcels.into_iter().partition(|parcel| parcel.receipt.is_safe());
                safe.into_iter().for_each(Parcel::settle);
                let records: usize = parcels.iter().map(|parcel| parcel.bodies.len()).sum();
                tracing::error!(
                    journal = self.name,
                    records,
                    error = why,
                    "journal did not close well: its last records, or what was settled last, may not be on disk"
                );
                let left = |parcel: &Parcel| Unsafe {
                    sequences: parcel.receipt.sequences(),
                    leased: parcel.leases.len() as u64,
                };
                parcels.iter().map(left).collect()
            }
        }
    }

    fn take(&self) -> (Opened, VecDeque<Parcel>) {
        let mut state = self.state.lock();
        let taken =
            (std::mem::replace(&mut state.journal, Opened::Closed), std::mem::take(&mut state.parcels));
        drop(state);
        self.changed.notify_waiters();
        taken
    }

    /// Records that the consumer of this kind has not settled.
    pub(crate) fn unsettled_by(&self, is_it: impl Fn(&str) -> bool) -> u64 {
        match &self.state.lock().journal {
            Opened::Usable(journal) => {
                let low = journal.consumers().into_iter().find(|(name, _)| is_it(name)).map(|(_, low)| low);
                let stats = journal.stats();
                stats.next.saturating_sub(low.unwrap_or(stats.first))
            }
            Opened::Failed { .. } | Opened::Closed => 0,
        }
    }

    /// What the journal counts; `None` while it is being opened again.
    pub(crate) fn stats(&self) -> Option<Stats> {
        match &self.state.lock().journal {
            Opened::Usable(journal) => Some(journal.stats()),
            Opened::Failed { .. } | Opened::Closed => None,
        }
    }

    /// Why it cannot be used now, while it is being opened again.
    pub(crate) fn failure(&self) -> Option<String> {
        match &self.state.lock().journal {
            Opened::Failed { why, .. } => Some(why.clone()),
            Opened::Usable(_) | Opened::Closed => None,
        }
    }

    /// The same, but what waits for room is not waited for: it may wait for whoever asks.
    pub(crate) async fn all_safe_or_full(&self) {
        let clock = self.site.world.clock;
        let is_full = || self.stats().is_some_and(|stats| stats.full.is_some());
        while clock.timeout(FULL_CHECK, self.all_safe()).await.is_err() && !is_full() {}
    }

    fn take_parcel(
        &self,
        state: &mut State,
        receipt: Receipt,
        bodies: &mut Vec<Vec<u8>>,
        mut leases: Vec<Lease>,
    ) -> u64 {
        if planted("told_before_safe") {
            leases.clear();
        }
        let first = receipt.sequences().start;
        state.taken += 1;
        state.parcels.push_back(Parcel { receipt, bodies: std::mem::take(bodies), leases });
        if state.parcels.len() == 1 {
            self.bell.notify_one();
        }
        first
    }

    /// The journal of this opening cannot be read any more.
    pub(crate) fn failed(&self, generation: u64, why: &dyn std::error::Error) {
        let mut state = self.state.lock();
        if state.generation == generation {
            self.note_failure(&mut state, why);
        }
    }

    fn note_failure(&self, state: &mut State, why: &dyn std::error::Error) {
        if let Opened::Usable(journal) = &state.journal {
            tracing::error!(journal = self.name, error = %why, "journal failed: it is opened again, and its senders wait");
            let had_files = journal.stats().bytes > 0;
            state.journal = Opened::Failed { why: why.to_string(), had_files };
            self.bell.notify_one();
        }
    }

    /// Ends leases as records become safe, and opens the journal again when it failed.
    async fn keep(self: Arc<Self>) {
        loop {
            let (oldest, has_failed) = {
                let state = self.state.lock();
                let oldest = state.parcels.front().map(|parcel| parcel.receipt.clone());
                (oldest, matches!(state.journal, Opened::Failed { .. }))
            };
            match oldest {
                _ if has_failed => self.reopen().await,
                Some(receipt) => match receipt.wait().await {
                    Ok(()) => self.release_safe(),
                    Err(why) => self.note_failure(&mut self.state.lock(), &why),
                },
                None => self.bell.notified().await,
            }
        }
    }

    /// Lets go of all that is safe.
    fn release_safe(&self) {
        self.release_while(|parcel| parcel.receipt.is_safe());
    }

    /// Lets go of what the journal has before this sequence.
    fn release_before(&self, next: u64) {
        self.release_while(|parcel| parcel.receipt.sequences().end <= next);
    }

    fn release_while(&self, is_safe: impl Fn(&Parcel) -> bool) {
        let safe: Vec<Parcel> = {
            let mut state = self.state.lock();
            let n = state.parcels.iter().take_while(|parcel| is_safe(parcel)).count();
            state.released += n as u64;
            state.parcels.drain(..n).collect()
        };
        // Out of the lock: whoever a lease belongs to may append.
        safe.into_iter().for_each(Parcel::settle);
        self.changed.notify_waiters();
    }

    async fn reopen(&self) {
        let (clock, mut backoff) = (self.site.world.clock, Backoff::new(self.site.backoff));
        loop {
            clock.sleep(backoff.wait(clock.now(), &self.site.world.entropy)).await;
            match self.open_again().await {
                Ok((journal, next)) => {
                    self.release_before(next);
                    if self.append_again(&journal).await {
                        return;
                    }
                }
                Err(why) => {
                    let told = why.to_string();
                    // Said once, and for as long as it is so by the alarm.
                    if let Opened::Failed { why, .. } = &mut self.state.lock().journal
                        && *why != told
                    {
                        tracing::error!(
                            journal = self.name,
                            error = told,
                            "journal cannot be opened again yet"
                        );
                        *why = told;
                    }
                }
            }
        }
    }

    /// Opens it where it was, without what is appended again. One that is gone is not begun anew beside what it held.
    async fn open_again(&self) -> Result<(Journal, u64), JournalError> {
        let (had_files, unsafe_from) = {
            let state = self.state.lock();
            let had_files = matches!(state.journal, Opened::Failed { had_files: true, .. });
            let oldest = state.parcels.front();
            (had_files, oldest.map_or(u64::MAX, |parcel| parcel.receipt.sequences().start))
        };
        let (disk, directory) = (&self.site.world.disk, &self.site.directory);
        if had_files && !flux_journal::is_journal(disk, directory) {
            return Err(JournalError::Gone { directory: directory.clone() });
        }
        self.site.reopen(&self.name, unsafe_from).await
    }

    /// Appends what was not safe, in its order, before anybody else does. Whether it could.
    async fn append_again(&self, journal: &Journal) -> bool {
        let mut parcels = std::mem::take(&mut self.state.lock().parcels);
        if planted("unsafe_not_appended_again") {
            parcels.drain(..).for_each(Parcel::settle);
        }
        let mut records = 0;
        for parcel in &mut parcels {
            match journal.append_batch(&parcel.bodies).await {
                Ok(receipt) => {
                    debug_assert_eq!(
                        receipt.sequences(),
                        parcel.receipt.sequences(),
                        "each in its old place"
                    );
                    parcel.receipt = receipt;
                }
                Err(why) => {
                    tracing::error!(journal = self.name, error = %why, "journal failed again");
                    self.state.lock().parcels = parcels;
                    return false;
                }
            }
            records += parcel.bodies.len();
        }
        let mut state = self.state.lock();
        state.parcels = parcels;
        if let Opened::Closed = state.journal {
            return true;
        }
        state.generation += 1;
        journal.set_ack(state.ack);
        state.journal = Opened::Usable(journal.clone());
        drop(state);
        tracing::info!(
            journal = self.name,
            records,
            "journal is open again; what was not safe was appended again"
        );
        self.changed.notify_waiters();
        true
    }
}
