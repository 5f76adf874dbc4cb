//! Messages that leave their gear in order, each once what it says is on disk.
//!
//! A gear that changed its state by a message must not let go of what came of it before the change is safe: after a crash
//! the world would know of something that the gear does not. It queues the message here instead of emitting it, and goes
//! on; so a thousand messages share a sync.

use std::{collections::VecDeque, sync::Arc};

use flux_gear::{EmitError, Emitter, FluxMsg, Held, OutPort, Saved, keys};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Messages that leave together.
const BATCH_MAX: usize = 64;

/// Messages that may wait, about: the disk has stood still for a long time then.
const WAITING_MAX: usize = 1 << 16;

/// The queue. Whoever shares it shares the order.
#[derive(Default)]
pub(crate) struct Departures {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    idle: Notify,
    /// Held by the one who lets messages go; the next begins where it ended.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Departure>,
    /// Messages that are being emitted.
    leaving: usize,
}

struct Departure {
    saved: Saved,
    port: OutPort,
    msg: Held,
}

/// The way out.
pub(crate) struct Gate {
    pub(crate) emit: Emitter,
    /// For messages whose change turned out not to be safe.
    pub(crate) error: OutPort,
    pub(crate) gear: String,
}

impl Departures {
    /// Whether the disk is so far behind that nothing more should be begun.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.lock().queue.len() >= WAITING_MAX
    }

    /// Whether nothing waits, so that what is safe may leave at once.
    pub(crate) fn is_empty(&self) -> bool {
        self.in_hand() == 0
    }

    /// Messages that have not left.
    pub(crate) fn in_hand(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.queue.len() + waiting.leaving
    }

    /// Queues a message that may leave once its change is safe.
    pub(crate) fn push(&self, saved: Saved, port: OutPort, msg: FluxMsg) {
        self.waiting.lock().queue.push_back(Departure { saved, port, msg: Held::new(msg) });
        self.arrived.notify_one();
    }

    /// Has messages leave by other ports, as the gear that takes over calls them. For a port that it does not have, what is
    /// done with the message is `stray`'s.
    pub(crate) fn readdress(
        &self,
        port: impl Fn(OutPort) -> Option<OutPort>,
        stray: impl Fn(&mut FluxMsg) -> OutPort,
    ) {
        for departure in &mut self.waiting.lock().queue {
            departure.port = port(departure.port).unwrap_or_else(|| {
                let mut msg = departure.msg.msg().clone();
                let port = stray(&mut msg);
                departure.msg.becomes(msg);
                port
            });
        }
    }

    /// Ends when nothing waits.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.is_empty() {
                return;
            }
            idle.await;
        }
    }

    /// Lets messages go until it is stopped. One at a time does; what it could not emit is the next one's.
    pub(crate) async fn run(self: Arc<Departures>, gate: Gate, stop: CancellationToken) {
        let run = async {
            let _turn = self.turn.lock().await;
            loop {
                let first = self.first().await;
                let safe = first.wait().await;
                let emitted = match safe {
                    Ok(()) => self.emit_safe(&gate).await,
                    Err(why) => self.turn_away(&gate, &why.to_string()).await,
                };
                if emitted.is_err() {
                    return;
                }
            }
        };
        tokio::select! { biased; () = stop.cancelled() => {} () = run => {} }
    }

    /// What the next message waits for.
    async fn first(&self) -> Saved {
        loop {
            let arrived = self.arrived.notified();
            if let Some(first) = self.waiting.lock().queue.front() {
                return first.saved.clone();
            }
            arrived.await;
        }
    }

    /// Emits those at the front that are safe.
    async fn emit_safe(&self, gate: &Gate) -> Result<(), EmitError> {
        while let Some(mut run) = self.take_run() {
            run.emit(gate).await?;
        }
        Ok(())
    }

    /// Emits the first at the error port: what it says may not be known after a restart.
    async fn turn_away(&self, gate: &Gate, why: &str) -> Result<(), EmitError> {
        let Some(mut run) = self.take_first(gate.error) else { return Ok(()) };
        for msg in &mut run.msgs {
            msg.metadata.set(keys::ERROR_GEAR, gate.gear.as_str());
            msg.metadata.set(keys::ERROR_REASON, "store_failed");
            msg.metadata.set(keys::ERROR_MESSAGE, why);
        }
        run.emit(gate).await
    }

    fn take_first(&self, port: OutPort) -> Option<Run<'_>> {
        let mut waiting = self.waiting.lock();
        let first = waiting.queue.pop_front()?;
        waiting.leaving += 1;
        Some(Run { home: self, port, msgs: vec![first.msg.release()] })
    }

    /// The messages at the front that are safe and leave at one port.
    fn take_run(&self) -> Option<Run<'_>> {
        let mut waiting = self.waiting.lock();
        let port = waiting.queue.front()?.port;
        let is_next = |next: &Departure| next.port == port && next.saved.is_safe();
        let safe = waiting.queue.iter().take(BATCH_MAX).take_while(|next| is_next(next)).count();
        if safe == 0 {
            return None;
        }
        waiting.leaving += safe;
        let msgs = waiting.queue.drain(..safe).map(|next| next.msg.release()).collect();
        Some(Run { home: self, port, msgs })
    }
}

/// Messages on their way out. What is left when it is dropped goes back to the front.
struct Run<'a> {
    home: &'a Departures,
    port: OutPort,
    msgs: Vec<FluxMsg>,
}

impl Run<'_> {
    async fn emit(&mut self, gate: &Gate) -> Result<(), EmitError> {
        while !self.msgs.is_empty() {
            let before = self.msgs.len();
            let emitted = gate.emit.emit_all(self.port, &mut self.msgs).await;
            let mut left = self.msgs.len();
            if let Err(EmitError::Limit(why)) = &emitted {
                let refused = Held::new(self.msgs.remove(0));
                tracing::error!(gear = gate.gear, id = %refused.msg().id, error = %why, "message given up");
                left -= 1;
            }
            self.home.waiting.lock().leaving -= before - left;
            if let Err(EmitError::Stopping) = emitted {
                return emitted;
            }
        }
        Ok(())
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let mut waiting = self.home.waiting.lock();
        // Of those emitted before a cancellation the count was not told yet.
        waiting.leaving = 0;
        for msg in self.msgs.drain(..).rev() {
            let back = Departure { saved: Saved::already(), port: self.port, msg: Held::new(msg) };
            waiting.queue.push_front(back);
        }
        let is_idle = waiting.queue.is_empty();
        drop(waiting);
        if is_idle {
            self.home.idle.notify_waiters();
        }
    }
}
