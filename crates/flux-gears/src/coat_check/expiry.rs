//! Coats whose time is up: each is told of once, and thrown away when that has come to its end.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use flux_gear::{Bytes, EmitError, Emitter, OutPort, Receipt, Table};
use flux_signal::LeaseEnd;
use flux_world::{Clock, Instant};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::coat::{self, Tailor};

/// Events that are sent out in one go.
const BATCH_MAX: usize = 32;

/// Events that may be out and not at their end.
const OUT_MAX: usize = 1_024;

/// How long to wait for events to come to their end, and before telling again of one that was given up.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the clock is watched for.
#[derive(Default)]
pub(super) struct Expiry {
    /// A coat was hung up that may be the next whose time is up.
    earlier: Notify,
    /// Events that are out, with the keys of their coats.
    out: Mutex<Vec<(Bytes, Receipt)>>,
    /// No event is out any more.
    idle: Notify,
    /// Held by the one who watches; the next begins where it ended.
    turn: tokio::sync::Mutex<()>,
}

/// Who tells.
pub(super) struct Teller {
    pub(super) emit: Emitter,
    pub(super) port: OutPort,
    pub(super) gear: String,
    pub(super) clock: Clock,
    pub(super) tailor: Arc<Tailor>,
}

impl Expiry {
    /// Looks anew at what comes next.
    pub(super) fn look_again(&self) {
        self.earlier.notify_one();
    }

    /// Ends when no event is out.
    pub(super) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.out.lock().is_empty() {
                return;
            }
            idle.await;
        }
    }

    /// Watches the clock until it is stopped.
    pub(super) async fn run(self: Arc<Expiry>, coats: Table, teller: Teller, stop: CancellationToken) {
        let run = async {
            let _turn = self.turn.lock().await;
            loop {
                let next = coats.next_due();
                tokio::select! {
                    biased;
                    () = until(teller.clock, next) => {}
                    () = self.earlier.notified() => continue,
                }
                if self.expire(&coats, &teller).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! { biased; () = stop.cancelled() => {} () = run => {} }
    }

    async fn expire(&self, coats: &Table, teller: &Teller) -> Result<(), EmitError> {
        let out: Vec<Bytes> = self.out.lock().iter().map(|(key, _)| key.clone()).collect();
        let due = coats.due(out.len() + BATCH_MAX).into_iter().filter(|(key, _)| !out.contains(key));
        for (key, entry) in due.take(OUT_MAX.saturating_sub(out.len())) {
            let Ok(coat) = coat::unfold(&entry.value) else {
                tracing::error!(gear = teller.gear, "what was kept is no coat, and is thrown away");
                throw_away(coats, &key, teller);
                continue;
            };
            let id = coat.id;
            let event = teller.tailor.event(coat, &teller.gear);
            match teller.emit.emit_tracked(teller.port, event).await {
                Ok(receipt) => self.out.lock().push((key, receipt)),
                Err(EmitError::Stopping) => return Err(EmitError::Stopping),
                Err(EmitError::Limit(why)) => {
                    tracing::error!(gear = teller.gear, %id, error = %why, "an event was given up");
                    throw_away(coats, &key, teller);
                }
            }
        }
        self.settle(coats, teller).await;
        Ok(())
    }

    /// Waits a moment for the events that are out. A coat whose event came to its end is thrown away; of one whose event was
    /// given up it is told again.
    async fn settle(&self, coats: &Table, teller: &Teller) {
        let deadline = teller.clock.now() + PATIENCE;
        let mut was_given_up = false;
        let all = poll_fn(|cx| {
            let mut out = self.out.lock();
            out.retain_mut(|(key, receipt)| match Pin::new(receipt).poll(cx) {
                Poll::Pending => true,
                Poll::Ready(LeaseEnd::Settled) => {
                    throw_away(coats, key, teller);
                    false
                }
                Poll::Ready(LeaseEnd::Abandoned) => {
                    was_given_up = true;
                    false
                }
            });
            if out.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        });
        if teller.clock.timeout_at(deadline, all).await.is_ok() {
            self.idle.notify_waiters();
        }
        if was_given_up {
            teller.clock.sleep_until(deadline).await;
        }
    }
}

fn throw_away(coats: &Table, key: &[u8], teller: &Teller) {
    if let Err(why) = coats.delete(key) {
        tracing::warn!(gear = teller.gear, error = %why, "a coat whose time is up stays a while, and is told of again");
    }
}

async fn until(clock: Clock, at: Option<Instant>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}
