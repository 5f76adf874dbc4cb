//! What an enrolled Rack does for its Mixer while it runs: it says that it lives, and has what it was given made anew in time.
//!
//! Nothing of the Rack waits for it. It has a connection of its own, so that what it says is never behind data.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use flux_bus::{Bus, Error, Message, Subject, subject};
use flux_identity::Heartbeat;
use flux_nats::{Credentials, NatsBus, Settings, Tls};
use flux_scenario::edition::ContentHash;
use flux_world::{Backoff, BackoffPolicy, Instant, World};

use super::{
    client::Refused,
    enrolment::{Enroller, Outcome},
    identity::{Identity, file},
};
use crate::running::Vitals;

/// Between attempts to reach the bus.
const POLICY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(30),
    stable_after: Duration::from_secs(60),
    is_first_immediate: false,
};
/// How soon what could not be made anew is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// Who speaks for the Rack.
pub(crate) struct Agent {
    world: World,
    enroller: Enroller,
    identity: Identity,
    vitals: Arc<Vitals>,
    began: Instant,
    passport_number: u64,
    /// The part that the Rack began with, which is not always the one of its passport now.
    part: Option<ContentHash>,
    /// When it is asked again to make it anew.
    renew_at: Instant,
}

/// What an [`Agent`] is made from, before the Rack runs.
pub(crate) struct Leader {
    pub(crate) enroller: Enroller,
    pub(crate) identity: Identity,
    pub(crate) passport_number: u64,
    /// The part that the Rack runs; none where it runs something else.
    pub(crate) part: Option<ContentHash>,
}

impl Agent {
    pub(crate) fn new(leader: Leader, vitals: Arc<Vitals>) -> Agent {
        let Leader { enroller, identity, passport_number, part } = leader;
        let world = enroller.client.world.clone();
        let began = world.clock.now();
        let mut agent =
            Agent { world, enroller, identity, vitals, began, passport_number, part, renew_at: began };
        agent.renew_at = began + agent.until_renewal();
        agent
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
                    self.speak(&bus).await
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
                () = clock.sleep_until(self.renew_at) => self.renew().await,
                () = clock.sleep(wait) => {}
            }
        }
    }

    async fn connect(&self) -> Result<NatsBus, Error> {
        let identity = &self.identity;
        let bus = identity.bus.as_ref().ok_or_else(|| Error::Away("the Mixer runs no server".into()))?;
        let key = identity.bus_key().map_err(|why| Error::Invalid(why.to_string()))?;
        let at = |name| file(&self.enroller.state_dir, name);
        let mut settings = Settings::new(bus.urls.clone());
        settings.name = identity.rack.to_string();
        settings.credentials = Credentials::Jwt(key.credentials(&bus.jwt));
        settings.tls =
            Some(Tls { roots: at("bus-ca.pem"), identity: Some((at("certificate.pem"), at("tls.key"))) });
        settings.inbox_prefix = Some(format!("{}_{}", subject::INBOX, identity.rack));
        Box::pin(NatsBus::connect(&self.world, settings)).await
    }

    /// Says that the Rack lives for as long as somebody hears, and until it has another identity to connect with.
    async fn speak(&mut self, bus: &NatsBus) -> Error {
        let clock = self.world.clock;
        loop {
            if let Err(why) = self.beat(bus).await {
                return why;
            }
            tokio::select! {
                biased;
                () = clock.sleep_until(self.renew_at) => {
                    self.renew().await;
                    return Error::Away("it connects anew, with what it was given".into());
                }
                () = clock.sleep(Duration::from_millis(self.identity.heartbeat_ms)) => {}
            }
            if !bus.is_connected() {
                return Error::Away("the connection was lost".into());
            }
        }
    }

    async fn beat(&self, bus: &NatsBus) -> Result<(), Error> {
        let uptime = self.world.clock.now().saturating_duration_since(self.began);
        let heartbeat = Heartbeat {
            program: env!("CARGO_PKG_VERSION").into(),
            passport_number: self.passport_number,
            uptime_ms: uptime.as_millis() as u64,
            gears: self.vitals.gears.load(Ordering::Relaxed),
            alarms: self.vitals.alarms.load(Ordering::Relaxed),
            part: self.part,
        };
        let body = serde_json::to_vec(&heartbeat).expect("a heartbeat is JSON");
        let to = Subject::new(format!("{}.{}.heartbeat", subject::AGENT, self.identity.rack))?;
        bus.publish(Message::new(to, body)).await
    }

    /// Has what the Rack was given made anew, with new keys; what it has stays good meanwhile.
    async fn renew(&mut self) {
        let renewed = self.enroller.ask(None, Some(&self.identity)).await;
        let own = self.enroller.passport.public_key();
        self.renew_at = self.world.clock.now() + AGAIN;
        match renewed {
            Ok(Outcome::Enrolled(identity)) => {
                self.passport_number = identity.passport(&own).map_or(0, |passport| passport.number);
                self.identity = *identity;
                self.renew_at = self.world.clock.now() + self.until_renewal();
                tracing::info!(rack = %self.identity.rack, passport = self.passport_number, "the identity is made anew");
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
    }

    fn until_renewal(&self) -> Duration {
        let now = self.world.clock.unix_ms();
        Duration::from_millis(self.identity.renew_unix_ms().saturating_sub(now).max(1_000))
    }
}
