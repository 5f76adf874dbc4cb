//! A gear of any kind behind one pointer: what a host drives.

use std::{future::Future, pin::Pin, time::Duration};

use flux_signal::{Fault, FluxMsg, LimitError, Limits};

use crate::{Drain, Emitter, Gear, Held, InPort, Legacy, OutPort, Outbox, Parcel, Step};

/// The [`Gear`] contract without its types. Implemented for every gear and for nothing else.
pub trait HostedGear: Send {
    /// See [`Gear::start`].
    fn start<'a>(&'a mut self, emit: Emitter)
    -> Pin<Box<dyn Future<Output = Result<(), Fault>> + Send + 'a>>;
    /// See [`Gear::process`].
    fn process(&mut self, port: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault>;
    /// Calls [`Gear::process`] on one message after another, for as long as each leaves as the first did: it ends
    /// here, or it or what was made of it leaves at the same port. Puts what was made in its place, counts the hop,
    /// and fails on a message that has travelled too far.
    ///
    /// Returns early on the first message that does otherwise, `msgs[stretch.messages]`; what that one emitted is in
    /// `out`. `stretch` also holds when the gear panics.
    fn process_stretch(
        &mut self,
        port: InPort,
        msgs: &mut [Held],
        out: &mut Outbox,
        stretch: &mut Stretch,
    ) -> Result<Step, Fault>;
    /// See [`Gear::drain`].
    fn drain(&mut self) -> Drain;
    /// See [`Gear::hand_over`].
    fn hand_over(&mut self) -> Option<Legacy>;
    /// See [`Gear::take_over`].
    fn take_over(&mut self, legacy: Legacy) -> Option<Legacy>;
    /// See [`Gear::pause`].
    fn pause(&mut self, within: Duration) -> Drain;
    /// See [`Gear::resume`].
    fn resume(&mut self);
    /// See [`Gear::move_out`].
    fn move_out(self: Box<Self>) -> Pin<Box<dyn Future<Output = Parcel> + Send>>;
    /// See [`Gear::move_in`].
    fn move_in(&mut self, parcel: Parcel) -> Result<(), Fault>;
    /// See [`Gear::stop`].
    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Messages at the front of a batch that left their gear in the same way.
#[derive(Debug)]
pub struct Stretch {
    /// Ports a message may pass.
    hops_max: u16,
    /// How many.
    pub messages: usize,
    /// Where they left; `None` when they ended in the gear.
    pub port: Option<OutPort>,
}

impl Stretch {
    /// No messages yet.
    pub fn new(limits: &Limits) -> Stretch {
        Stretch { hops_max: limits.hops_max, messages: 0, port: None }
    }

    /// Counts one more message, when it left like those before it.
    #[inline]
    pub(crate) fn is_longer_by(&mut self, port: Option<OutPort>) -> bool {
        if self.messages == 0 {
            self.port = port;
        } else if self.port != port {
            return false;
        }
        self.messages += 1;
        true
    }
}

fn too_far(hops: u16, hops_max: u16) -> Fault {
    Fault::invalid(LimitError::Hops { hops, hops_max }.to_string()).reason("hops")
}

impl<G: Gear> HostedGear for G {
    fn start<'a>(
        &'a mut self,
        emit: Emitter,
    ) -> Pin<Box<dyn Future<Output = Result<(), Fault>> + Send + 'a>> {
        Box::pin(Gear::start(self, emit))
    }

    fn process(&mut self, port: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        Gear::process(self, port, msg, out)
    }

    fn process_stretch(
        &mut self,
        port: InPort,
        msgs: &mut [Held],
        out: &mut Outbox,
        stretch: &mut Stretch,
    ) -> Result<Step, Fault> {
        for held in msgs {
            let hops = held.count_hop();
            if hops > stretch.hops_max {
                return Err(too_far(hops, stretch.hops_max));
            }
            let step = Gear::process(self, port, held.msg(), out)?;
            if matches!(step, Step::Wait(_)) || !out.leave(held, stretch) {
                return Ok(step);
            }
        }
        Ok(Step::Done)
    }

    fn drain(&mut self) -> Drain {
        Gear::drain(self)
    }

    fn hand_over(&mut self) -> Option<Legacy> {
        Gear::hand_over(self)
    }

    fn take_over(&mut self, legacy: Legacy) -> Option<Legacy> {
        Gear::take_over(self, legacy)
    }

    fn pause(&mut self, within: Duration) -> Drain {
        Gear::pause(self, within)
    }

    fn resume(&mut self) {
        Gear::resume(self);
    }

    fn move_out(self: Box<Self>) -> Pin<Box<dyn Future<Output = Parcel> + Send>> {
        Box::pin(Gear::move_out(*self))
    }

    fn move_in(&mut self, parcel: Parcel) -> Result<(), Fault> {
        Gear::move_in(self, parcel)
    }

    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(Gear::stop(*self))
    }
}
