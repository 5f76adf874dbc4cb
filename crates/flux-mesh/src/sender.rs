//! The end of a mesh wire that sends: what is in the outbox goes over the bus, and leaves it when the receiver has it.
//!
//! ```text
//! outbox -> packs -> stored in the stream, many at a time
//!    ^ forgotten                 reports <- receiver: "I have all before N"
//! ```
//!
//! That the bus has stored a pack is not that it is safe. What was sent is sent again when the receiver misses it, when it has
//! nothing to do and not all of it, and when the stream is another one than it was, which is looked at while nobody answers.

use std::collections::VecDeque;
use std::convert::Infallible;

use bytes::Bytes;
use flux_bus::{Error, MeshWire, Message, MessageId, Pattern, Stored, Subscription};
use flux_journal::{Batch, Journal};
use flux_world::{Backoff, BackoffPolicy, Instant, World};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;

use crate::error::EndError;
use crate::limits::{
    BACKLOG_AGE, CHECK_EVERY, PACK_BYTES_MIN, PACK_RECORDS_MAX, REPORTS_MAX, RETRY_BASE, RETRY_MAX, STALL,
    STORES_MAX, WINDOW_BYTES_MAX,
};
use crate::line::{self, Line};
use crate::outbox::Outbox;
use crate::outlet::{Outlet, Wish};
use crate::pace::Pace;
use crate::pack::{Content, Pack};
use crate::report::Report;

/// Sends what is in an outbox.
#[derive(Debug)]
pub struct Sender {
    wire: MeshWire,
    line: Line,
    world: World,
    status: Mutex<SenderStatus>,
}

/// How a sender stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderStatus {
    /// Whether the bus takes packs.
    pub is_connected: bool,
    /// Why it does not.
    pub trouble: Option<String>,
    /// Packs whose storing is under way.
    pub stores: u64,
    /// Records that were sent and that the receiver is not known to have.
    pub sent: u64,
    /// Records that the receiver is known to have, since the sender was made.
    pub acknowledged: u64,
    /// How often something was sent again.
    pub sent_again: u64,
    /// When the oldest record was taken that the receiver is not known to have; none when it has all.
    pub oldest_unix_ns: Option<i64>,
    /// When the receiver was last heard.
    pub heard: Option<Instant>,
}

impl Sender {
    /// A sender of one wire, which does nothing yet.
    pub fn new(world: World, wire: MeshWire, line: Line) -> Self {
        Self { wire, line, world, status: Mutex::default() }
    }

    /// How it stands.
    pub fn status(&self) -> SenderStatus {
        self.status.lock().clone()
    }

    /// Sends for as long as the journal can be read. Cancelling it loses nothing.
    pub async fn run(&self, journal: &Journal) -> Result<Infallible, EndError> {
        let mut run = Run::new(self, journal)?;
        loop {
            run.start_stores();
            run.note();
            match run.next().await? {
                Event::Heard(report) => run.hear(report)?,
                Event::Stored(parcel, stored) => run.stored(parcel, stored),
                Event::Connect => run.connect().await,
                Event::Records(batch) => run.cut(batch).await?,
            }
        }
    }
}

/// One run of a sender, on one opening of the journal.
struct Run<'a> {
    sender: &'a Sender,
    journal: &'a Journal,
    records: flux_journal::Consumer,
    outlet: Outlet,
    /// The pace, while what is sent is of a backlog.
    pace: Option<Pace>,
    reports: Option<Subscription>,
    /// When the bus is tried again; none while it works.
    down_until: Option<Instant>,
    /// When the receiver was last heard, or the bus last looked at.
    contact: Instant,
    backoff: Backoff,
    /// Which stream it is, once that is known.
    stream: Option<u64>,
    /// Packs that wait for their turn, and those that the bus did not take, with their turn.
    ready: VecDeque<Parcel>,
    failed: Vec<Parcel>,
    stores: FuturesUnordered<BoxFuture<'static, (Parcel, Result<Stored, Error>)>>,
    turns: u64,
}

/// A pack as it is stored.
#[derive(Clone)]
struct Parcel {
    turn: u64,
    id: MessageId,
    body: Bytes,
}

enum Event {
    /// A report; none when nobody listens any more.
    Heard(Option<Message>),
    Stored(Parcel, Result<Stored, Error>),
    Connect,
    Records(Batch),
}

impl<'a> Run<'a> {
    fn new(sender: &'a Sender, journal: &'a Journal) -> Result<Self, EndError> {
        let World { clock, entropy, .. } = &sender.world;
        let Outbox { epoch, records } = Outbox::open(journal, *clock)?;
        // Ids of another run are not those of this one: what it stored may have been wiped since.
        let outlet = Outlet::new(epoch, entropy.next_u64(), records.low());
        let policy = BackoffPolicy {
            base: RETRY_BASE,
            cap: RETRY_MAX,
            stable_after: STALL,
            is_first_immediate: false,
        };
        Ok(Self {
            sender,
            journal,
            records,
            outlet,
            pace: None,
            reports: None,
            down_until: Some(clock.now()),
            contact: clock.now(),
            backoff: Backoff::new(policy),
            stream: None,
            ready: VecDeque::new(),
            failed: Vec::new(),
            stores: FuturesUnordered::new(),
            turns: 0,
        })
    }

    fn now(&self) -> Instant {
        self.sender.world.clock.now()
    }

    async fn next(&mut self) -> Result<Event, EndError> {
        let clock = self.sender.world.clock;
        let out_bytes_max = self.pace.as_ref().map_or(WINDOW_BYTES_MAX, Pace::burst_bytes);
        let may_read = self.ready.is_empty() && self.outlet.has_room(out_bytes_max);
        let rest_until = self.pace.as_ref().and_then(Pace::rest_until).unwrap_or_else(|| clock.now());
        let due = self.down_until.or_else(|| self.outlet.is_waiting().then(|| self.contact + CHECK_EVERY));
        let Self { reports, stores, records, .. } = self;
        let heard = async {
            match reports {
                Some(reports) => reports.next().await,
                None => std::future::pending().await,
            }
        };
        let rested = async {
            clock.sleep_until(rest_until).await;
            records.next(PACK_RECORDS_MAX).await
        };
        // Not before all that is under way has come to an end: what failed of it goes again in its order.
        let connect = due.filter(|_| stores.is_empty());
        let event = tokio::select! {
            biased;
            heard = heard => Event::Heard(heard),
            Some((parcel, stored)) = stores.next() => Event::Stored(parcel, stored),
            () = clock.sleep_until(connect.unwrap_or_else(|| clock.now())), if connect.is_some() => Event::Connect,
            batch = rested, if may_read => Event::Records(batch?),
        };
        Ok(event)
    }

    fn start_stores(&mut self) {
        while self.down_until.is_none() && self.stores.len() < STORES_MAX {
            let Some(parcel) = self.ready.pop_front() else { return };
            let bus = self.sender.line.data.clone();
            let message = Message::new(self.sender.wire.packs(), parcel.body.clone());
            self.stores.push(Box::pin(async move {
                let stored = bus.store(parcel.id.clone(), message).await;
                (parcel, stored)
            }));
        }
    }

    fn stored(&mut self, parcel: Parcel, stored: Result<Stored, Error>) {
        match stored {
            Ok(_) => self.backoff.up(self.now()),
            // The server carries less than it did.
            Err(Error::TooLong { .. }) => self.begin_again(self.records.low()),
            Err(error) => {
                self.failed.push(parcel);
                self.trouble(&error);
            }
        }
    }

    /// The bus does not work: it is tried again after a while.
    fn trouble(&mut self, error: &Error) {
        let wait = self.backoff.wait(self.now(), &self.sender.world.entropy);
        self.down_until = Some(self.now() + wait);
        let mut status = self.sender.status.lock();
        let told = error.to_string();
        if status.is_connected || status.trouble.is_none() {
            tracing::warn!(wire = %self.sender.wire.wire, error = told, "mesh wire keeps in its outbox: the bus does not take it");
        }
        (status.is_connected, status.trouble) = (false, Some(told));
    }

    async fn connect(&mut self) {
        match self.try_connect().await {
            Err(error) => self.trouble(&error),
            Ok(stream) => {
                if self.stream.replace(stream).is_some_and(|was| was != stream) {
                    tracing::warn!(wire = %self.sender.wire.wire, "what the bus stored was lost: it is sent again");
                    self.begin_again(self.records.low());
                }
                self.failed.sort_unstable_by_key(|parcel| parcel.turn);
                self.failed.drain(..).rev().for_each(|parcel| self.ready.push_front(parcel));
                (self.down_until, self.contact) = (None, self.now());
                let mut status = self.sender.status.lock();
                if !status.is_connected {
                    tracing::info!(wire = %self.sender.wire.wire, "mesh wire sends");
                }
                (status.is_connected, status.trouble) = (true, None);
            }
        }
    }

    async fn try_connect(&mut self) -> Result<u64, Error> {
        let Sender { wire, line, .. } = self.sender;
        let reports = Pattern::from(&wire.reports()?);
        self.reports = Some(line.control.subscribe(reports, REPORTS_MAX).await?);
        let stream = line::make_stream(&*line.data, wire).await?;
        match line.data.body_bytes_max() {
            PACK_BYTES_MIN.. => Ok(stream),
            bytes_max => Err(Error::TooLong { bytes: PACK_BYTES_MIN, bytes_max }),
        }
    }

    async fn cut(&mut self, batch: Batch) -> Result<(), EndError> {
        let Some(last) = batch.records.last() else { return Ok(()) };
        // What a crash takes back must not have been sent: its sequence would come to stand for something else.
        self.journal.on_disk(last.sequence + 1).await?;
        self.keep_pace(batch.records[0].time_ns);
        let bytes_max = self.sender.line.data.body_bytes_max().max(PACK_BYTES_MIN);
        for pack in self.outlet.cut(&batch.records, bytes_max) {
            self.turns += 1;
            let id = self.id(&pack);
            self.ready.push_back(Parcel { turn: self.turns, id, body: pack.encode().into() });
        }
        Ok(())
    }

    /// What has waited for long makes way for what is live.
    fn keep_pace(&mut self, time_ns: i64) {
        let age_ns = self.sender.world.clock.unix_ns().saturating_sub(time_ns);
        if i128::from(age_ns) < BACKLOG_AGE.as_nanos() as i128 {
            self.pace = None;
            return;
        }
        let (behind, now) = (self.outlet.behind(self.journal.stats().next), self.now());
        self.pace.get_or_insert_with(Pace::new).send(behind, now);
    }

    fn id(&self, pack: &Pack) -> MessageId {
        let offset = match &pack.content {
            Content::Records(_) => 0,
            Content::Part { offset, .. } => *offset,
        };
        let id = line::pack_id(&self.sender.wire, pack.epoch, pack.first, offset, self.outlet.round);
        id.expect("a name and four numbers make an id")
    }

    fn hear(&mut self, report: Option<Message>) -> Result<(), EndError> {
        let Some(message) = report else {
            self.reports = None;
            self.trouble(&Error::Closed);
            return Ok(());
        };
        let report = match Report::decode(&message.body) {
            Ok(report) => report,
            Err(why) => {
                tracing::warn!(wire = %self.sender.wire.wire, %why, "what should be a report of the receiver is none");
                return Ok(());
            }
        };
        let now = self.now();
        self.contact = now;
        self.sender.status.lock().heard = Some(now);
        match self.outlet.hear(&report, self.journal.stats().next, now) {
            Wish::Forget(mark) => self.forget(mark),
            Wish::Again(mark) => {
                self.forget(mark);
                self.begin_again(mark);
            }
            Wish::Anew(epoch) => self.begin_anew(epoch)?,
        }
        if let (Some(pace), false) = (&mut self.pace, self.outlet.is_waiting()) {
            pace.arrived(self.outlet.behind(self.journal.stats().next), now);
        }
        Ok(())
    }

    fn forget(&mut self, mark: u64) {
        let low = self.records.low();
        if mark > low {
            self.records.settle_until(mark);
            self.sender.status.lock().acknowledged += mark - low;
        }
    }

    /// Sends from the first record on that the receiver has not; what is under way counts for nothing.
    fn begin_again(&mut self, mark: u64) {
        tracing::debug!(wire = %self.sender.wire.wire, mark, "mesh wire sends again");
        self.pace = None;
        self.outlet.begin_again(mark, self.now());
        self.records.rewind();
        self.ready.clear();
        self.failed.clear();
        self.stores = FuturesUnordered::new();
        self.sender.status.lock().sent_again += 1;
    }

    fn begin_anew(&mut self, above: u64) -> Result<(), EndError> {
        let World { clock, entropy, .. } = &self.sender.world;
        tracing::warn!(wire = %self.sender.wire.wire, "the outbox is not the one that its receiver knows: what is in it is sent as new");
        let (replaced, low) = (self.outlet.epoch, self.records.low());
        let Outbox { epoch, records } = Outbox::begin_anew(self.journal, replaced, low, *clock, above)?;
        self.records = records;
        Outbox::forget(self.journal, replaced);
        self.outlet = Outlet::new(epoch, entropy.next_u64(), low);
        self.begin_again(0);
        Ok(())
    }

    fn note(&self) {
        let (sent, oldest) = self.outlet.unacknowledged();
        let mut status = self.sender.status.lock();
        (status.stores, status.sent, status.oldest_unix_ns) = (self.stores.len() as u64, sent, oldest);
    }
}
