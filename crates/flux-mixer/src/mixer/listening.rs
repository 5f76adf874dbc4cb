//! What a Mixer hears of its Racks, and what it does from time to time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use flux_bus::{Error, Message, Name, Pattern, subject};
use flux_identity::limits::HEARTBEAT_BYTES_MAX;
use flux_identity::{Heartbeat, rack_name};
use flux_scenario::edition::ContentHash;
use flux_world::{Backoff, BackoffPolicy};

use super::Mixer;
use crate::audit::{Note, Outcome};
use crate::limits::{HEARTBEATS_QUEUED_MAX, PENDING_AGE_MAX};
use crate::refusal::Refusal;

/// How often what has expired is forgotten.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How soon the bus is told again who is revoked, where it could not be.
const TELL_AGAIN: Duration = Duration::from_secs(2);

const POLICY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(500),
    cap: Duration::from_secs(15),
    stable_after: Duration::from_secs(30),
    is_first_immediate: false,
};

impl Mixer {
    /// Takes heartbeats in and forgets what has expired, until it is dropped.
    pub async fn run(&self) {
        let mut backoff = Backoff::new(POLICY);
        loop {
            let Err(why) = self.listen(&mut backoff).await;
            tracing::warn!(%why, "no heartbeats are heard for now");
            self.world.clock.sleep(backoff.wait(self.world.clock.now(), &self.world.entropy)).await;
        }
    }

    async fn listen(&self, backoff: &mut Backoff) -> Result<std::convert::Infallible, Error> {
        let clock = self.world.clock;
        let mut heard = match self.fleet() {
            None => None,
            Some(fleet) => {
                let all = Pattern::new(format!("{}.*.heartbeat", subject::AGENT))?;
                Some(fleet.bus.subscribe(all, HEARTBEATS_QUEUED_MAX).await?)
            }
        };
        backoff.up(clock.now());
        let mut sweep = clock.now() + SWEEP_EVERY;
        let mut look = clock.now() + self.settings.heartbeat / 2;
        let mut tell_at = clock.now();
        loop {
            // What cannot be told for now holds up no heartbeat.
            let untold = async move {
                self.untold().await;
                clock.sleep_until(tell_at).await;
            };
            let next = async {
                match &mut heard {
                    Some(heard) => heard.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = clock.sleep_until(sweep) => {
                    self.sweep().await;
                    sweep = clock.now() + SWEEP_EVERY;
                }
                () = untold => {
                    // Logged where it fails.
                    let _ = self.tell_revocations().await;
                    tell_at = clock.now() + TELL_AGAIN;
                }
                () = clock.sleep_until(look) => {
                    look = clock.now() + self.settings.heartbeat / 2;
                    for (rack, liveness) in self.registry.turned() {
                        self.tell(&format!("rack.{liveness}"), rack.as_str());
                    }
                }
                message = next => match message {
                    Some(message) => {
                        if let Some((rack, orders)) = self.take_heartbeat(&message) {
                            self.tell_orders(&rack, orders).await;
                        }
                    }
                    None => return Err(Error::Closed),
                }
            }
        }
    }

    /// Who may send on the subject is the Rack it names: the server of the bus sees to that. The Rack and its
    /// orders, when it obeys others.
    fn take_heartbeat(&self, message: &Message) -> Option<(Name, ContentHash)> {
        let rack = message.subject.as_str().split('.').nth(2).and_then(|name| rack_name(name).ok());
        let is_short = message.body.len() <= HEARTBEAT_BYTES_MAX;
        let heartbeat = serde_json::from_slice::<Heartbeat>(&message.body).ok().filter(|_| is_short);
        match (rack, heartbeat) {
            (Some(rack), Some(heartbeat)) => {
                self.counts.heartbeats.fetch_add(1, Ordering::Relaxed);
                let actual = heartbeat.orders;
                if self.registry.hear(&rack, heartbeat)? {
                    self.tell("rack.orders", rack.as_str());
                }
                self.behind(&rack, actual).map(|orders| (rack, orders))
            }
            (Some(_) | None, _) => {
                self.counts.heartbeats_unreadable.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(subject = %message.subject, "a heartbeat cannot be read");
                None
            }
        }
    }

    /// Those that nobody approves make room.
    async fn forget_pending(&self) -> Result<(), Refusal> {
        let before = self.world.clock.unix_ms().saturating_sub(PENDING_AGE_MAX.as_millis() as u64);
        for rack in self.registry.pending_since_before(before) {
            let (who, what, about) = ("mixer", "rack.forget", rack.as_str());
            self.write_down(Note { who, what, about, outcome: Outcome::Done, detail: "nobody approved it" })
                .await?;
            self.registry.remove(&rack).await?;
        }
        Ok(())
    }

    pub(super) async fn sweep(&self) {
        // Listing them forgets those that have expired.
        let swept = async {
            self.invitations.live().await?;
            self.access.live().await?;
            self.forget_pending().await?;
            self.forget_expired().await
        };
        if let Err(why) = swept.await {
            tracing::warn!(%why, "what has expired is not forgotten yet");
        }
    }
}
