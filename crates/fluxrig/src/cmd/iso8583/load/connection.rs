//! One connection of the load driver: requests out and answers in, both in batches, on one task.

use std::{pin::pin, rc::Rc, time::Duration};

use bytes::BytesMut;
use flux_iso8583::{FieldIndex, Probe};
use flux_world::{Backoff, BackoffPolicy, ConnectOptions, Instant, Stream, World};
use tokio::io::AsyncWriteExt;

use super::{
    driver::{Profile, Shared},
    mix::{Identity, requests_since},
    tally::{Ending, Tally},
    template::Template,
    window::Window,
};

/// Bytes of one read at most.
const READ_BYTES: usize = 64 << 10;
/// How late a timer may be without fault of anybody: it counts whole milliseconds. What a request waits beyond that,
/// because answers are missing or the socket is full, counts as its latency.
const TIMER_SLACK: Duration = Duration::from_millis(2);
/// Waits between attempts to connect again.
const RECONNECT: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(50),
    cap: Duration::from_secs(1),
    stable_after: Duration::from_secs(1),
    is_first_immediate: true,
};

/// The state of one connection.
pub(super) struct Connection {
    shared: Rc<Shared>,
    number: u16,
    template: Template,
    /// Seconds since 1970 that the template shows.
    second: i64,
    pace: Option<Pace>,
    window: Window,
    index: FieldIndex,
    out: BytesMut,
}

/// When requests are due, whatever became of those before.
struct Pace {
    next: Instant,
    interval: Duration,
}

/// Whose answer a message is.
enum Answer {
    /// Of the request so many after the first of the window.
    Ours(usize, Ending),
    /// Of a request that was settled before.
    Unexpected,
    /// Of another one.
    CrossWired,
}

impl Connection {
    /// Connection `number`, which begins to send at `start`.
    pub(super) fn new(shared: Rc<Shared>, number: u16, start: Instant) -> anyhow::Result<Connection> {
        let profile = &shared.profile;
        let template = Template::new(&profile.spec, &shared.terminal(number), profile.length, &profile.tpdu)?;
        let pace = profile.rate.map(|rate| {
            let gap = Duration::from_secs(1).div_f64(rate.get() as f64);
            Pace { next: start + gap * u32::from(number), interval: gap * u32::from(profile.connections) }
        });
        let (index, out) = (FieldIndex::new(), BytesMut::new());
        Ok(Connection { number, template, second: 0, pace, window: Window::default(), index, out, shared })
    }

    /// Exchanges messages until the load ends; a lost connection is opened again where the profile says so.
    pub(super) async fn run(mut self, stream: Stream) {
        let mut stream = Some(stream);
        let mut backoff = Backoff::new(RECONNECT);
        let shared = Rc::clone(&self.shared);
        let clock = shared.world.clock;
        loop {
            let ended = match stream.take() {
                Some(stream) => {
                    backoff.up(clock.now());
                    self.exchange(stream).await
                }
                None => match connect(&shared.world, &shared.profile).await {
                    Ok(opened) => {
                        stream = Some(opened);
                        continue;
                    }
                    Err(why) => Err(why),
                },
            };
            let Err(why) = ended else { return };
            self.lose(&why);
            if !shared.profile.reconnects || !shared.may_send(clock.now()) {
                return;
            }
            clock.sleep(backoff.wait(clock.now(), &shared.world.entropy)).await;
        }
    }

    async fn exchange(&mut self, mut stream: Stream) -> anyhow::Result<()> {
        let clock = self.shared.world.clock;
        let mut buffer = BytesMut::new();
        let mut now = clock.now();
        let mut wake = self.wake_at(now);
        let mut sleep = pin!(clock.sleep_until(wake));
        loop {
            self.fill(now)?;
            if self.is_finished(now) {
                return Ok(());
            }
            let next = self.wake_at(now);
            // A timer that fires too early costs less than one that is set for every batch.
            if next < wake || wake <= now {
                wake = next;
                sleep.set(clock.sleep_until(wake));
            }
            buffer.reserve(READ_BYTES);
            tokio::select! {
                biased;
                written = stream.write.write_buf(&mut self.out), if !self.out.is_empty() => {
                    written?;
                }
                read = stream.read.read(&mut buffer) => {
                    anyhow::ensure!(read? > 0, "the peer closed the connection");
                    now = clock.now();
                    self.take(&mut buffer, now)?;
                }
                () = &mut sleep => {
                    now = clock.now();
                    self.give_up_overdue(now);
                }
            }
        }
    }

    /// Appends the requests that are due to what is to be written.
    fn fill(&mut self, now: Instant) -> anyhow::Result<()> {
        let shared = Rc::clone(&self.shared);
        while self.window.has_room(shared.profile.pipeline) {
            let due = self.pace.as_ref().map_or(now, |pace| pace.next);
            if due > now || !shared.take_turn(now) {
                break;
            }
            let second = shared.unix_second(now);
            if second != self.second {
                self.second = second;
                self.template.set_time(&shared.time(second)?);
            }
            let identity = shared.profile.mix.identity(self.number, self.window.next_sequence());
            self.out.extend_from_slice(self.template.request(&identity));
            self.window.push(now.min(due + TIMER_SLACK), second);
            if let Some(pace) = &mut self.pace {
                pace.next += pace.interval;
            }
        }
        Ok(())
    }

    /// Settles the requests whose answers came in whole.
    fn take(&mut self, buffer: &mut BytesMut, now: Instant) -> anyhow::Result<()> {
        let shared = Rc::clone(&self.shared);
        let mut tally = shared.tally.borrow_mut();
        while let Some(frame) = shared.profile.length.next(buffer)? {
            let message = frame.get(shared.profile.tpdu.len()..).unwrap_or_default();
            let mut index = std::mem::take(&mut self.index);
            let answer =
                Probe::parse(&shared.profile.spec, message, &mut index).map(|probe| self.whose(&probe));
            self.index = index;
            match answer {
                Ok(Answer::Ours(place, ending)) => self.settle(place, ending, now, &mut tally),
                Ok(Answer::Unexpected) => tally.unexpected += 1,
                Ok(Answer::CrossWired) => tally.cross_wired += 1,
                Err(why) => {
                    tally.malformed += 1;
                    tracing::warn!(%why, "an answer was not understood");
                }
            }
        }
        Ok(())
    }

    /// The terminal and the trace number say whose answer it is; all else that it repeats must agree.
    fn whose(&self, answer: &Probe<'_>) -> Answer {
        let shared = &self.shared;
        let is = |field, digits: &[u8]| match answer.raw(field) {
            Some(_) => answer.characters(field).is_some_and(|characters| *characters == *digits),
            None => true,
        };
        let terminal = answer.characters(41);
        if terminal.is_none_or(|terminal| *terminal != *self.template.terminal()) {
            return Answer::CrossWired;
        }
        let stan = answer.characters(11).unwrap_or_default();
        let Some(place) = requests_since(self.window.first_sequence(), &stan) else {
            return Answer::CrossWired;
        };
        let Some(pending) = self.window.pending(place) else { return Answer::Unexpected };
        let Identity { pan, reference, .. } = self.identity(place);
        let is_same_second = shared.time(pending.second).is_ok_and(|time| is(7, &time));
        if answer.mti() != "0210" || !is(2, &pan) || !is(37, &reference) || !is_same_second {
            return Answer::CrossWired;
        }
        let is_approved = answer.characters(39).is_some_and(|code| *code == *b"00");
        Answer::Ours(place, if is_approved { Ending::Approved } else { Ending::Declined })
    }

    fn settle(&mut self, place: usize, ending: Ending, now: Instant, tally: &mut Tally) {
        let share = self.identity(place).share;
        let started = self.window.settle(place);
        let latency = now.saturating_duration_since(started);
        tally.answered(share, ending, latency, self.shared.is_measured(started));
        tally.last_answer = Some(now);
    }

    /// Gives up the requests whose time for an answer has passed.
    fn give_up_overdue(&mut self, now: Instant) {
        let shared = Rc::clone(&self.shared);
        while self.window.oldest().is_some_and(|started| started + shared.profile.timeout <= now) {
            self.give_up_oldest(Ending::TimedOut);
        }
    }

    fn give_up_oldest(&mut self, ending: Ending) {
        let share = self.identity(0).share;
        let started = self.window.settle(0);
        if self.shared.is_measured(started) {
            self.shared.tally.borrow_mut().ended(share, ending);
        }
    }

    /// Gives up everything that a lost connection carried.
    fn lose(&mut self, why: &anyhow::Error) {
        tracing::debug!(connection = self.number, %why, "connection lost");
        self.out.clear();
        while self.window.oldest().is_some() {
            self.give_up_oldest(Ending::Lost);
        }
        self.shared.tally.borrow_mut().disconnects += 1;
    }

    fn identity(&self, place: usize) -> Identity {
        self.shared.profile.mix.identity(self.number, self.window.first_sequence() + place as u64)
    }

    fn is_finished(&self, now: Instant) -> bool {
        self.window.oldest().is_none() && self.out.is_empty() && !self.shared.may_send(now)
    }

    /// When to look again, should nothing come in.
    fn wake_at(&self, now: Instant) -> Instant {
        let timeout = self.shared.profile.timeout;
        let overdue = self.window.oldest().map(|started| started + timeout);
        let has_room = self.window.has_room(self.shared.profile.pipeline);
        let due = self.pace.as_ref().filter(|_| has_room).map(|pace| pace.next);
        let end = self.shared.send_until.filter(|end| *end > now);
        [overdue, due, end].into_iter().flatten().min().unwrap_or(now + timeout)
    }
}

/// Opens a connection within the time an answer may take.
pub(super) async fn connect(world: &World, profile: &Profile) -> anyhow::Result<Stream> {
    let options = ConnectOptions::default();
    match world.clock.timeout(profile.timeout, world.net.connect(&profile.target, &options)).await {
        Ok(opened) => Ok(opened?),
        Err(_) => anyhow::bail!("no connection within {:?}", profile.timeout),
    }
}
