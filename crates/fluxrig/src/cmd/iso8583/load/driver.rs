//! Drives the connections of a load to its end, and looks at the count twice a second.

use std::{
    cell::{Cell, RefCell},
    num::NonZeroU32,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use flux_iso8583::Spec;
use flux_world::{Entropy, Instant, Stream, Target, World};
use jiff::{Timestamp, tz::TimeZone};
use tokio::task::{JoinSet, LocalSet};

use super::{
    connection::{self, Connection},
    mix::Mix,
    tally::{Moment, Tally},
    template::Time,
};
use crate::cmd::iso8583::frames::LengthBytes;

/// Time between two looks at the count.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What load to make.
pub(crate) struct Profile {
    pub(crate) target: Target,
    pub(crate) connections: u16,
    /// Requests of one connection that may wait for answers at a time.
    pub(crate) pipeline: usize,
    /// Requests a second of all connections together, due at regular times; without it, each answer makes room for the
    /// next request.
    pub(crate) rate: Option<NonZeroU32>,
    pub(crate) end: End,
    /// Time at the start that is not measured.
    pub(crate) warmup: Duration,
    /// Time for an answer.
    pub(crate) timeout: Duration,
    pub(crate) spec: Arc<Spec>,
    pub(crate) mix: Mix,
    pub(crate) length: LengthBytes,
    /// In front of every message; empty for none.
    pub(crate) tpdu: Vec<u8>,
    /// Whether lost connections are opened again.
    pub(crate) reconnects: bool,
}

/// When a load ends, the warm-up not counted.
#[derive(Clone, Copy)]
pub(crate) enum End {
    After(Duration),
    /// So many requests.
    Requests(u64),
}

/// What came of a load.
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// Every half second of it, warm-up included.
    pub(crate) moments: Vec<Moment>,
    /// From the end of the warm-up to the last answer.
    pub(crate) measured: Duration,
}

/// What the connections share; they run on one thread.
pub(super) struct Shared {
    pub(super) world: World,
    pub(super) profile: Profile,
    pub(super) tally: RefCell<Tally>,
    /// Without it there is no end but the number of requests.
    pub(super) send_until: Option<Instant>,
    measure_from: Instant,
    requests_left: Cell<u64>,
    /// What the names of the terminals begin with: two runs at the same time are different terminals.
    run: String,
    started: Instant,
    unix_started: i64,
    /// The last second that was written out.
    time: Cell<(i64, Time)>,
}

/// Makes the load, calling `look` regularly; a load that is stopped early is counted as far as it came.
pub(crate) async fn drive(
    world: &World,
    profile: Profile,
    look: &mut dyn FnMut(&Tally, &Moment),
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Outcome> {
    LocalSet::new().run_until(drive_here(world, profile, look, stop)).await
}

async fn drive_here(
    world: &World,
    profile: Profile,
    look: &mut dyn FnMut(&Tally, &Moment),
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Outcome> {
    let streams = connect_all(world, &profile).await?;
    let shared = Rc::new(Shared::new(world.clone(), profile));
    let started = shared.started;
    let mut connections = JoinSet::new();
    for (number, stream) in streams.into_iter().enumerate() {
        let connection = Connection::new(Rc::clone(&shared), number as u16, started)?;
        connections.spawn_local(connection.run(stream));
    }
    let mut moments = Vec::new();
    let mut stop = std::pin::pin!(stop);
    let mut next_look = started + LOOK_EVERY;
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            done = connections.join_next() => match done {
                Some(done) => done.context("a connection of the load driver failed")?,
                None => break,
            },
            () = world.clock.sleep_until(next_look) => {
                next_look += LOOK_EVERY;
                let mut tally = shared.tally.borrow_mut();
                let moment = tally.moment(started, world.clock.now());
                look(&tally, &moment);
                moments.push(moment);
            }
        }
    }
    connections.shutdown().await;
    let measure_from = shared.measure_from;
    let shared = Rc::into_inner(shared).expect("every connection has ended");
    let tally = shared.tally.into_inner();
    let measured =
        tally.last_answer.map(|last| last.saturating_duration_since(measure_from)).unwrap_or_default();
    Ok(Outcome { tally, moments, measured })
}

async fn connect_all(world: &World, profile: &Profile) -> anyhow::Result<Vec<Stream>> {
    let mut streams = Vec::with_capacity(profile.connections.into());
    for _ in 0..profile.connections {
        let stream = connection::connect(world, profile).await;
        streams.push(stream.with_context(|| format!("cannot connect to {}", profile.target))?);
    }
    Ok(streams)
}

fn run_name(entropy: &Entropy) -> String {
    let character = || char::from_digit(entropy.below(36) as u32, 36).expect("a digit below its base");
    (0..4).map(|_| character().to_ascii_uppercase()).collect()
}

impl Shared {
    fn new(world: World, profile: Profile) -> Shared {
        let started = world.clock.now();
        let measure_from = started + profile.warmup;
        let (send_until, requests_left) = match profile.end {
            End::After(span) => (Some(measure_from + span), u64::MAX),
            End::Requests(count) => (None, count),
        };
        Shared {
            tally: RefCell::new(Tally::new(profile.mix.prefixes().count(), started)),
            send_until,
            measure_from,
            requests_left: Cell::new(requests_left),
            run: run_name(&world.entropy),
            started,
            unix_started: world.clock.unix_ns() / 1_000_000_000,
            time: Cell::new((i64::MIN, Time::default())),
            profile,
            world,
        }
    }

    /// The terminal of a connection: four characters of this run, four digits of its own.
    pub(super) fn terminal(&self, connection: u16) -> String {
        format!("{}{connection:04}", self.run)
    }

    /// Whether there is more to send, now or later.
    pub(super) fn may_send(&self, now: Instant) -> bool {
        self.requests_left.get() > 0 && self.send_until.is_none_or(|end| now < end)
    }

    /// Whether one more request may be sent, which is then counted.
    pub(super) fn take_turn(&self, now: Instant) -> bool {
        let may_send = self.may_send(now);
        if may_send && self.is_measured(now) {
            self.requests_left.set(self.requests_left.get() - 1);
        }
        may_send
    }

    /// Whether a request started then is measured.
    pub(super) fn is_measured(&self, started: Instant) -> bool {
        started >= self.measure_from
    }

    /// The second of wall time, since 1970.
    pub(super) fn unix_second(&self, now: Instant) -> i64 {
        self.unix_started + now.saturating_duration_since(self.started).as_secs() as i64
    }

    /// A second as messages write it.
    pub(super) fn time(&self, second: i64) -> anyhow::Result<Time> {
        let (last, time) = self.time.get();
        if last == second {
            return Ok(time);
        }
        let shown =
            Timestamp::from_second(second)?.to_zoned(TimeZone::UTC).strftime("%m%d%H%M%S").to_string();
        let time = Time::try_from(shown.as_bytes()).context("a time of ten digits")?;
        self.time.set((second, time));
        Ok(time)
    }
}
