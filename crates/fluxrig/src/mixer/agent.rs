//! What an enrolled Rack does for its Mixer while it runs: it says that it lives, and has what it was given made anew in time.
//!
//! Nothing of the Rack waits for it. It has a connection of its own, so that what it says is never behind data.

use std::{path::PathBuf, sync::Arc, sync::atomic::Ordering, time::Duration};

use flux_bus::{Bus, Error, Message, Name, Pattern, Subject, Subscription, subject};
use flux_identity::{Heartbeat, OrdersChanged, SignedPassport};
use flux_nats::NatsBus;
use flux_scenario::edition::ContentHash;
use flux_world::{Backoff, BackoffPolicy, Instant, World};
use tokio::sync::watch;

use super::{
    client::Refused,
    enrolment::{Enroller, Outcome},
    identity::Identity,
    obedience::Wish,
};
use crate::{bus::Given, running::Vitals};

/// Between attempts to reach the bus.
const POLICY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(30),
    stable_after: Duration::from_secs(60),
    is_first_immediate: false,
};
/// How often at most it asks because it was told that there is something new.
const ASKS_AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// OrdersChanged that wait to be heard; of more, the first say enough.
const NEWS_QUEUED_MAX: usize = 4;
/// How soon what could not be made anew is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// Who speaks for the Rack.
pub(crate) struct Agent {
    world: World,
    enroller: Enroller,
    identity: Identity,
    vitals: Arc<Vitals>,
    /// The orders that the Rack obeys.
    obeyed: watch::Receiver<Option<ContentHash>>,
    began: Instant,
    /// What the passport says.
    passport: SignedPassport,
    /// What the Rack was started with, in place of its part.
    own: Option<PathBuf>,
    /// What the Rack is to do.
    wish: watch::Sender<Wish>,
    /// The bus of the Mixer, where it is in this process.
    here: Option<Arc<dyn Bus>>,
    /// When it is asked again to make it anew.
    renew_at: Instant,
    /// When it was asked last.
    asked_at: Instant,
}

/// There is something else to connect with.
struct Renewed;

/// What an [`Agent`] is made from, before the Rack runs.
pub(crate) struct Leader {
    pub(crate) enroller: Enroller,
    pub(crate) identity: Identity,
    pub(crate) passport: SignedPassport,
    /// What the Rack was started with, in place of its part.
    pub(crate) own: Option<PathBuf>,
    /// What the Rack is to do.
    pub(crate) wish: Wish,
    /// The bus of the Mixer, where it is in this process.
    pub(crate) bus: Option<Arc<dyn Bus>>,
}

/// The bus of the Mixer, as the Rack reaches it.
enum Reached {
    Server(Box<NatsBus>),
    Here(Arc<dyn Bus>),
}

impl Reached {
    fn bus(&self) -> &dyn Bus {
        match self {
            Reached::Server(bus) => &**bus,
            Reached::Here(bus) => &**bus,
        }
    }

    fn is_connected(&self) -> bool {
        match self {
            Reached::Server(bus) => bus.is_connected(),
            Reached::Here(_) => true,
        }
    }
}

impl Leader {
    /// How the Rack reaches the bus of its Mixer; none where the Mixer gave it none.
    pub(crate) fn given(&self) -> Option<Given> {
        given(self.bus.as_ref(), &self.identity, &self.enroller)
    }
}

fn given(here: Option<&Arc<dyn Bus>>, identity: &Identity, enroller: &Enroller) -> Option<Given> {
    let on_server =
        || identity.bus_settings(&enroller.state_dir).map(|settings| Given::Server(Box::new(settings)));
    here.cloned().map(Given::Here).or_else(on_server)
}

impl Agent {
    /// With where what the Rack is to do can be read.
    pub(crate) fn new(leader: Leader, vitals: Arc<Vitals>) -> (Agent, watch::Receiver<Wish>) {
        let Leader { enroller, identity, passport, own, wish, bus: here } = leader;
        let world = enroller.client.world.clone();
        let began = world.clock.now();
        let (wish, wished) = watch::channel(wish);
        let obeyed = vitals.obeyed.subscribe();
        let mut agent = Agent {
            world,
            enroller,
            identity,
            vitals,
            obeyed,
            began,
            passport,
            own,
            wish,
            here,
            renew_at: began,
            asked_at: began,
        };
        agent.renew_at = began + agent.until_renewal();
        (agent, wished)
    }

    /// Speaks for the Rack until it is dropped.
    pub(crate) async fn run(mut self) {
        let (clock, entropy) = (self.world.clock, self.world.entropy.clone());
        let mut backoff = Backoff::new(POLICY);
        loop {
            let why = match self.connect().await {
                Ok(bus) => {
                    backoff.up(clock.now());
                    tracing::info!(rack = %self.identity.rack, "the Mixer's bus is reached");
                    match self.speak(&bus).await {
                        Ok(Renewed) => continue,
                        Err(why) => why,
                    }
                }
                Err(why) => why,
            };
            tracing::warn!(%why, "the Mixer's bus is away; the rack goes on");
            if matches!(why, Error::Denied(_)) {
                // Why it has no word is what the Mixer says when it is asked.
                self.renew().await;
            }
            let wait = backoff.wait(clock.now(), &entropy);
            tokio::select! {
                biased;
                () = clock.sleep_until(self.renew_at) => {
                    self.renew().await;
                }
                () = clock.sleep(wait) => {}
            }
        }
    }

    async fn connect(&self) -> Result<Reached, Error> {
        match given(self.here.as_ref(), &self.identity, &self.enroller) {
            Some(Given::Here(bus)) => Ok(Reached::Here(bus)),
            Some(Given::Server(settings)) => {
                let bus = Box::pin(NatsBus::connect(&self.world, *settings)).await?;
                Ok(Reached::Server(Box::new(bus)))
            }
            None => Err(Error::Away("the Mixer runs no server".into())),
        }
    }

    /// Says that the Rack lives for as long as somebody hears, and until it has another identity to connect with.
    async fn speak(&mut self, reached: &Reached) -> Result<Renewed, Error> {
        let (clock, bus) = (self.world.clock, reached.bus());
        let mut heard = self.listen(bus).await?;
        let mut beat_at = clock.now();
        loop {
            let news = tokio::select! {
                biased;
                () = clock.sleep_until(self.renew_at) => None,
                () = clock.sleep_until(beat_at) => {
                    if !reached.is_connected() {
                        return Err(Error::Away("the connection was lost".into()));
                    }
                    self.beat(bus).await?;
                    beat_at = clock.now() + Duration::from_millis(self.identity.heartbeat_ms);
                    continue;
                }
                // It is told at once that the Rack does what it was told.
                _ = self.obeyed.changed() => {
                    beat_at = clock.now();
                    continue;
                }
                news = heard.next() => Some(news.ok_or(Error::Closed)?),
            };
            match news {
                None => {
                    if self.renew().await {
                        return Ok(Renewed);
                    }
                }
                Some(news) if self.is_new(&news) => {
                    self.renew_at = self.renew_at.min(self.asked_at + ASKS_AT_MOST_EVERY);
                }
                Some(_) => {}
            }
        }
    }

    async fn listen(&self, bus: &dyn Bus) -> Result<Subscription, Error> {
        let orders = Subject::of(subject::CONTROL, &self.identity.rack, &Name::new("orders")?);
        bus.subscribe(Pattern::from(&orders), NEWS_QUEUED_MAX).await
    }

    /// Whether it says that there is something new, which anybody may have said: it is a reason to ask, from time to time.
    fn is_new(&self, message: &Message) -> bool {
        let news = serde_json::from_slice::<OrdersChanged>(&message.body);
        news.is_ok_and(|news| news.orders != self.passport.orders.digest())
    }

    async fn beat(&self, bus: &dyn Bus) -> Result<(), Error> {
        let uptime = self.world.clock.now().saturating_duration_since(self.began);
        let heartbeat = Heartbeat {
            program: env!("CARGO_PKG_VERSION").into(),
            passport_number: self.passport.number,
            uptime_ms: uptime.as_millis() as u64,
            gears: self.vitals.gears.load(Ordering::Relaxed),
            alarms: self.vitals.alarms.load(Ordering::Relaxed),
            orders: *self.obeyed.borrow(),
        };
        let body = serde_json::to_vec(&heartbeat).expect("a heartbeat is JSON");
        let to = Subject::new(format!("{}.{}.heartbeat", subject::AGENT, self.identity.rack))?;
        bus.publish(Message::new(to, body)).await
    }

    /// Has what the Rack was given made anew, with new keys; what it has stays good meanwhile. Whether it was.
    async fn renew(&mut self) -> bool {
        let renewed = self.enroller.ask(None, Some(&self.identity)).await;
        let own = self.enroller.passport.public_key();
        self.asked_at = self.world.clock.now();
        self.renew_at = self.asked_at + AGAIN;
        let is_renewed = matches!(renewed, Ok(Outcome::Enrolled(_)));
        match renewed {
            Ok(Outcome::Enrolled(identity)) => {
                self.identity = *identity;
                self.renew_at = self.world.clock.now() + self.until_renewal();
                match self.identity.passport(&own) {
                    Ok(passport) => self.obey(passport),
                    Err(why) => tracing::error!(%why, "the passport cannot be read"),
                }
            }
            Ok(Outcome::Pending { fingerprint, .. }) => {
                tracing::warn!(
                    fingerprint,
                    "the Mixer does not know this rack any more: somebody has to approve it"
                );
            }
            Err(why) => match why.downcast_ref::<Refused>() {
                Some(refused) => tracing::error!(why = %refused, "the Mixer refuses this rack"),
                None => tracing::warn!(why = %format!("{why:#}"), "the identity is not made anew yet"),
            },
        }
        is_renewed
    }

    /// Has the Rack do what a new passport says.
    fn obey(&mut self, passport: SignedPassport) {
        let (rack, number) = (&self.identity.rack, passport.number);
        tracing::info!(%rack, passport = number, "the identity is made anew");
        match Wish::of(&self.world, &self.enroller.state_dir, &passport, self.own.as_deref()) {
            Ok(mut wish) => {
                let is_told = passport.orders.shutdowns > self.passport.orders.shutdowns;
                wish.is_over = is_told || self.wish.borrow().is_over;
                self.wish.send_replace(wish);
                self.passport = passport;
            }
            Err(why) => {
                tracing::error!(%rack, why = %format!("{why:#}"), "what the Mixer wants cannot be kept")
            }
        }
    }

    fn until_renewal(&self) -> Duration {
        let now = self.world.clock.unix_ms();
        Duration::from_millis(self.identity.renew_unix_ms().saturating_sub(now).max(1_000))
    }
}
