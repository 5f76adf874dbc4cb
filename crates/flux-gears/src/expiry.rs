//! Entries of a table whose time is up: each is told of once, and thrown away when that has come to its end.
//!
//! The message that tells is emitted first and the entry removed afterwards, so that a crash between the two tells again
//! rather than never.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use flux_gear::{Bytes, EmitError, Emitter, FluxMsg, OutPort, Receipt, Table};
use flux_signal::LeaseEnd;
use flux_world::{Clock, Instant};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Entries that are looked at in one go.
const BATCH_MAX: usize = 128;

/// Messages that may be out and not at their end.
const OUT_MAX: usize = 1_024;

/// How long to wait for messages to come to their end, and before telling again of an entry whose message was given up.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the clock is watched for.
#[derive(Default)]
pub(crate) struct Expiry {
    watch: Mutex<Watch>,
    /// There is an entry whose time is up before the clock is looked at again.
    earlier: Notify,
    idle: Notify,
    /// Held by the one who watches; the next begins where it ended.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Watch {
    /// When the clock will be looked at; not planned when absent.
    wake_at: Option<Instant>,
    is_telling: bool,
    /// Messages that are out, with what they tell of.
    out: Vec<Told>,
}

/// An entry that was told of.
struct Told {
    key: Bytes,
    value: Bytes,
    receipt: Receipt,
}

/// What is done about an entry whose time is up.
pub(crate) enum Verdict {
    /// This tells of it.
    Tell(FluxMsg),
    /// Nobody needs to be told.
    LetGo,
    /// It is not what it was a moment ago.
    Leave,
}

/// Says what is done about an entry whose time is up, every time it is looked at.
pub(crate) trait Judge: Send + Sync {
    /// The verdict.
    fn judge(&self, key: &[u8], value: &Bytes) -> Verdict;
}

/// Who tells, and how.
pub(crate) struct Teller {
    pub(crate) emit: Emitter,
    pub(crate) port: OutPort,
    pub(crate) gear: String,
    pub(crate) clock: Clock,
    pub(crate) judge: Arc<dyn Judge>,
}

impl Expiry {
    /// An entry was put whose time is up then.
    pub(crate) fn look_at(&self, ends_at: Instant) {
        if self.watch.lock().wake_at.is_none_or(|planned| ends_at < planned) {
            self.earlier.notify_one();
        }
    }

    /// Ends when nothing is being told.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.watch.lock().is_idle() {
                return;
            }
            idle.await;
        }
    }

    /// Watches the clock until it is stopped.
    pub(crate) async fn run(self: Arc<Expiry>, table: Table, teller: Teller, stop: CancellationToken) {
        let run = async {
            let _turn = self.turn.lock().await;
            loop {
                let next = table.next_due();
                self.watch.lock().wake_at = next;
                tokio::select! {
                    biased;
                    () = until(teller.clock, next) => {}
                    () = self.earlier.notified() => continue,
                }
                if self.expire(&table, &teller).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! { biased; () = stop.cancelled() => {} () = run => {} }
    }

    async fn expire(&self, table: &Table, teller: &Teller) -> Result<(), EmitError> {
        let out: Vec<Bytes> = {
            let mut watch = self.watch.lock();
            watch.is_telling = true;
            watch.out.iter().map(|told| told.key.clone()).collect()
        };
        let due = table.due(out.len() + BATCH_MAX).into_iter().filter(|(key, _)| !out.contains(key));
        for (key, entry) in due.take(OUT_MAX.saturating_sub(out.len())) {
            let message = match teller.judge.judge(&key, &entry.value) {
                Verdict::Tell(message) => message,
                Verdict::LetGo => {
                    table.let_go(&key, &entry.value);
                    continue;
                }
                Verdict::Leave => continue,
            };
            let id = message.id;
            match teller.emit.emit_tracked(teller.port, message).await {
                Ok(receipt) => self.watch.lock().out.push(Told { key, value: entry.value, receipt }),
                Err(EmitError::Stopping) => return Err(EmitError::Stopping),
                Err(EmitError::Limit(why)) => {
                    tracing::error!(gear = teller.gear, %id, error = %why, "message given up");
                    throw_away(table, &key, &entry.value, teller);
                }
            }
        }
        self.settle(table, teller).await;
        Ok(())
    }

    /// Waits a moment for the messages that are out. An entry whose message came to its end is thrown away; of one whose
    /// message was given up it is told again.
    async fn settle(&self, table: &Table, teller: &Teller) {
        let deadline = teller.clock.now() + PATIENCE;
        let mut was_given_up = false;
        let all = poll_fn(|cx| {
            let mut watch = self.watch.lock();
            watch.out.retain_mut(|told| match Pin::new(&mut told.receipt).poll(cx) {
                Poll::Pending => true,
                Poll::Ready(LeaseEnd::Settled) => {
                    throw_away(table, &told.key, &told.value, teller);
                    false
                }
                Poll::Ready(LeaseEnd::Returned | LeaseEnd::Abandoned) => {
                    was_given_up = true;
                    false
                }
            });
            if watch.out.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        });
        // Who is not at the end by then is waited for again the next time.
        let _ = teller.clock.timeout_at(deadline, all).await;
        if was_given_up {
            teller.clock.sleep_until(deadline).await;
        }
        let mut watch = self.watch.lock();
        watch.is_telling = false;
        if watch.is_idle() {
            self.idle.notify_waiters();
        }
    }
}

impl Watch {
    fn is_idle(&self) -> bool {
        self.out.is_empty() && !self.is_telling
    }
}

fn throw_away(table: &Table, key: &[u8], value: &[u8], teller: &Teller) {
    if let Err(why) = table.delete_if(key, value) {
        tracing::warn!(gear = teller.gear, error = %why, "what was told of stays a while, and is told of again");
    }
}

async fn until(clock: Clock, at: Option<Instant>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}
