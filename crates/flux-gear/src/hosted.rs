//! A gear of any kind behind one pointer: what a host drives.

use std::{future::Future, pin::Pin};

use flux_signal::{Fault, FluxMsg};

use crate::{Drain, Emitter, Gear, InPort, Outbox, Step};

/// The [`Gear`] contract without its types. Implemented for every gear and for nothing else.
pub trait HostedGear: Send {
    /// See [`Gear::start`].
    fn start<'a>(&'a mut self, emit: Emitter)
    -> Pin<Box<dyn Future<Output = Result<(), Fault>> + Send + 'a>>;
    /// See [`Gear::process`].
    fn process(&mut self, port: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault>;
    /// See [`Gear::drain`].
    fn drain(&mut self) -> Drain;
    /// See [`Gear::stop`].
    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
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

    fn drain(&mut self) -> Drain {
        Gear::drain(self)
    }

    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(Gear::stop(*self))
    }
}
