//! A bucket on a journal: one task decides, appends what was decided together, and shows it when it is safe.
//!
//! A journal is trimmed from the front, so before its front can go, what is there is written anew at its end, a little after
//! each batch: a *sweep*. It notes where the journal ends and goes through the entries by key; when the last of them is safe,
//! everything before the note can go. At no moment is an entry only in what goes.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use flux_journal::{Config, Consumer, Journal, Start};
use flux_world::Clock;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::content::{Content, Place, length};
use super::{Ground, change, failed, refused};
use crate::bucket::{Bucket, Entry, Revision, Update, Watch};
use crate::bus::Answer;
use crate::config::BucketConfig;
use crate::error::Error;
use crate::limits::OPERATION_DEADLINE;
use crate::names::{Key, Name};

/// Holds what is there: its low mark is the last sweep's note.
const HOLDER: &str = "bucket";
const REPLAY: &str = "replay";
const BATCH_RECORDS: usize = 1_024;

/// Changes that wait to be decided.
const QUEUE_CHANGES_MAX: usize = 256;

/// Changes that are decided together.
const TOGETHER_CHANGES_MAX: usize = 64;

/// What may pile up before a sweep is worth it, besides twice what is there; less where segments are shorter.
const SWEEP_BYTES_MIN: u64 = 1 << 20;

#[derive(Clone, Debug)]
pub(super) struct JournalBucket {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: Name,
    clock: Clock,
    value_bytes_max: usize,
    content: Arc<Mutex<Content>>,
    last: watch::Receiver<Revision>,
    /// None when it is closed.
    changes: Mutex<Option<mpsc::Sender<Change>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Change {
    key: Key,
    /// None removes.
    value: Option<Bytes>,
    /// None: where there is no entry.
    expected: Option<Revision>,
    done: oneshot::Sender<Result<Revision, Error>>,
}

struct Writer {
    /// Keeps the directory until the journal is closed.
    _ground: Ground,
    journal: Journal,
    holder: Consumer,
    content: Arc<Mutex<Content>>,
    last: watch::Sender<Revision>,
    bytes_max: usize,
    /// What one append may carry.
    together_bytes_max: usize,
    /// Length on disk of the records since the last note, about.
    bytes: u64,
    sweep_bytes_min: u64,
    sweep: Option<Sweep>,
}

struct Sweep {
    note: u64,
    done: Option<Key>,
}

impl JournalBucket {
    pub(super) async fn open(
        ground: &Ground,
        directory: &Path,
        config: &BucketConfig,
    ) -> Result<Self, Error> {
        let Ground { world, settings, keys, .. } = ground;
        world.disk.make_private_dir(directory).map_err(failed)?;
        let journal_config = Config {
            segment_bytes: settings.segment_bytes,
            bytes_max: config.bytes_max.saturating_mul(8).saturating_add(8 * settings.segment_bytes),
            gather_bytes_max: settings.gather_bytes_max(),
            // Read once, before anything is written.
            recent_bytes_max: 0,
            ack: settings.ack,
            ..Config::default()
        };
        let (journal, found) =
            Journal::open(world, directory, journal_config, keys.clone()).map_err(failed)?;
        if !found.damages.is_empty() {
            // An entry that is gone without a word is worse than a bucket that does not open.
            return Err(Error::Failed(format!("bucket {} is damaged: {}", config.name, found.damages[0])));
        }
        let holder = journal.consumer(HOLDER, Start::Oldest).map_err(failed)?;
        let (content, bytes) = replay(&journal, &config.name).await?;
        let (last, seen) = watch::channel(content.last());
        let content = Arc::new(Mutex::new(content));
        let writer = Writer {
            _ground: ground.clone(),
            journal,
            holder,
            content: content.clone(),
            last,
            bytes_max: usize::try_from(config.bytes_max).unwrap_or(usize::MAX),
            together_bytes_max: settings.gather_bytes_max() / 2,
            bytes,
            sweep_bytes_min: SWEEP_BYTES_MIN.min(4 * settings.segment_bytes),
            sweep: None,
        };
        let (changes, queue) = mpsc::channel(QUEUE_CHANGES_MAX);
        let writer = Mutex::new(Some(tokio::spawn(writer.run(queue))));
        let (name, clock, changes) = (config.name.clone(), world.clock, Mutex::new(Some(changes)));
        let value_bytes_max = settings.body_bytes_max();
        let shared = Shared { name, clock, value_bytes_max, content, last: seen, changes, writer };
        Ok(Self { shared: Arc::new(shared) })
    }

    async fn change(
        &self,
        key: Key,
        value: Option<Bytes>,
        expected: Option<Revision>,
    ) -> Result<Revision, Error> {
        let (bytes, bytes_max) = (value.as_ref().map_or(0, Bytes::len), self.shared.value_bytes_max);
        if bytes > bytes_max {
            return Err(Error::TooLong { bytes, bytes_max });
        }
        let (done, answer) = oneshot::channel();
        let changes = self.shared.changes.lock().clone().ok_or(Error::Closed)?;
        let changed = async {
            changes.send(Change { key, value, expected, done }).await.map_err(|_| Error::Closed)?;
            answer.await.map_err(|_| Error::Closed)?
        };
        let outcome = self.shared.clock.timeout(OPERATION_DEADLINE, changed).await;
        outcome.map_err(|_| Error::Deadline(OPERATION_DEADLINE))?
    }

    /// Ends the writer; what it has taken is decided first.
    pub(super) async fn close(&self) {
        self.shared.changes.lock().take();
        let writer = self.shared.writer.lock().take();
        if let Some(writer) = writer {
            let _ = writer.await;
        }
    }
}

impl Writer {
    async fn run(mut self, mut queue: mpsc::Receiver<Change>) {
        let mut put_back = None;
        loop {
            let first = match put_back.take() {
                Some(change) => change,
                None if self.sweep.is_some() && queue.is_empty() => {
                    if let Err(error) = self.sweep_on().await {
                        return refuse_all(queue, error).await;
                    }
                    continue;
                }
                None => match queue.recv().await {
                    Some(change) => change,
                    None => break,
                },
            };
            let (together, rest) = self.gather(first, &mut queue);
            put_back = rest;
            if let Err(error) = self.decide(together).await {
                return refuse_all(queue, error).await;
            }
            if let Err(error) = self.sweep_on().await {
                return refuse_all(queue, error).await;
            }
        }
        let _ = self.journal.close().await;
    }

    /// What waits with the first one, as far as one append carries it.
    fn gather(&self, first: Change, queue: &mut mpsc::Receiver<Change>) -> (Vec<Change>, Option<Change>) {
        let mut bytes = first.record_bytes();
        let mut together = vec![first];
        while together.len() < TOGETHER_CHANGES_MAX {
            let Ok(change) = queue.try_recv() else { break };
            bytes += change.record_bytes();
            if bytes > self.together_bytes_max {
                return (together, Some(change));
            }
            together.push(change);
        }
        (together, None)
    }

    /// Decides in order, each knowing the ones before it; an error is the end of the bucket.
    async fn decide(&mut self, together: Vec<Change>) -> Result<(), Error> {
        let mut next = self.journal_next() + 1;
        let mut decided: Vec<(Change, Revision)> = Vec::new();
        let mut bytes = self.content.lock().bytes();
        for change in together {
            let before = decided.iter().rev().find(|(other, _)| other.key == change.key);
            let (current, length) = match before {
                Some((other, revision)) => (other.value.as_ref().map(|_| *revision), other.length()),
                None => {
                    let content = self.content.lock();
                    let entry = content.get(&change.key);
                    (entry.map(|entry| entry.revision), entry.map_or(0, length_of))
                }
            };
            let after = (bytes + change.length()).saturating_sub(length);
            if current != change.expected {
                let _ = change.done.send(Err(Error::Revision(change.key)));
            } else if change.value.is_some() && after > self.bytes_max {
                let _ =
                    change.done.send(Err(Error::Full(format!("a bucket holds {} bytes", self.bytes_max))));
            } else {
                bytes = after;
                decided.push((change, next));
                next += 1;
            }
        }
        if decided.is_empty() {
            return Ok(());
        }
        let records: Vec<Vec<u8>> = decided
            .iter()
            .map(|(change, revision)| change::encode(*revision, &change.key, change.value.as_ref()))
            .collect();
        match self.append(&records).await {
            Ok(_) => {}
            Err(error @ (Error::Full(_) | Error::TooLong { .. })) => {
                decided.into_iter().for_each(|(change, _)| drop(change.done.send(Err(error.clone()))));
                return Ok(());
            }
            Err(error) => {
                decided.into_iter().for_each(|(change, _)| drop(change.done.send(Err(error.clone()))));
                return Err(error);
            }
        }
        let mut content = self.content.lock();
        for (change, revision) in decided {
            content.apply(revision, change.key, change.value);
            let _ = change.done.send(Ok(revision));
        }
        self.last.send_replace(content.last());
        Ok(())
    }

    /// The sequence of the next record: nobody else appends, and what was appended is safe.
    fn journal_next(&self) -> u64 {
        self.journal.stats().next
    }

    async fn append(&mut self, records: &[Vec<u8>]) -> Result<(), Error> {
        let receipt = self.journal.append_batch(records).await.map_err(refused)?;
        receipt.wait().await.map_err(refused)?;
        self.bytes += records.iter().map(|record| disk_bytes(record)).sum::<u64>();
        Ok(())
    }

    /// Begins a sweep when it is worth it, and takes it one step further.
    async fn sweep_on(&mut self) -> Result<(), Error> {
        if self.sweep.is_none() && self.bytes > self.sweep_bytes_min + 2 * self.content.lock().bytes() as u64
        {
            self.bytes = 0;
            self.sweep = Some(Sweep { note: self.journal_next(), done: None });
        }
        let Some(Sweep { note, done }) = self.sweep.take() else { return Ok(()) };
        let (mut records, mut bytes, mut last) = (Vec::new(), 0, done.clone());
        {
            let content = self.content.lock();
            for entry in content.after(done.as_ref()) {
                bytes += length_of(entry);
                if !records.is_empty() && bytes > self.together_bytes_max {
                    break;
                }
                records.push(change::encode(entry.revision, &entry.key, Some(&entry.value)));
                last = Some(entry.key.clone());
            }
        }
        if records.is_empty() {
            self.holder.settle_until(note);
            return Ok(());
        }
        match self.append(&records).await {
            Ok(()) => self.sweep = Some(Sweep { note, done: last }),
            // There is no room now: begin again after a further change.
            Err(Error::Full(_)) => self.bytes = u64::MAX / 2,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Change {
    /// What it leaves there.
    fn length(&self) -> usize {
        self.value.as_ref().map_or(0, |value| length(&self.key, value))
    }

    fn record_bytes(&self) -> usize {
        length(&self.key, self.value.as_deref().unwrap_or_default())
    }
}

fn length_of(entry: &Entry) -> usize {
    length(&entry.key, &entry.value)
}

/// What a record takes on disk, about.
fn disk_bytes(record: &[u8]) -> u64 {
    record.len() as u64 + 64
}

async fn refuse_all(mut queue: mpsc::Receiver<Change>, error: Error) {
    tracing::error!(%error, "a bucket takes no more changes");
    while let Some(change) = queue.recv().await {
        let _ = change.done.send(Err(error.clone()));
    }
}

async fn replay(journal: &Journal, name: &Name) -> Result<(Content, u64), Error> {
    let stats = journal.stats();
    journal.forget(REPLAY);
    let mut reader = journal.consumer(REPLAY, Start::Oldest).map_err(failed)?;
    let (mut content, mut bytes) = (Content::default(), 0);
    while reader.low() < stats.next {
        let batch = reader.next(BATCH_RECORDS).await.map_err(failed)?;
        if batch.skipped > 0 {
            tracing::warn!(bucket = %name, changes = batch.skipped, "changes of a bucket were lost before");
        }
        for found in batch.records {
            bytes += disk_bytes(&found.body);
            let (revision, key, value) = change::decode(found.body).ok_or_else(|| {
                Error::Failed(format!("record {} of bucket {name} is no change", found.sequence))
            })?;
            content.apply(revision, key, value);
            reader.settle(found.sequence);
        }
    }
    drop(reader);
    journal.forget(REPLAY);
    // Revisions are places in the journal, so none is given twice; and what was trimmed may have been removals.
    if stats.first > 0 {
        content.forget_removals_until(stats.next);
    }
    Ok((content, bytes))
}

impl Bucket for JournalBucket {
    fn get(&self, key: Key) -> Answer<'_, Option<Entry>> {
        let entry = self.shared.content.lock().get(&key).cloned();
        Box::pin(async { Ok(entry) })
    }

    fn create(&self, key: Key, value: Bytes) -> Answer<'_, Revision> {
        Box::pin(self.change(key, Some(value), None))
    }

    fn put(&self, key: Key, value: Bytes, expected: Revision) -> Answer<'_, Revision> {
        Box::pin(self.change(key, Some(value), Some(expected)))
    }

    fn delete(&self, key: Key, expected: Revision) -> Answer<'_, Revision> {
        Box::pin(self.change(key, None, Some(expected)))
    }

    fn list(&self) -> Answer<'_, Vec<Entry>> {
        let entries = self.shared.content.lock().entries().cloned().collect();
        Box::pin(async { Ok(entries) })
    }

    fn watch(&self, from: Revision) -> Answer<'_, Box<dyn Watch>> {
        let watch = JournalWatch {
            name: self.shared.name.clone(),
            content: self.shared.content.clone(),
            last: self.shared.last.clone(),
            place: Place::behind(from),
        };
        Box::pin(async { Ok(Box::new(watch) as Box<dyn Watch>) })
    }
}

/// It has no queue: what is to be told next is found in the bucket when it is asked for.
struct JournalWatch {
    name: Name,
    content: Arc<Mutex<Content>>,
    last: watch::Receiver<Revision>,
    place: Place,
}

impl std::fmt::Debug for JournalWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "watch of {}", self.name)
    }
}

impl Watch for JournalWatch {
    fn next(&mut self) -> Answer<'_, Update> {
        Box::pin(async {
            loop {
                self.last.borrow_and_update();
                if let Some(update) = self.content.lock().next(&mut self.place) {
                    return Ok(update);
                }
                self.last.changed().await.map_err(|_| Error::Closed)?;
            }
        })
    }
}
