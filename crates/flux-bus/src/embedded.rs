//! The bus of one process: who listens is in memory, streams and buckets are on journals; no server.
//!
//! ```text
//! <directory>/LOCK                 one process at a time
//! <directory>/catalog/             a bucket: what was made, and from what
//! <directory>/streams/<name>/      a journal
//! <directory>/buckets/<name>/      a journal
//! <directory>/objects/<name>/      an object for each file, by its digest, and in `index` a bucket that names them
//! ```

mod bucket;
mod catalog;
mod change;
mod content;
mod ids;
mod listeners;
mod objects;
mod reader;
mod record;
mod stream;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flux_journal::{Ack, AppendError, Keys};
use flux_world::World;
use flux_world::disk::DiskLock;
use parking_lot::Mutex;

use crate::bucket::{Bucket, Objects};
use crate::bus::{Answer, Bus, Consumer, Stored, StreamState, Subscription};
use crate::config::{BucketConfig, ConsumerConfig, StreamConfig};
use crate::error::Error;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::message::Message;
use crate::names::{MessageId, Name};
use crate::subject::{INBOX, Pattern, Subject};

use bucket::JournalBucket;
use catalog::{Catalog, Kept};
use listeners::Listeners;
use objects::FileObjects;
use stream::Stream;

/// The settings of an embedded bus. Keys are passed beside them.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The length of a segment of any journal of it: what is trimmed at a time. A body has up to half of it, less 8 KiB.
    pub segment_bytes: u64,
    /// When something is kept.
    pub ack: Ack,
}

impl Default for Settings {
    fn default() -> Self {
        Self { segment_bytes: 8 << 20, ack: Ack::Disk }
    }
}

impl Settings {
    fn gather_bytes_max(&self) -> usize {
        usize::try_from(self.segment_bytes / 2).unwrap_or(usize::MAX).min(4 << 20)
    }

    fn body_bytes_max(&self) -> usize {
        MESSAGE_BYTES_MAX.min((self.gather_bytes_max() / 2).saturating_sub(record::OVERHEAD_BYTES))
    }
}

/// What everything of a bus stands on.
#[derive(Clone, Debug)]
struct Ground {
    world: World,
    settings: Settings,
    keys: Keys,
    /// Until the last journal is closed.
    _lock: Arc<DiskLock>,
}

/// The bus of one process. Drop it and what was taken is written; [`EmbeddedBus::close`] waits for that.
///
/// Attempts at a delivery are counted from when it was opened. An acknowledgement reaches the disk with what is stored next, or
/// 100 ms later; a crash before that has the message come again.
#[derive(Debug)]
pub struct EmbeddedBus {
    ground: Ground,
    directory: PathBuf,
    listeners: Listeners,
    inboxes: AtomicU64,
    catalog: Catalog,
    streams: Mutex<BTreeMap<Name, Arc<Stream>>>,
    /// Held while one is opened, so that it is opened once.
    open: tokio::sync::Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    buckets: BTreeMap<Name, JournalBucket>,
    objects: BTreeMap<Name, FileObjects>,
    is_closed: bool,
}

impl EmbeddedBus {
    /// Opens the bus in `directory`, or makes one there, with everything that was made in it.
    pub async fn open(
        world: &World,
        directory: &Path,
        settings: Settings,
        keys: Keys,
    ) -> Result<Self, Error> {
        world.disk.make_private_dir(directory).map_err(failed)?;
        let lock = world.disk.lock(&directory.join("LOCK")).map_err(|error| {
            Error::Failed(format!("{} is in use, or cannot be locked: {error}", directory.display()))
        })?;
        let ground = Ground { world: world.clone(), settings, keys, _lock: Arc::new(lock) };
        let catalog = Catalog::open(&ground, &directory.join("catalog")).await?;
        let mut streams = BTreeMap::new();
        for (config, epoch) in catalog.streams().await? {
            let consumers = catalog.consumers(&config.name).await?;
            let (name, place) = (config.name.clone(), directory.join("streams").join(config.name.as_str()));
            let stream = Stream::open(&ground, &place, (config, epoch), consumers).await?;
            streams.insert(name, Arc::new(stream));
        }
        Ok(Self {
            ground,
            directory: directory.to_owned(),
            listeners: Listeners::default(),
            inboxes: AtomicU64::new(0),
            catalog,
            streams: Mutex::new(streams),
            open: tokio::sync::Mutex::default(),
        })
    }

    /// Takes no more, puts everything on disk, and lets go of the directory when the last handle is dropped.
    pub async fn close(&self) -> Result<(), Error> {
        self.listeners.close();
        let mut open = self.open.lock().await;
        open.is_closed = true;
        let (buckets, objects) = (std::mem::take(&mut open.buckets), std::mem::take(&mut open.objects));
        for bucket in buckets.into_values() {
            bucket.close().await;
        }
        for objects in objects.into_values() {
            objects.close().await;
        }
        self.catalog.close().await;
        let streams = std::mem::take(&mut *self.streams.lock());
        for stream in streams.into_values() {
            stream.close().await?;
        }
        Ok(())
    }

    fn stream_taking(&self, subject: &Subject) -> Option<Arc<Stream>> {
        let streams = self.streams.lock();
        streams.values().find(|it| it.config.subjects.iter().any(|pattern| pattern.matches(subject))).cloned()
    }

    fn stream_named(&self, name: &Name) -> Result<Arc<Stream>, Error> {
        self.streams.lock().get(name).cloned().ok_or_else(|| Error::Missing(format!("stream {name}")))
    }

    async fn opened(&self) -> Result<tokio::sync::MutexGuard<'_, Open>, Error> {
        let open = self.open.lock().await;
        if open.is_closed { Err(Error::Closed) } else { Ok(open) }
    }

    async fn new_stream(&self, config: StreamConfig) -> Result<(), Error> {
        config.check()?;
        let _alone = self.opened().await?;
        let others: Vec<Arc<Stream>> = self.streams.lock().values().cloned().collect();
        if let Some(same) = others.iter().find(|other| other.config.name == config.name) {
            return catalog::same("stream", &config.name, same.config == config);
        }
        if let Some(other) = others.iter().find(|other| other.config.overlaps(&config)) {
            let (name, other) = (&config.name, &other.config.name);
            return Err(Error::Invalid(format!("stream {name} takes what stream {other} takes already")));
        }
        let epoch = self.ground.world.clock.unix_ns().unsigned_abs();
        self.catalog.keep(&Kept::Stream(config.clone(), epoch)).await?;
        let (name, place) = (config.name.clone(), self.directory.join("streams").join(config.name.as_str()));
        let stream = Stream::open(&self.ground, &place, (config, epoch), Vec::new()).await?;
        self.streams.lock().insert(name, Arc::new(stream));
        Ok(())
    }

    async fn new_consumer(&self, stream: Name, config: ConsumerConfig) -> Result<(), Error> {
        let _alone = self.opened().await?;
        let stream = self.stream_named(&stream)?;
        if let Some(reader) = stream.reader(&config.name) {
            return catalog::same("consumer", &config.name, reader.config == config);
        }
        stream.config.check_consumer(&config, stream.consumers())?;
        let begin = stream.begin(&config)?;
        self.catalog.keep(&Kept::Consumer(stream.config.name.clone(), config.clone(), begin)).await?;
        stream.open_reader(config, begin)
    }

    async fn ask(&self, mut message: Message, deadline: Duration) -> Result<Message, Error> {
        message.check(self.body_bytes_max())?;
        let number = self.inboxes.fetch_add(1, Ordering::Relaxed);
        let inbox = Subject::new(format!("{INBOX}.{number}"))?;
        let mut answers = self.listeners.subscribe(Pattern::from(&inbox), 1);
        message.reply = Some(inbox);
        if self.listeners.send(&message) == 0 {
            return Err(Error::NobodyListens(message.subject.to_string()));
        }
        let answer = self.ground.world.clock.timeout(deadline, answers.next()).await;
        answer.map_err(|_| Error::Deadline(deadline))?.ok_or(Error::Closed)
    }
}

impl Bus for EmbeddedBus {
    fn body_bytes_max(&self) -> usize {
        self.ground.settings.body_bytes_max()
    }

    fn publish(&self, message: Message) -> Answer<'_, ()> {
        Box::pin(async move {
            message.check(self.body_bytes_max())?;
            if let Some(stream) = self.stream_taking(&message.subject) {
                stream.try_publish(&message);
            }
            self.listeners.send(&message);
            Ok(())
        })
    }

    fn store(&self, id: MessageId, message: Message) -> Answer<'_, Stored> {
        Box::pin(async move {
            message.check(self.body_bytes_max())?;
            let Some(stream) = self.stream_taking(&message.subject) else {
                return Err(Error::NoStream(message.subject.to_string()));
            };
            let stored = stream.store(Some(&id), &message).await?;
            if !stored.is_duplicate {
                self.listeners.send(&message);
            }
            Ok(stored)
        })
    }

    fn request(&self, message: Message, deadline: Duration) -> Answer<'_, Message> {
        Box::pin(self.ask(message, deadline))
    }

    fn subscribe(&self, pattern: Pattern, queue_messages_max: usize) -> Answer<'_, Subscription> {
        let subscription = self.listeners.subscribe(pattern, queue_messages_max);
        Box::pin(async { Ok(subscription) })
    }

    fn make_stream(&self, config: StreamConfig) -> Answer<'_, ()> {
        Box::pin(self.new_stream(config))
    }

    fn make_consumer(&self, stream: Name, config: ConsumerConfig) -> Answer<'_, ()> {
        Box::pin(self.new_consumer(stream, config))
    }

    fn make_bucket(&self, config: BucketConfig) -> Answer<'_, ()> {
        Box::pin(async move {
            let _alone = self.opened().await?;
            self.catalog.keep(&Kept::Bucket(config)).await
        })
    }

    fn make_objects(&self, config: BucketConfig) -> Answer<'_, ()> {
        Box::pin(async move {
            let _alone = self.opened().await?;
            self.catalog.keep(&Kept::Objects(config)).await
        })
    }

    fn stream(&self, name: Name) -> Answer<'_, StreamState> {
        Box::pin(async move { Ok(self.stream_named(&name)?.state()) })
    }

    fn consumer(&self, stream: Name, name: Name) -> Answer<'_, Arc<dyn Consumer>> {
        Box::pin(async move {
            let reader = self.stream_named(&stream)?.reader(&name);
            let reader =
                reader.ok_or_else(|| Error::Missing(format!("consumer {name} of stream {stream}")))?;
            Ok(Arc::new(reader::Handle(reader)) as Arc<dyn Consumer>)
        })
    }

    fn bucket(&self, name: Name) -> Answer<'_, Arc<dyn Bucket>> {
        Box::pin(async move {
            let mut open = self.opened().await?;
            if let Some(bucket) = open.buckets.get(&name) {
                return Ok(Arc::new(bucket.clone()) as Arc<dyn Bucket>);
            }
            let config = self.catalog.bucket(&name).await?;
            let place = self.directory.join("buckets").join(name.as_str());
            let bucket = JournalBucket::open(&self.ground, &place, &config).await?;
            open.buckets.insert(name, bucket.clone());
            Ok(Arc::new(bucket) as Arc<dyn Bucket>)
        })
    }

    fn objects(&self, name: Name) -> Answer<'_, Arc<dyn Objects>> {
        Box::pin(async move {
            let mut open = self.opened().await?;
            if let Some(objects) = open.objects.get(&name) {
                return Ok(Arc::new(objects.clone()) as Arc<dyn Objects>);
            }
            let config = self.catalog.objects(&name).await?;
            let place = self.directory.join("objects").join(name.as_str());
            let objects = FileObjects::open(&self.ground, &place, &config).await?;
            open.objects.insert(name, objects.clone());
            Ok(Arc::new(objects) as Arc<dyn Objects>)
        })
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Failed(error.to_string())
}

/// Why a journal did not take a record.
fn refused(error: AppendError) -> Error {
    match error {
        AppendError::Full { full, .. } => Error::Full(full.to_string()),
        AppendError::TooLong { bytes, bytes_max } => Error::TooLong { bytes, bytes_max },
        AppendError::Closed => Error::Closed,
        error => Error::Failed(error.to_string()),
    }
}
