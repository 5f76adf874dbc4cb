//! Tells when a peer has been silent for too long, and asks it before giving up.

use std::time::Duration;

use flux_world::{Instant, World};

use super::heartbeat::Heartbeat;
use crate::config::Probe;
use crate::outbound::Outbound;

/// Returns when nothing was heard for `timeout`; never, when there is no timeout.
///
/// Silence of our own making does not count.
pub async fn silence(world: &World, heartbeat: &Heartbeat, timeout: Option<Duration>) {
    let Some(timeout) = timeout else { return std::future::pending().await };
    loop {
        let now = world.clock.now();
        let deadline = last_heard(heartbeat, now) + timeout;
        if now >= deadline {
            return;
        }
        world.clock.sleep_until(deadline).await;
    }
}

/// Asks a silent peer again and again; returns when a question was not followed by anything in time.
///
/// Each wait is up to 10 % longer or shorter, so that many peers are not asked in step.
pub async fn unanswered(world: &World, heartbeat: &Heartbeat, outbound: &Outbound, probe: Option<&Probe>) {
    let Some(probe) = probe else { return std::future::pending().await };
    loop {
        let every = probe.every.mul_f64(0.9 + 0.2 * world.entropy.unit_f64());
        silence(world, heartbeat, Some(every)).await;
        let asked_at = world.clock.now();
        outbound.probe(probe.frame.clone());
        world.clock.sleep(probe.answer_within).await;
        if last_heard(heartbeat, world.clock.now()) <= asked_at {
            return;
        }
    }
}

fn last_heard(heartbeat: &Heartbeat, now: Instant) -> Instant {
    if heartbeat.is_excused() { now } else { heartbeat.last() }
}
