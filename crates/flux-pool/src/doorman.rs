//! The doorman of one listener: counts those who did not get in, and says so at once but not again and again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flux_world::{Clock, Instant};
use parking_lot::Mutex;

use crate::event::{EventKind, EventSender};
use crate::reason::CloseReason;

/// What keeps happening at a listener is told once in this time, with how often it happened.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Counts and tells for one listener.
#[derive(Debug)]
pub(crate) struct Doorman {
    local: SocketAddr,
    clock: Clock,
    events: EventSender,
    turned_away: Arc<TurnedAway>,
    refusals: Mutex<Tally>,
    handshakes: Mutex<Tally>,
    failures: Mutex<Tally>,
}

/// Connections that did not become sessions of a pool, by why not.
#[derive(Debug, Default)]
pub(crate) struct TurnedAway {
    /// Closed because a listener was at its limit.
    pub(crate) refused: AtomicU64,
    /// Accepted, and their handshake failed.
    pub(crate) handshakes_failed: AtomicU64,
    /// Broken by the peer or the network before they were accepted.
    pub(crate) broken: AtomicU64,
    /// Attempts to accept that met a limit of process or system.
    pub(crate) accepts_failed: AtomicU64,
}

impl Doorman {
    pub(crate) fn new(
        local: SocketAddr,
        clock: Clock,
        events: EventSender,
        turned_away: Arc<TurnedAway>,
    ) -> Self {
        let (refusals, handshakes, failures) = Default::default();
        Self { local, clock, events, turned_away, refusals, handshakes, failures }
    }

    /// A connection above the limit was closed.
    pub(crate) fn refused(&self) {
        let local = self.local;
        if let Some(times) = self.happened(&self.turned_away.refused, &self.refusals) {
            tracing::warn!(%local, times, "connections above the limit are closed");
            self.events.emit(self.clock.now(), EventKind::Refusing { local });
        }
    }

    /// The connection from `peer` ended before it was a session.
    pub(crate) fn handshake_failed(&self, peer: SocketAddr, why: &CloseReason) {
        if let Some(times) = self.happened(&self.turned_away.handshakes_failed, &self.handshakes) {
            tracing::warn!(local = %self.local, %peer, %why, times, "a handshake failed");
        }
    }

    /// A connection broke before it was accepted.
    pub(crate) fn broken(&self) {
        self.turned_away.broken.fetch_add(1, Ordering::Relaxed);
    }

    /// No connection can be accepted for now.
    pub(crate) fn accept_failed(&self, error: &std::io::Error) {
        let local = self.local;
        if let Some(times) = self.happened(&self.turned_away.accepts_failed, &self.failures) {
            tracing::warn!(%local, %error, times, "accepting failed, trying again");
            let error = error.to_string().into();
            self.events.emit(self.clock.now(), EventKind::AcceptFailed { local, error });
        }
    }

    fn happened(&self, counter: &AtomicU64, tally: &Mutex<Tally>) -> Option<u64> {
        counter.fetch_add(1, Ordering::Relaxed);
        tally.lock().add(self.clock.now())
    }
}

/// How often something happened since it was told.
#[derive(Debug, Default)]
struct Tally {
    times: u64,
    told_at: Option<Instant>,
}

impl Tally {
    /// It happened once more. Returns how often, this time included, when that is to be told now.
    fn add(&mut self, now: Instant) -> Option<u64> {
        self.times += 1;
        let is_due = self.told_at.is_none_or(|told_at| now >= told_at + TOLD_EVERY);
        is_due.then(|| {
            self.told_at = Some(now);
            std::mem::take(&mut self.times)
        })
    }
}
