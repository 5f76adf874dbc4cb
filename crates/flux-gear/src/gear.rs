//! The gear contract. Types say what prose could only ask for.

use std::{any::Any, future::Future, num::NonZeroU32, pin::Pin, time::Duration};

use flux_scenario::catalog::{Category, Direction, Emits, PortSpec, Status, Terminus};
use flux_signal::{Fault, FluxMsg};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Emitter, GearContext, Outbox, Parcel};

/// A running plug-in: it receives messages at its input ports and emits messages at its output ports.
///
/// Its life, in the only order there is: [`init`](Gear::init) makes it, [`start`](Gear::start) opens its sockets,
/// [`process`](Gear::process) is called for one message after another, [`drain`](Gear::drain) asks it to finish,
/// [`stop`](Gear::stop) takes it back. A panic in any of them is contained, and counts as a fatal fault.
pub trait Gear: Send + Sized + 'static {
    /// The word a scenario says in `type`. Never changes once released.
    const KIND: &'static str;

    /// Its configuration. Deny unknown fields; the doc comment of each field becomes the reference page.
    type Config: DeserializeOwned + JsonSchema + Send;

    /// What it is, as data: ports, category, terminus.
    fn descriptor() -> Descriptor;

    /// Makes the gear. Pure: no sockets, no tasks, no clock; `check` calls it to try a configuration.
    fn init(config: Self::Config, ctx: &GearContext) -> Result<Self, Fault>;

    /// Opens what it needs and starts its tasks with [`GearContext::spawn`]. What comes in from outside is emitted
    /// through `emit`, from any task, for as long as the gear runs.
    fn start(&mut self, emit: Emitter) -> impl Future<Output = Result<(), Fault>> + Send {
        let _ = emit;
        async { Ok(()) }
    }

    /// Handles one message. Synchronous, so that a chain of gears is a chain of calls; a gear that must wait for
    /// the outside returns [`Step::Wait`]. What it emits counts only if it returns `Ok`.
    ///
    /// The message is borrowed: the host keeps it until the call is over, so that a fault, a retry or a panic loses
    /// nothing. Pass it on with [`Outbox::forward`]; clone it (`O(1)`, copied on write) to change or to keep it.
    fn process(&mut self, port: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault>;

    /// Accepts nothing new from outside and returns a future that ends when nothing is in hand. `process` goes on
    /// being called meanwhile: replies to what is in hand still arrive. May be called more than once.
    fn drain(&mut self) -> Drain {
        Box::pin(async {})
    }

    /// Gives what it has in hand and its sockets to the gear that takes its place in a live reload, and is afterwards as
    /// if it had never been started: nothing it spawned may go on. It is then stopped, or, when the reload fails, given
    /// the legacy back and started again. `None`: there is nothing to give, or it cannot be given.
    ///
    /// Called between messages. Must not wait: the gears around it stand still meanwhile.
    fn hand_over(&mut self) -> Option<Legacy> {
        None
    }

    /// Takes what a gear of the same name left, before [`start`](Gear::start), which goes on from there. What it has no
    /// use for it gives back: a gear of another kind, or with another configuration, left it.
    fn take_over(&mut self, legacy: Legacy) -> Option<Legacy> {
        Some(legacy)
    }

    /// Reads nothing from outside for a while: another process is about to take over. Ends when what was read is emitted, and
    /// when what cannot go over to that process (a session of TLS) has come to its end, for which it has `within`.
    /// `process` goes on being called.
    fn pause(&mut self, within: Duration) -> Drain {
        let _ = within;
        Box::pin(async {})
    }

    /// Goes on after a [`pause`](Gear::pause), since nobody takes over after all; or after a [`move_in`](Gear::move_in),
    /// before which it reads nothing from what it took: until then all of it is still the other process's.
    fn resume(&mut self) {}

    /// Stops as [`stop`](Gear::stop) does, but leaves to the gear in its place in another process whatever can go there.
    /// Called after a pause, when no message is in hand.
    fn move_out(self) -> impl Future<Output = Parcel> + Send {
        async {
            self.stop().await;
            Parcel::default()
        }
    }

    /// Takes what a gear of its kind left in another process, before [`start`](Gear::start), which goes on from there. The
    /// other may have been of another version, and of another configuration.
    ///
    /// # Errors
    /// When it makes nothing of it. What was in it ends with it.
    fn move_in(&mut self, parcel: Parcel) -> Result<(), Fault> {
        match parcel.is_empty() {
            true => Ok(()),
            false => Err(Fault::fatal("the gear has no use for what another process left").reason("move_in")),
        }
    }

    /// Gives everything back. By value: there is no after. Must also work on a gear that was never started.
    fn stop(self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// What one gear leaves to the next of its name: the heir downcasts it to the type it expects.
pub type Legacy = Box<dyn Any + Send>;

/// Ends when a draining gear has nothing in hand. The host bounds it with the drain deadline.
pub type Drain = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The rest of a [`Gear::process`] that waits for the outside: what to emit once it is done.
pub type Waiting = Pin<Box<dyn Future<Output = Result<Outbox, Fault>> + Send>>;

/// How far [`Gear::process`] came.
#[must_use]
pub enum Step {
    /// The message is dealt with; what was emitted may go on.
    Done,
    /// It will be when the future ends. The host bounds the wait with `rack.process_timeout` and processes nothing
    /// else in this gear meanwhile, so that order holds.
    Wait(Waiting),
}

/// An input port of one gear, by its place in the gear's list of inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InPort(pub u16);

/// An output port of one gear, by its place in the gear's list of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutPort(
    /// One more than its place, so that "no port" costs no room and no second comparison: every hop asks.
    NonZeroU32,
);

impl OutPort {
    /// The port at a place in the list of outputs.
    pub fn at(place: u16) -> OutPort {
        OutPort(NonZeroU32::MIN.saturating_add(place.into()))
    }

    /// Its place.
    pub fn place(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// What a kind of gear is, as data. Built in `const` style: `Descriptor::new(..).input(..).output(..)`.
#[derive(Debug, Clone)]
pub struct Descriptor {
    pub(crate) category: Category,
    pub(crate) status: Status,
    pub(crate) summary: &'static str,
    pub(crate) terminus: Terminus,
    pub(crate) ports: Vec<PortSpec>,
    pub(crate) waits: bool,
    pub(crate) partitionable: bool,
}

impl Descriptor {
    /// A kind whose messages pass through it.
    pub fn new(category: Category, summary: &'static str) -> Descriptor {
        Descriptor {
            category,
            status: Status::Stable,
            summary,
            terminus: Terminus::Transparent,
            ports: Vec::new(),
            waits: false,
            partitionable: false,
        }
    }

    /// How topology analysis reads it: the traffic leaves the system here, passes, or cannot be followed.
    pub fn terminus(mut self, terminus: Terminus) -> Descriptor {
        self.terminus = terminus;
        self
    }

    /// Adds an input port.
    pub fn input(self, name: &str, summary: &str) -> Descriptor {
        // `emits` is about outputs; an input keeps the neutral word.
        self.port(name, Direction::In, Emits::Process, summary)
    }

    /// Adds an output port that `process` emits to.
    pub fn output(self, name: &str, summary: &str) -> Descriptor {
        self.port(name, Direction::Out, Emits::Process, summary)
    }

    /// Adds an output port that only the gear's own tasks emit to.
    pub fn source(self, name: &str, summary: &str) -> Descriptor {
        self.port(name, Direction::Out, Emits::Emitter, summary)
    }

    /// Adds an output port that both `process` and the gear's own tasks emit to.
    pub fn output_and_source(self, name: &str, summary: &str) -> Descriptor {
        self.port(name, Direction::Out, Emits::Both, summary)
    }

    /// Says that `process` commonly returns [`Step::Wait`]: the gear gets a task of its own.
    pub fn waits(mut self) -> Descriptor {
        self.waits = true;
        self
    }

    /// Says that copies of the gear may share the work by key: it keeps nothing between messages of different keys.
    pub fn partitionable(mut self) -> Descriptor {
        self.partitionable = true;
        self
    }

    /// Says that the configuration may still change between releases.
    pub fn experimental(mut self) -> Descriptor {
        self.status = Status::Experimental;
        self
    }

    fn port(mut self, name: &str, direction: Direction, emits: Emits, summary: &str) -> Descriptor {
        self.ports.push(PortSpec { name: name.into(), direction, summary: summary.into(), emits });
        self
    }
}

/// The one it left and the one it enters.
const PORTS_OF_A_HOP: u16 = 2;

/// A message a gear keeps beyond `process` (a parked request). Dropped without [`Held::release`], as when its gear
/// panics, it abandons its lease, so that the source delivers it again.
#[derive(Debug)]
pub struct Held(Option<FluxMsg>);

impl Held {
    /// Keeps the message.
    pub fn new(msg: FluxMsg) -> Held {
        Held(Some(msg))
    }

    /// The message kept.
    pub fn msg(&self) -> &FluxMsg {
        self.0.as_ref().expect("a held message is there until released")
    }

    /// Counts a hop and returns the number of ports passed.
    pub(crate) fn count_hop(&mut self) -> u16 {
        self.0.as_mut().map_or(0, |msg| {
            msg.count_hops(PORTS_OF_A_HOP);
            msg.hops()
        })
    }

    /// Takes a hop back: the message is still where it was, and is going to be tried again there. For hosts.
    pub fn uncount_hop(&mut self) {
        if let Some(msg) = &mut self.0 {
            msg.uncount_hops(PORTS_OF_A_HOP);
        }
    }

    /// Keeps another message instead, one made of it or one in its place, on the same lease.
    pub fn becomes(&mut self, mut msg: FluxMsg) {
        msg.inherit_lease(self.msg());
        self.0 = Some(msg);
    }

    /// Ends the message on purpose: it has come to where it goes.
    pub fn end(mut self) {
        self.0 = None;
    }

    /// Gives it up through no fault of its own: its source delivers it again, however often that happens.
    pub fn give_back(mut self) {
        if let Some(lease) = self.0.as_mut().and_then(FluxMsg::take_lease) {
            lease.give_back();
        }
    }

    /// Gives the message back, to be emitted or dropped on purpose.
    pub fn release(mut self) -> FluxMsg {
        self.0.take().expect("a held message is there until released")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(lease) = self.0.as_mut().and_then(FluxMsg::take_lease) {
            lease.abandon();
        }
    }
}

impl From<FluxMsg> for Held {
    fn from(msg: FluxMsg) -> Held {
        Held::new(msg)
    }
}
