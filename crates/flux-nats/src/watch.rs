//! A watch: a task that reads behind what it has told, whenever there is a hint that something is there, and from time to time.

use std::time::Duration;

use flux_bus::{Answer, Entry, Error, Revision, Update, Watch};
use flux_world::{Backoff, BackoffPolicy};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use crate::api::{Which, away};
use crate::bucket::{Change, NatsBucket};
use crate::bus::Task;

/// Updates that wait for who watches; the task waits with them.
const UPDATES_MAX: usize = 64;

/// How long to wait after a failure: 1 s, growing to 30 s.
const POLICY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(30),
    stable_after: Duration::from_secs(30),
    is_first_immediate: false,
};

pub(crate) struct NatsWatch {
    stream: String,
    updates: mpsc::Receiver<Update>,
    _task: Task,
}

struct Poller {
    bucket: NatsBucket,
    updates: mpsc::Sender<Update>,
    seen: Revision,
    /// Of the bucket that was read; none before it was.
    epoch: Option<u64>,
    is_current: bool,
}

/// Why the poller stops for now.
enum Stop {
    /// Nobody watches any more.
    Left,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

impl NatsWatch {
    pub(crate) fn start(bucket: NatsBucket, from: Revision) -> Self {
        let (sender, updates) = mpsc::channel(UPDATES_MAX);
        let stream = bucket.stream.clone();
        let poller = Poller { bucket, updates: sender, seen: from, epoch: None, is_current: false };
        Self { stream, updates, _task: Task::start(poller.run()) }
    }
}

impl std::fmt::Debug for NatsWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "watch of {}", self.stream)
    }
}

impl Watch for NatsWatch {
    fn next(&mut self) -> Answer<'_, Update> {
        Box::pin(async { self.updates.recv().await.ok_or(Error::Closed) })
    }
}

impl Poller {
    async fn run(mut self) {
        let (clock, entropy) = (self.bucket.api.world.clock, self.bucket.api.world.entropy.clone());
        let mut connections = self.bucket.api.link.made.clone();
        let mut backoff = Backoff::new(POLICY);
        loop {
            connections.mark_unchanged();
            let Err(stop) = self.follow(&mut backoff).await;
            match stop {
                Stop::Left => return,
                Stop::Failed(error) => {
                    tracing::debug!(stream = self.bucket.stream, %error, "a watch waits");
                }
            }
            let wait = backoff.wait(clock.now(), &entropy);
            tokio::select! {
                biased;
                () = self.updates.closed() => return,
                // It was reached again: look at once.
                _ = connections.changed() => {}
                () = clock.sleep(wait) => {}
            }
        }
    }

    /// Follows the bucket until something fails.
    async fn follow(&mut self, backoff: &mut Backoff) -> Result<std::convert::Infallible, Stop> {
        let (api, clock) = (self.bucket.api.clone(), self.bucket.api.world.clock);
        let mut connections = api.link.made.clone();
        connections.mark_unchanged();
        let mut hints = api.client.subscribe(self.bucket.pattern()).await.map_err(away)?;
        api.round_trip().await?;
        self.verify().await?;
        backoff.up(clock.now());
        loop {
            self.read_on().await?;
            let is_hint = tokio::select! {
                biased;
                () = self.updates.closed() => return Err(Stop::Left),
                changed = connections.changed() => changed.is_err(),
                hint = hints.next() => hint.is_some(),
                () = clock.sleep(api.settings.verify_every) => false,
            };
            if !is_hint {
                self.verify().await?;
            }
        }
    }

    /// Makes sure that it is the bucket whose revisions are known; begins anew where it is not.
    async fn verify(&mut self) -> Result<(), Stop> {
        let info = self.bucket.api.stream_info(&self.bucket.stream).await?;
        let is_same = self.epoch.is_none_or(|epoch| epoch == info.epoch) && self.seen <= info.last;
        if !is_same || (self.epoch.is_none() && self.seen == 0) {
            self.list(info.last, info.epoch).await?;
        }
        self.epoch = Some(info.epoch);
        Ok(())
    }

    /// Tells all that is there. Until it is told whole, nothing is known.
    async fn list(&mut self, last: Revision, epoch: u64) -> Result<(), Stop> {
        (self.seen, self.epoch, self.is_current) = (0, None, false);
        let changes = self.bucket.changes().await?;
        self.tell(Update::Relisted).await?;
        let mut seen = last;
        for Change { key, revision, value } in changes {
            seen = seen.max(revision);
            if let Some(value) = value {
                self.tell(Update::Put(Entry { key, value, revision })).await?;
            }
        }
        (self.seen, self.epoch) = (seen, Some(epoch));
        Ok(())
    }

    /// Tells what is behind what was told, until there is nothing.
    async fn read_on(&mut self) -> Result<(), Stop> {
        loop {
            let next = Which::NextOf(&self.bucket.pattern(), self.seen + 1);
            let Some(message) = self.bucket.api.message(&self.bucket.stream, next).await? else { break };
            let revision = message.sequence;
            match self.bucket.change_of(message) {
                Some(Change { key, revision, value: Some(value) }) => {
                    self.tell(Update::Put(Entry { key, value, revision })).await?;
                }
                Some(Change { key, revision, value: None }) => {
                    self.tell(Update::Deleted { key, revision }).await?;
                }
                None => tracing::warn!(stream = self.bucket.stream, revision, "an entry cannot be read"),
            }
            self.seen = revision;
        }
        if !self.is_current {
            self.tell(Update::Current { revision: self.seen }).await?;
            self.is_current = true;
        }
        Ok(())
    }

    async fn tell(&self, update: Update) -> Result<(), Stop> {
        self.updates.send(update).await.map_err(|_| Stop::Left)
    }
}
