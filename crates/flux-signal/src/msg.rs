//! One signal: identity, context, the bytes as they came, and what a codec made of them.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use bytes::Bytes;

use crate::{Data, FluxId, Lease, Metadata, TraceId};

/// One signal. Three words wide, and clones in `O(1)`: the body is shared, and copied by the first write to a shared
/// one. Read and write its fields as if they were the message's own (`msg.payload`).
///
/// `Debug` prints identity and sizes, never content: a payload may hold a card number.
#[derive(Clone)]
pub struct FluxMsg {
    body: Arc<Body>,
    lease: Option<Lease>,
    // Beside the body, because every hop writes it.
    hops: u16,
}

/// What a message says: the fields of a [`FluxMsg`].
#[derive(Clone)]
pub struct Body {
    /// Who it is. Kept by every gear that passes the message on, changed or not.
    pub id: FluxId,
    /// The message this one answers or derives from.
    pub cause: Option<FluxId>,
    /// The W3C trace it belongs to.
    pub trace: Option<TraceId>,
    /// The gear that brought it in.
    pub source: Option<FluxId>,
    /// Flat text context.
    pub metadata: Metadata,
    /// The bytes as received or to be sent.
    pub payload: Bytes,
    /// What a codec made of the payload, or what a gear will have encoded.
    pub data: Data,
    /// Nanoseconds since the Unix epoch at which it was made.
    pub born_unix_ns: i64,
    /// Bit 0 marks a probe; the others are reserved and kept.
    pub flags: u32,
    trail: Vec<Hop>,
}

impl Deref for FluxMsg {
    type Target = Body;

    fn deref(&self) -> &Body {
        &self.body
    }
}

impl DerefMut for FluxMsg {
    fn deref_mut(&mut self) -> &mut Body {
        Arc::make_mut(&mut self.body)
    }
}

/// A timed passage through a port, kept for sampled messages and those that leave the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// The gear.
    pub gear: FluxId,
    /// Its port.
    pub port: FluxId,
    /// Nanoseconds since the Unix epoch.
    pub unix_ns: i64,
}

impl FluxMsg {
    /// A message with a payload and nothing else.
    pub fn new(id: FluxId, born_unix_ns: i64, payload: impl Into<Bytes>) -> FluxMsg {
        FluxMsg::arrived(id, born_unix_ns, None, Metadata::new(), payload)
    }

    /// A message that a gear brought in, made in one go: writing to it afterwards would check each time whether it is
    /// shared.
    pub fn arrived(
        id: FluxId,
        born_unix_ns: i64,
        source: Option<FluxId>,
        metadata: Metadata,
        payload: impl Into<Bytes>,
    ) -> FluxMsg {
        let body = Body {
            id,
            cause: None,
            trace: None,
            source,
            metadata,
            payload: payload.into(),
            data: Data::Empty,
            born_unix_ns,
            flags: 0,
            trail: Vec::new(),
        };
        FluxMsg { body: Arc::new(body), lease: None, hops: 0 }
    }

    /// Ports passed so far, counting both ends of a wire.
    pub fn hops(&self) -> u16 {
        self.hops
    }

    /// Counts ports passed. The engine calls it; a gear has no reason to.
    pub fn count_hops(&mut self, ports: u16) {
        self.hops = self.hops.saturating_add(ports);
    }

    /// The timed hops, when they are kept.
    pub fn trail(&self) -> &[Hop] {
        &self.body.trail
    }

    /// Puts back what was read from outside: the count is at least the number of timed hops.
    pub fn set_hops(&mut self, hops: u16, trail: Vec<Hop>) {
        self.hops = hops.max(u16::try_from(trail.len()).unwrap_or(u16::MAX));
        if !trail.is_empty() || !self.body.trail.is_empty() {
            self.deref_mut().trail = trail;
        }
    }

    /// Takes ports back that it did not pass after all. The engine calls it.
    pub fn uncount_hops(&mut self, ports: u16) {
        self.hops = self.hops.saturating_sub(ports);
    }

    /// The lease it is on, if its source waits for its end.
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Whether it can wait for as long as it takes: a durable wire keeps it.
    pub fn is_patient(&self) -> bool {
        self.lease.as_ref().is_some_and(Lease::is_patient)
    }

    /// Says that it cannot wait, though its source could: whoever sent it is told by another way what became of it.
    pub fn hurry(&mut self) {
        self.lease = self.lease.take().map(Lease::hurried);
    }

    /// Ties the message to a lease, beside the one it may already have.
    pub fn attach_lease(&mut self, lease: Lease) {
        self.lease = Some(match self.lease.take() {
            Some(held) => Lease::join(held, lease),
            None => lease,
        });
    }

    /// Ties the message to the lease of the message it was made from, if it is not yet.
    pub fn inherit_lease(&mut self, from: &FluxMsg) {
        if let Some(lease) = &from.lease
            && !self.lease.as_ref().is_some_and(|own| own.is_same(lease))
        {
            self.attach_lease(lease.clone());
        }
    }

    /// Takes the lease off, to hold it elsewhere.
    pub fn take_lease(&mut self) -> Option<Lease> {
        self.lease.take()
    }

    /// Bytes of payload, metadata and data, nested data included.
    pub fn weight_bytes(&self) -> usize {
        self.payload.len() + self.metadata.weight_bytes() + self.data.weight_bytes()
    }
}

impl fmt::Debug for FluxMsg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FluxMsg({}, {} bytes)", self.id, self.payload.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_content() {
        let mut msg = FluxMsg::new(FluxId::v7(1, 1), 0, &b"4111111111111111"[..]);
        msg.metadata.set("card.pan", "4111111111111111");
        msg.data.set("card.pan", "4111111111111111".into()).unwrap();
        let shown = format!("{msg:?} {:?} {:?}", msg.metadata, msg.data);
        assert!(!shown.contains("4111"), "{shown}");
    }

    #[test]
    fn an_edit_does_not_reach_a_clone() {
        let mut a = FluxMsg::new(FluxId::v7(1, 1), 0, &b"x"[..]);
        a.data.set("k", 1.into()).unwrap();
        let b = a.clone();
        a.data.set("k", 2.into()).unwrap();
        assert_eq!(b.data.get("k"), Some(1.into()));
    }
}
