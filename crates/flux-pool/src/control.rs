//! Commands to one peer's worker: close this session, try again now, stop for good.

use flux_world::Instant;
use tokio::sync::watch;

use crate::reason::CloseReason;

/// The order to stop for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What the session's end will be put down to.
    pub reason: CloseReason,
    /// Until when what is queued may still be written; then everything is broken off.
    pub until: Instant,
}

/// The commands given so far. Workers wait on them, the pool gives them; giving never waits.
#[derive(Debug)]
pub struct Control {
    orders: watch::Sender<Orders>,
}

#[derive(Clone, Debug, Default)]
struct Orders {
    stop: Option<Stop>,
    /// The number of the session to close, and why.
    disconnect: Option<(u64, CloseReason)>,
    kicks: u64,
}

impl Control {
    pub(crate) fn new() -> Self {
        Self { orders: watch::Sender::new(Orders::default()) }
    }

    /// Stops the worker; a second order can only shorten the time.
    pub fn stop(&self, stop: Stop) {
        self.orders.send_modify(|orders| match &mut orders.stop {
            Some(former) => former.until = former.until.min(stop.until),
            none => *none = Some(stop),
        });
    }

    /// Closes session number `session` if it is still the one.
    pub fn disconnect(&self, session: u64, reason: CloseReason) {
        self.orders.send_modify(|orders| {
            if orders.disconnect.as_ref().is_none_or(|(former, _)| *former < session) {
                orders.disconnect = Some((session, reason));
            }
        });
    }

    /// Ends the wait before the next attempt.
    pub fn kick(&self) {
        self.orders.send_modify(|orders| orders.kicks += 1);
    }

    /// The order to stop, if it was given.
    pub fn stop_ordered(&self) -> Option<Stop> {
        self.orders.borrow().stop.clone()
    }

    /// Waits for the order to stop. Cancel-safe, like the others.
    pub async fn stopped(&self) -> Stop {
        let mut orders = self.orders.subscribe();
        let ordered = orders.wait_for(|orders| orders.stop.is_some()).await;
        let ordered = ordered.expect("the sender lives as long as self");
        ordered.stop.clone().expect("waited for just that")
    }

    /// Waits for the order to close session number `session`.
    pub async fn disconnected(&self, session: u64) -> CloseReason {
        let mut orders = self.orders.subscribe();
        let asked = |orders: &Orders| orders.disconnect.as_ref().is_some_and(|(asked, _)| *asked == session);
        let ordered = orders.wait_for(asked).await.expect("the sender lives as long as self");
        ordered.disconnect.clone().map(|(_, reason)| reason).expect("waited for just that")
    }

    /// Waits for the next kick.
    pub async fn kicked(&self) {
        let mut orders = self.orders.subscribe();
        let before = orders.borrow_and_update().kicks;
        let kicked = orders.wait_for(|orders| orders.kicks > before).await;
        drop(kicked.expect("the sender lives as long as self"));
    }
}
