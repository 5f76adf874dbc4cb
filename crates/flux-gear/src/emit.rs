//! How messages leave a gear: the outbox of one `process` call, and the emitter of its own tasks.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use flux_signal::{FluxMsg, Lease, LeaseEnd, LimitError};
use tokio::sync::oneshot;

use crate::{Held, OutPort, Stretch};

/// What one `process` call emits. Thrown away when the call fails, so that a retry emits once.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The first emission, when it forwards: most gears emit this and nothing else.
    forwarded: Option<OutPort>,
    /// What was emitted after it.
    rest: Vec<(OutPort, Emission)>,
}

/// One thing a gear emitted.
#[derive(Debug)]
pub enum Emission {
    /// The message it was given, as it is.
    Forwarded,
    /// A message it made.
    Made(FluxMsg),
}

impl Outbox {
    /// An empty one.
    pub fn new() -> Outbox {
        Outbox::default()
    }

    /// Emits a message at a port. Emissions of one call leave in the order they were made.
    pub fn emit(&mut self, port: OutPort, msg: FluxMsg) {
        self.rest.push((port, Emission::Made(msg)));
    }

    /// Emits the message in hand as it is. Costs less than a clone.
    pub fn forward(&mut self, port: OutPort) {
        if self.forwarded.is_none() && self.rest.is_empty() {
            self.forwarded = Some(port);
        } else {
            self.rest.push((port, Emission::Forwarded));
        }
    }

    /// Empties the outbox when what the call emitted makes the stretch longer; what was made takes the place of `held`.
    #[inline]
    pub(crate) fn leave(&mut self, held: &mut Held, stretch: &mut Stretch) -> bool {
        match (self.forwarded, &self.rest[..]) {
            (port, []) if stretch.is_longer_by(port) => self.forwarded = None,
            (None, [(port, Emission::Made(_))]) if stretch.is_longer_by(Some(*port)) => {
                if let Some((_, Emission::Made(msg))) = self.rest.pop() {
                    held.becomes(msg);
                }
            }
            _ => return false,
        }
        true
    }

    /// What was emitted, oldest first. For hosts.
    pub fn drain(&mut self) -> impl ExactSizeIterator<Item = (OutPort, Emission)> + '_ {
        if let Some(port) = self.forwarded.take() {
            self.rest.insert(0, (port, Emission::Forwarded));
        }
        self.rest.drain(..)
    }

    /// Forgets what was emitted. For hosts.
    pub fn clear(&mut self) {
        self.forwarded = None;
        self.rest.clear();
    }

    /// Whether nothing was emitted.
    pub fn is_empty(&self) -> bool {
        self.forwarded.is_none() && self.rest.is_empty()
    }
}

/// What the host gives an [`Emitter`] to send through.
pub trait Outlet: Send + Sync {
    /// Sends what there is room for, from the front, without waiting. What is left in `msgs` is left to
    /// [`Outlet::send`].
    fn try_send(&self, port: OutPort, msgs: &mut Vec<FluxMsg>) -> Result<(), EmitError>;

    /// Sends all of `msgs`, waiting for room.
    fn send<'a>(
        &'a self,
        port: OutPort,
        msgs: &'a mut Vec<FluxMsg>,
    ) -> Pin<Box<dyn Future<Output = Result<(), EmitError>> + Send + 'a>>;
}

/// Why a message could not be emitted.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// The rack is stopping: what was not accepted stays with the caller.
    #[error("the rack is stopping")]
    Stopping,
    /// The message is over the rack's limits and was not accepted.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

/// Lets a gear's own tasks emit. Cheap to clone.
///
/// Emitting waits while the wires are full. That is the back-pressure: a reader that waits here does not read its
/// socket, and the peer's own sending stops.
#[derive(Clone)]
pub struct Emitter(Arc<dyn Outlet>);

impl Emitter {
    /// For hosts and mocks.
    pub fn new(outlet: Arc<dyn Outlet>) -> Emitter {
        Emitter(outlet)
    }

    /// Emits one message.
    pub async fn emit(&self, port: OutPort, msg: FluxMsg) -> Result<(), EmitError> {
        self.emit_all(port, &mut vec![msg]).await
    }

    /// Emits messages in order and empties `msgs`, keeping its capacity. On an error the first message left in
    /// `msgs` is the one that was refused.
    pub async fn emit_all(&self, port: OutPort, msgs: &mut Vec<FluxMsg>) -> Result<(), EmitError> {
        self.0.try_send(port, msgs)?;
        if msgs.is_empty() { Ok(()) } else { self.0.send(port, msgs).await }
    }

    /// Emits what there is room for, from the front of `msgs`, without waiting. What is left in `msgs` is for
    /// [`Emitter::emit_all`], also after a success: it saves a caller the future where there is room.
    pub fn try_emit_all(&self, port: OutPort, msgs: &mut Vec<FluxMsg>) -> Result<(), EmitError> {
        self.0.try_send(port, msgs)
    }

    /// Emits one message and returns a receipt, for a source that acknowledges only what reached its end.
    pub async fn emit_tracked(&self, port: OutPort, mut msg: FluxMsg) -> Result<Receipt, EmitError> {
        let (ended, receipt) = oneshot::channel();
        msg.attach_lease(Lease::new(move |end| {
            // Nobody waits any more: then nobody is to be told.
            let _ = ended.send(end);
        }));
        self.emit(port, msg).await?;
        Ok(Receipt(receipt))
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Emitter")
    }
}

/// Resolves when everything derived from an emitted message has come to its end. Give the wait a deadline.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<LeaseEnd>);

impl Future for Receipt {
    type Output = LeaseEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<LeaseEnd> {
        // A lease that vanished without an end did not settle.
        Pin::new(&mut self.0).poll(cx).map(|end| end.unwrap_or(LeaseEnd::Abandoned))
    }
}
