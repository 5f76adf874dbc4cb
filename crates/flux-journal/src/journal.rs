//! The journal as its owner sees it: append, wait for a receipt, consume, close.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flux_world::World;
use flux_world::disk::Worker;

use crate::config::{Ack, Config};
use crate::consumer::Consumer;
use crate::cursor::{Cursor, is_name};
use crate::error::{AppendError, ConsumerError, Full, OpenError};
use crate::keys::Keys;
use crate::limits::CONSUMERS_MAX;
use crate::recovery::{self, Recovery};
use crate::shared::{End, Shared, Standing};

/// An open journal; a clone is the same one. When the last is dropped, what was gathered is written and the journal closed,
/// for which the drop waits.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    _writer: Worker,
}

/// The claim to a record, or to the batch of one call, being safe. Cheap: it waits for a watermark.
#[derive(Clone, Debug)]
pub struct Receipt {
    shared: Arc<Shared>,
    first: u64,
    next: u64,
}

/// Where a consumer of a new name begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record there is.
    Oldest,
    /// With the next one that is appended.
    Latest,
}

/// What a journal counts, since it was opened where not said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The oldest record that is on disk.
    pub first: u64,
    /// Behind the last acknowledged record.
    pub next: u64,
    /// Segments on disk.
    pub segments: u64,
    /// Their length together.
    pub bytes: u64,
    /// What waits to be written.
    pub gathered_bytes: u64,
    /// Groups written.
    pub groups: u64,
    /// Syncs for them.
    pub syncs: u64,
    /// Records that went unread because of `age_max`.
    pub dropped_by_age: u64,
    /// Records that went unread because of `bytes_max` with [`WhenFull::DropOldest`](crate::WhenFull::DropOldest).
    pub dropped_by_size: u64,
    /// Why nothing more is taken for now.
    pub full: Option<Full>,
}

impl Journal {
    /// Opens the journal in `directory`, or makes one there, and says what was found.
    ///
    /// Blocks for as long as the last segment takes to read: it alone is verified, the others when they are read or by
    /// [`check`](crate::check). A torn tail is cut; damage is reported, kept and not served. On an error nothing was changed.
    pub fn open(
        world: &World,
        directory: &Path,
        config: Config,
        keys: Keys,
    ) -> Result<(Self, Recovery), OpenError> {
        Self::reopen(world, directory, config, keys, u64::MAX)
    }

    /// The same after it failed, by who knows that nobody was told of records from `unsafe_from` on: what the last segment
    /// has of them is cut, so that they can be appended again in their old places. [`Recovery::next`] is where to begin: it
    /// is later only where records before it turned out to be safe.
    pub fn reopen(
        world: &World,
        directory: &Path,
        config: Config,
        keys: Keys,
        unsafe_from: u64,
    ) -> Result<(Self, Recovery), OpenError> {
        config.validate()?;
        let (shared, writer, recovery) = recovery::open(world, directory, config, keys, unsafe_from)?;
        let worker =
            world.disk.employ("journal", writer).map_err(|error| recovery::io_at(directory, error))?;
        let _ = shared.bell.set(worker.bell());
        Ok((Self { inner: Arc::new(Inner { shared, _writer: worker }) }, recovery))
    }

    /// Takes a record, waiting for room up to `append_deadline`. It is safe when the receipt says so.
    pub async fn append(&self, body: &[u8]) -> Result<Receipt, AppendError> {
        self.when_there_is_room(|| self.try_append(body)).await
    }

    /// Takes a record if there is room: what a hot path calls, without a task switch.
    pub fn try_append(&self, body: &[u8]) -> Result<Receipt, AppendError> {
        Ok(self.receipt(self.inner.shared.push(std::iter::once(body))?))
    }

    /// Takes records that belong together, waiting for room: after a crash all of them are there or none.
    pub async fn append_batch<B: AsRef<[u8]>>(&self, bodies: &[B]) -> Result<Receipt, AppendError> {
        self.when_there_is_room(|| self.try_append_batch(bodies)).await
    }

    /// Takes records that belong together if there is room.
    pub fn try_append_batch<B: AsRef<[u8]>>(&self, bodies: &[B]) -> Result<Receipt, AppendError> {
        Ok(self.receipt(self.inner.shared.push(bodies.iter().map(AsRef::as_ref))?))
    }

    /// Waits until every record taken so far is on disk, whatever the level of acknowledgement.
    pub async fn sync(&self) -> Result<(), AppendError> {
        let shared = &self.inner.shared;
        let until = {
            let mut gather = shared.gather.lock();
            gather.wants_sync = true;
            gather.sequence_next
        };
        shared.ring();
        shared.wait(until, Ack::Disk).await
    }

    /// Waits until every record before `until` is on disk, whatever the level of acknowledgement.
    pub async fn on_disk(&self, until: u64) -> Result<(), AppendError> {
        if self.inner.shared.watermark(Ack::Disk) >= until {
            return Ok(());
        }
        self.sync().await
    }

    /// The consumer `name`, where it stood, or a new one. Records trim no further than the last consumer has settled.
    pub fn consumer(&self, name: &str, start: Start) -> Result<Consumer, ConsumerError> {
        if !is_name(name) {
            return Err(ConsumerError::Name);
        }
        let shared = &self.inner.shared;
        // A record that is gathered now is one that was appended before.
        let latest = shared.gather.lock().sequence_next;
        let mut consumers = shared.consumers.lock();
        let standing = match consumers.by_name.get(name) {
            Some(standing) => standing.clone(),
            None if consumers.by_name.len() == CONSUMERS_MAX => return Err(ConsumerError::TooMany),
            None => {
                let low = match start {
                    Start::Oldest => {
                        shared.segments.lock().list.first().map_or(0, |first| first.base_sequence)
                    }
                    Start::Latest => latest,
                };
                let standing = Arc::new(Standing { cursor: Cursor::at(low).into(), ..Standing::default() });
                standing.has_moved.store(true, Ordering::Release);
                consumers.by_name.insert(name.to_owned(), standing.clone());
                consumers.forgotten.remove(name);
                shared.has_moved.store(true, Ordering::Release);
                standing
            }
        };
        if standing.is_in_use.swap(true, Ordering::AcqRel) {
            return Err(ConsumerError::InUse { name: name.to_owned() });
        }
        drop(consumers);
        shared.ring();
        Ok(Consumer::new(shared.clone(), standing))
    }

    /// Acknowledges at another level from now on. What was acknowledged stays so.
    pub fn set_ack(&self, ack: Ack) {
        self.inner.shared.acks_early.store(ack == Ack::Os, Ordering::Release);
        self.inner.shared.ring();
    }

    /// Forgets where a consumer stood, so that it holds no records any more. False when there is none, or it is in use.
    pub fn forget(&self, name: &str) -> bool {
        let shared = &self.inner.shared;
        let mut consumers = shared.consumers.lock();
        let is_idle = consumers.by_name.get(name).is_some_and(|it| !it.is_in_use.load(Ordering::Acquire));
        if is_idle {
            consumers.by_name.remove(name);
            consumers.forgotten.insert(name.to_owned());
            shared.has_moved.store(true, Ordering::Release);
            drop(consumers);
            shared.ring();
        }
        is_idle
    }

    /// The consumers there are, with the oldest record each has not settled.
    pub fn consumers(&self) -> Vec<(String, u64)> {
        let consumers = self.inner.shared.consumers.lock();
        consumers
            .by_name
            .iter()
            .map(|(name, standing)| (name.clone(), standing.cursor.lock().low()))
            .collect()
    }

    /// What it counts.
    pub fn stats(&self) -> Stats {
        let shared = &self.inner.shared;
        let mut stats = Stats { next: shared.acked(), ..Stats::default() };
        {
            let segments = shared.segments.lock();
            stats.first = segments.list.first().map_or(0, |first| first.base_sequence);
            stats.segments = segments.list.len() as u64;
            stats.bytes = segments.list.iter().map(|segment| segment.bytes).sum();
        }
        {
            let gather = shared.gather.lock();
            (stats.gathered_bytes, stats.full) = (gather.bytes.len() as u64, gather.full);
        }
        let counters = &shared.counters;
        stats.groups = counters.groups.load(Ordering::Relaxed);
        stats.syncs = counters.syncs.load(Ordering::Relaxed);
        stats.dropped_by_age = counters.dropped_by_age.load(Ordering::Relaxed);
        stats.dropped_by_size = counters.dropped_by_size.load(Ordering::Relaxed);
        stats
    }

    /// Takes no more, puts all that was taken on disk with every cursor, and ends the writer. Whoever still appends is told.
    /// On an error, receipts tell which records are safe; a cursor may be where it was some time ago.
    pub async fn close(self) -> Result<(), AppendError> {
        let shared = self.inner.shared.clone();
        let until = {
            let mut gather = shared.gather.lock();
            gather.end.get_or_insert(End::Closed);
            gather.sequence_next
        };
        shared.room.notify_waiters();
        shared.ring();
        loop {
            let progress = shared.progress.notified();
            if shared.segments.lock().is_finished {
                break;
            }
            progress.await;
        }
        if matches!(shared.gather.lock().end, Some(End::Failed(_))) {
            return Err(shared.ended());
        }
        shared.wait(until, Ack::Disk).await
    }

    async fn when_there_is_room(
        &self,
        attempt: impl Fn() -> Result<Receipt, AppendError>,
    ) -> Result<Receipt, AppendError> {
        let first = attempt();
        if !matches!(first, Err(AppendError::Full { .. })) {
            return first;
        }
        let (shared, waits) = (&self.inner.shared, self.inner.shared.config.append_deadline);
        let deadline = shared.clock.now() + waits;
        loop {
            let room = shared.room.notified();
            match attempt() {
                Err(AppendError::Full { .. }) => {}
                taken_or_not => return taken_or_not,
            }
            if shared.clock.timeout_at(deadline, room).await.is_err() {
                // What is full may have turned out only since.
                return attempt().map_err(|error| match error {
                    AppendError::Full { full, .. } => AppendError::Full { full, waited: waits },
                    other => other,
                });
            }
        }
    }

    fn receipt(&self, Range { start, end }: Range<u64>) -> Receipt {
        Receipt { shared: self.inner.shared.clone(), first: start, next: end }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.end(End::Closed);
    }
}

impl Receipt {
    /// The records it stands for. Sequences rise by one, for as long as the journal exists.
    pub fn sequences(&self) -> Range<u64> {
        self.first..self.next
    }

    /// The level it resolves at, to be shown wherever it is.
    pub fn level(&self) -> Ack {
        self.shared.ack()
    }

    /// Whether the records are safe, at the journal's level.
    pub fn is_safe(&self) -> bool {
        self.shared.acked() >= self.next
    }

    /// Waits until the records are safe, at the journal's level. Ends with an error when they cannot be known to be: they may
    /// be there after a restart all the same. Dropping the future gives up waiting, not the records; a full disk makes it
    /// wait, so give it a deadline.
    pub async fn wait(&self) -> Result<(), AppendError> {
        // At the level `Disk` both watermarks move together.
        self.shared.wait(self.next, Ack::Os).await
    }
}
