//! A stream on a journal: stored once within the window, kept until nobody needs it.
//!
//! Three kinds of journal consumers hold records: `ids` those whose ids are still known, so that they are known after a restart;
//! `kept` all, unless a queue's own consumer decides; and one for each consumer of the stream.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use flux_journal::{AppendError, Config, Full, Journal, Receipt, Start, WhenFull as JournalWhenFull};
use flux_world::World;
use parking_lot::Mutex;

use super::ids::{Ids, Known};
use super::reader::Reader;
use super::{Ground, Settings, failed, record, refused};
use crate::bus::{Stored, StreamState};
use crate::config::{Begin, ConsumerConfig, Retention, StreamConfig, WhenFull};
use crate::error::Error;
use crate::limits::OPERATION_DEADLINE;
use crate::message::Message;
use crate::names::{MessageId, Name};

const IDS: &str = "ids";
const KEPT: &str = "kept";
const REPLAY: &str = "replay";

/// Records read at a time.
const BATCH_RECORDS: usize = 1_024;

/// How long to wait for a disk that is behind before asking again.
const BUSY: std::time::Duration = std::time::Duration::from_millis(1);

pub(super) struct Stream {
    pub(super) config: StreamConfig,
    epoch: u64,
    bytes_max: u64,
    pub(super) world: World,
    journal: Journal,
    ids: Mutex<Ids>,
    ids_holder: flux_journal::Consumer,
    kept_holder: Mutex<Option<flux_journal::Consumer>>,
    readers: Mutex<BTreeMap<Name, Arc<Reader>>>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stream {}", self.config.name)
    }
}

/// The journal of a stream with this configuration.
fn journal_config(config: &StreamConfig, settings: &Settings) -> Config {
    Config {
        ack: settings.ack,
        segment_bytes: settings.segment_bytes,
        // Above the stream's own bound, which refuses before anything waits in the journal for room.
        bytes_max: bound(config, settings) + 2 * settings.segment_bytes,
        when_full: match config.when_full {
            WhenFull::Refuse => JournalWhenFull::Block,
            WhenFull::DropOldest => JournalWhenFull::DropOldest,
        },
        age_max: config.age_max,
        gather_bytes_max: settings.gather_bytes_max(),
        recent_bytes_max: settings.gather_bytes_max(),
        // The bound is the stream's own, on what is out.
        window_records: flux_journal::limits::WINDOW_RECORDS_MAX,
        ..Config::default()
    }
}

/// What the stream holds: two segments at least, as one is trimmed at a time.
fn bound(config: &StreamConfig, settings: &Settings) -> u64 {
    config.bytes_max.max(2 * settings.segment_bytes)
}

impl Stream {
    /// Opens the stream with the consumers it is known to have, each with the record it began with.
    pub(super) async fn open(
        ground: &Ground,
        directory: &Path,
        (config, epoch): (StreamConfig, u64),
        consumers: Vec<(ConsumerConfig, u64)>,
    ) -> Result<Self, Error> {
        let Ground { world, settings, keys, .. } = ground;
        world.disk.make_private_dir(directory).map_err(failed)?;
        let (journal, found) =
            Journal::open(world, directory, journal_config(&config, settings), keys.clone())
                .map_err(failed)?;
        if !found.damages.is_empty() {
            tracing::error!(stream = %config.name, damages = found.damages.len(), "a stream is damaged");
        }
        let names: BTreeSet<String> = consumers.iter().map(|(consumer, _)| name_of(&consumer.name)).collect();
        for (name, _) in journal.consumers() {
            // A crash may leave one whose making was not finished, and it would hold everything.
            if name.starts_with("c-") && !names.contains(&name) {
                journal.forget(&name);
            }
        }
        let ids_holder = journal.consumer(IDS, Start::Oldest).map_err(failed)?;
        let ids = replay(world, &journal, ids_holder.low(), Ids::new(config.duplicate_window)).await?;
        let kept_holder = match config.retention == Retention::Queue && !consumers.is_empty() {
            true => None,
            false => Some(journal.consumer(KEPT, Start::Oldest).map_err(failed)?),
        };
        let stream = Self {
            bytes_max: bound(&config, settings),
            config,
            epoch,
            world: world.clone(),
            journal,
            ids: Mutex::new(ids),
            ids_holder,
            kept_holder: Mutex::new(kept_holder),
            readers: Mutex::default(),
        };
        for (consumer, begin) in consumers {
            stream.open_reader(consumer, begin)?;
        }
        stream.let_go();
        Ok(stream)
    }

    /// Keeps a message: it is there when this succeeds.
    pub(super) async fn store(&self, id: Option<&MessageId>, message: &Message) -> Result<Stored, Error> {
        let clock = self.world.clock;
        let deadline = clock.now() + OPERATION_DEADLINE;
        let body = record::encode(id, message);
        let (sequence, receipt, is_duplicate) = loop {
            match self.try_store(id, &body) {
                Err(AppendError::Full { full: Full::Gather, .. }) if clock.now() < deadline => {
                    clock.sleep(BUSY).await;
                }
                Err(error) => return Err(refused(error)),
                Ok(None) => return Err(self.no_room()),
                Ok(Some(taken)) => break taken,
            }
        };
        if let Some(receipt) = receipt {
            let safe = clock.timeout_at(deadline, receipt.wait()).await;
            safe.map_err(|_| Error::Deadline(OPERATION_DEADLINE))?.map_err(refused)?;
        }
        Ok(Stored { sequence: sequence + 1, is_duplicate })
    }

    /// Takes it if there is room, and nobody is told that it was.
    pub(super) fn try_publish(&self, message: &Message) {
        let taken = self.try_store(None, &record::encode(None, message));
        if !matches!(taken, Ok(Some(_))) {
            tracing::debug!(stream = %self.config.name, "what was published was not kept");
        }
    }

    /// `None` when there is no room.
    #[allow(clippy::type_complexity, reason = "seen here and in its one caller")]
    fn try_store(
        &self,
        id: Option<&MessageId>,
        body: &[u8],
    ) -> Result<Option<(u64, Option<Receipt>, bool)>, AppendError> {
        // Held while it is appended, so that ids are noted in the order of their records.
        let mut ids = self.ids.lock();
        let now_ns = self.world.clock.unix_ns();
        let oldest = ids.expire(now_ns);
        self.ids_holder.settle_until(oldest.unwrap_or_else(|| self.journal.stats().next));
        if let Some(known) = id.and_then(|id| ids.get(id)) {
            return Ok(Some((known.sequence, known.receipt.clone(), true)));
        }
        if ids.is_full() || !self.has_room(body.len()) {
            return Ok(None);
        }
        let receipt = self.journal.try_append(body)?;
        let sequence = receipt.sequences().start;
        if let Some(id) = id {
            ids.note(id.clone(), now_ns, Known { sequence, receipt: Some(receipt.clone()) });
        }
        Ok(Some((sequence, Some(receipt), false)))
    }

    fn has_room(&self, body_bytes: usize) -> bool {
        let stats = self.journal.stats();
        self.config.when_full == WhenFull::DropOldest
            || stats.bytes + stats.gathered_bytes + body_bytes as u64 <= self.bytes_max
    }

    fn no_room(&self) -> Error {
        let (name, bytes_max) = (&self.config.name, self.bytes_max);
        Error::Full(format!("stream {name} holds its {bytes_max} bytes, or as many ids as it can know"))
    }

    /// Lets go of the records whose ids need not be known any more.
    fn let_go(&self) {
        let oldest = self.ids.lock().expire(self.world.clock.unix_ns());
        self.ids_holder.settle_until(oldest.unwrap_or_else(|| self.journal.stats().next));
    }

    pub(super) fn state(&self) -> StreamState {
        StreamState { last_sequence: self.journal.stats().next, epoch: self.epoch }
    }

    pub(super) fn consumers(&self) -> usize {
        self.readers.lock().len()
    }

    pub(super) fn reader(&self, name: &Name) -> Option<Arc<Reader>> {
        self.readers.lock().get(name).cloned()
    }

    /// Makes the place of a new consumer in the journal. Which record it begins with.
    pub(super) fn begin(&self, config: &ConsumerConfig) -> Result<u64, Error> {
        let start = match config.begin {
            Begin::Oldest => Start::Oldest,
            Begin::Latest => Start::Latest,
        };
        Ok(self.journal.consumer(&name_of(&config.name), start).map_err(failed)?.low())
    }

    /// Opens a consumer that is known, where it stood.
    pub(super) fn open_reader(&self, config: ConsumerConfig, begin: u64) -> Result<(), Error> {
        let mut source = self.journal.consumer(&name_of(&config.name), Start::Oldest).map_err(failed)?;
        // Its place may not have reached the disk before a crash.
        source.settle_until(begin);
        source.rewind();
        let name = config.name.clone();
        let reader = Reader::new(self.world.clock, self.config.name.clone(), config, source);
        self.readers.lock().insert(name, Arc::new(reader));
        if self.config.retention == Retention::Queue && self.kept_holder.lock().take().is_some() {
            self.journal.forget(KEPT);
        }
        Ok(())
    }

    /// Puts everything on disk, where every consumer is too.
    pub(super) async fn close(&self) -> Result<(), Error> {
        self.journal.clone().close().await.map_err(refused)
    }
}

fn name_of(consumer: &Name) -> String {
    format!("c-{consumer}")
}

/// The ids of the records from `from` on that are within the window.
async fn replay(world: &World, journal: &Journal, from: u64, mut ids: Ids) -> Result<Ids, Error> {
    let until = journal.stats().next;
    journal.forget(REPLAY);
    let mut reader = journal.consumer(REPLAY, Start::Oldest).map_err(failed)?;
    reader.settle_until(from);
    reader.rewind();
    let now_ns = world.clock.unix_ns();
    while reader.low() < until {
        let batch = match reader.next(BATCH_RECORDS).await {
            Ok(batch) => batch,
            Err(error) => {
                // The consumers will say so too, and hold what is behind it.
                tracing::error!(%error, "ids of a stream cannot be read");
                reader.skip_damage().await.map_err(failed)?;
                continue;
            }
        };
        for found in batch.records {
            if ids.is_within(found.time_ns, now_ns)
                && let Some((Some(id), _)) = record::decode(found.body)
            {
                ids.note(id, found.time_ns, Known { sequence: found.sequence, receipt: None });
            }
            reader.settle(found.sequence);
        }
    }
    drop(reader);
    journal.forget(REPLAY);
    Ok(ids)
}
