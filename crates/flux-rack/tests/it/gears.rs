//! Gears that do one simple thing each.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use flux_gear::{
    Category, Descriptor, Emitter, Fault, FluxMsg, Gear, GearContext, InPort, Legacy, OutPort, Outbox,
    Parcel, Registry, Step, Terminus, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Notify;

mod counter;
mod peer;

use counter::Counter;
use peer::Peer;
pub(crate) use peer::set_away;

pub(crate) fn registry() -> Registry {
    Registry::new()
        .with::<Source>()
        .with::<Pass>()
        .with::<Sink>()
        .with::<Moody>()
        .with::<Twice>()
        .with::<Slow>()
        .with::<Tally>()
        .with::<Pump>()
        .with::<Hoard>()
        .with::<Peer>()
        .with::<Counter>()
}

/// What arrived at each sink, in order.
#[derive(Clone, Default)]
pub(crate) struct Arrived(Arc<(Mutex<BTreeMap<String, Vec<FluxMsg>>>, Notify)>);

impl Arrived {
    pub(crate) fn add(&self, sink: &str, msg: FluxMsg) {
        self.0.0.lock().unwrap().entry(sink.into()).or_default().push(msg);
        self.0.1.notify_waiters();
    }

    pub(crate) async fn wait_for(&self, sink: &str, n: usize) -> Vec<FluxMsg> {
        loop {
            let arrived = self.0.1.notified();
            let now = self.now(sink);
            if now.len() >= n {
                return now;
            }
            arrived.await;
        }
    }

    pub(crate) fn now(&self, sink: &str) -> Vec<FluxMsg> {
        self.0.0.lock().unwrap().get(sink).cloned().unwrap_or_default()
    }
}

tokio::task_local! { static ARRIVED: Arrived; }

/// Lets the sinks that are made inside `future` find the test's own collection.
pub(crate) async fn with_arrived<T>(arrived: Arrived, future: impl Future<Output = T>) -> T {
    ARRIVED.scope(arrived, future).await
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SourceConfig {
    /// Texts to emit, in order.
    texts: Vec<String>,
    /// How many numbered texts to emit after them.
    count: u32,
    /// Messages per emission.
    batch: Option<usize>,
    /// Whether to wait for the receipt of each.
    tracked: bool,
}

/// Emits the texts, then numbers from 0.
pub(crate) struct Source {
    config: SourceConfig,
    ctx: GearContext,
    out: OutPort,
    receipts: OutPort,
}

impl Gear for Source {
    const KIND: &'static str = "source";
    type Config = SourceConfig;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "emits texts")
            .terminus(Terminus::Io)
            .source("out", "texts")
            .source("receipts", "how each ended")
    }

    fn init(config: SourceConfig, ctx: &GearContext) -> Result<Source, Fault> {
        Ok(Source { config, ctx: ctx.clone(), out: ctx.output("out")?, receipts: ctx.output("receipts")? })
    }

    async fn start(&mut self, emit: Emitter) -> Result<(), Fault> {
        let (ctx, out, receipts) = (self.ctx.clone(), self.out, self.receipts);
        let SourceConfig { texts, count, batch, tracked } = std::mem::take(&mut self.config);
        self.ctx.spawn(async move {
            let texts = texts.into_iter().chain((0..count).map(|n| n.to_string()));
            let mut msgs: Vec<FluxMsg> = texts.map(|text| ctx.message(text.into_bytes())).collect();
            if tracked {
                for msg in msgs {
                    let receipt = emit.emit_tracked(out, msg).await.unwrap();
                    let end = format!("{:?}", receipt.await);
                    emit.emit(receipts, ctx.message(end.into_bytes())).await.unwrap();
                }
                return;
            }
            while !msgs.is_empty() {
                let rest = msgs.split_off(batch.unwrap_or(1).min(msgs.len()));
                if emit.emit_all(out, &mut msgs).await.is_err() {
                    return;
                }
                msgs = rest;
            }
        });
        Ok(())
    }

    fn process(&mut self, _: InPort, _: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        Err(Fault::fatal("a source has no inputs"))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Passes messages on.
pub(crate) struct Pass(OutPort);

impl Gear for Pass {
    const KIND: &'static str = "pass";
    type Config = Nothing;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Logic, "passes on")
            .input("in", "any")
            .output("out", "the same")
            .partitionable()
    }

    fn init(_: Nothing, ctx: &GearContext) -> Result<Pass, Fault> {
        Ok(Pass(ctx.output("out")?))
    }

    fn process(&mut self, _: InPort, _: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        out.forward(self.0);
        Ok(Step::Done)
    }
}

/// Emits each message twice, the second time with a `'`.
pub(crate) struct Twice(OutPort);

impl Gear for Twice {
    const KIND: &'static str = "twice";
    type Config = Nothing;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Logic, "doubles").input("in", "any").output("out", "two of each")
    }

    fn init(_: Nothing, ctx: &GearContext) -> Result<Twice, Fault> {
        Ok(Twice(ctx.output("out")?))
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        let mut second = msg.clone();
        second.payload = [&msg.payload[..], b"'"].concat().into();
        out.forward(self.0);
        out.emit(self.0, second);
        Ok(Step::Done)
    }
}

/// Keeps messages for the test to look at.
pub(crate) struct Sink(String, Arrived);

impl Gear for Sink {
    const KIND: &'static str = "sink";
    type Config = Nothing;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "keeps").terminus(Terminus::Io).input("in", "any")
    }

    fn init(_: Nothing, ctx: &GearContext) -> Result<Sink, Fault> {
        Ok(Sink(ctx.name().into(), ARRIVED.get()))
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        let mut msg = msg.clone();
        // The test keeps it for longer than the message lives.
        msg.take_lease();
        self.1.add(&self.0, msg);
        Ok(Step::Done)
    }
}

/// Does what the message says: `invalid`, `transient:N`, `fatal`, `fatal:always`, `panic`, `panic:once`, `panic:odd` (times), `stray`.
pub(crate) struct Moody {
    out: OutPort,
    tries: u32,
}

/// What a moody gear must remember beyond its own death.
static ALREADY: Mutex<BTreeMap<flux_gear::FluxId, u32>> = Mutex::new(BTreeMap::new());

fn times(msg: &FluxMsg) -> u32 {
    let mut already = ALREADY.lock().unwrap();
    let times = already.entry(msg.id).or_default();
    *times += 1;
    *times
}

impl Gear for Moody {
    const KIND: &'static str = "moody";
    type Config = Nothing;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Logic, "fails on demand")
            .input("in", "orders")
            .output("out", "what succeeded")
            .output("nowhere", "not wired")
    }

    fn init(_: Nothing, ctx: &GearContext) -> Result<Moody, Fault> {
        Ok(Moody { out: ctx.output("out")?, tries: 0 })
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        let order = String::from_utf8_lossy(&msg.payload).into_owned();
        // Emitted before the failure, to be thrown away with it.
        out.emit(self.out, msg.clone());
        match order.split_once(':').unwrap_or((&order, "")) {
            ("invalid", _) => Err(Fault::invalid("as ordered").reason("ordered")),
            ("transient", n) => {
                self.tries += 1;
                if self.tries <= n.trim_end_matches('\'').parse().unwrap() {
                    return Err(Fault::transient("not yet"));
                }
                self.tries = 0;
                Ok(Step::Done)
            }
            ("fatal", "") if times(msg) > 1 => Ok(Step::Done),
            ("fatal", _) => Err(Fault::fatal("as ordered")),
            ("panic", "once") if times(msg) > 1 => Ok(Step::Done),
            ("panic", times_odd) if times_odd.starts_with("odd") && times(msg).is_multiple_of(2) => {
                Ok(Step::Done)
            }
            ("panic", _) => panic!("4111111111111111"),
            ("stray", _) => {
                out.emit(OutPort::at(1), msg.clone());
                Ok(Step::Done)
            }
            ("wait", ms) => {
                let ms = ms.trim_end_matches('\'').parse().unwrap();
                let (msg, port, world) = (msg.clone(), self.out, flux_world::World::real());
                out.clear();
                Ok(Step::Wait(Box::pin(async move {
                    world.clock.sleep(std::time::Duration::from_millis(ms)).await;
                    let mut out = Outbox::new();
                    out.emit(port, msg);
                    Ok(out)
                })))
            }
            _ => Ok(Step::Done),
        }
    }
}

/// Lets one message through each time the test says so.
pub(crate) struct Slow(Arrived);

impl Gear for Slow {
    const KIND: &'static str = "slow";
    type Config = Nothing;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Logic, "never finishes").input("in", "any")
    }

    fn init(_: Nothing, _: &GearContext) -> Result<Slow, Fault> {
        Ok(Slow(ARRIVED.get()))
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        self.0.add("slow", msg.clone());
        Ok(Step::Wait(Box::pin(std::future::pending())))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TallyConfig {
    /// Any change makes it another gear.
    version: u32,
    /// What it fails at: `init` or `start`.
    fails_at: String,
    /// Whether it takes over the count of the gear before.
    inherits: bool,
}

impl Default for TallyConfig {
    fn default() -> TallyConfig {
        TallyConfig { version: 0, fails_at: String::new(), inherits: true }
    }
}

/// Counts messages and writes the count behind each.
pub(crate) struct Tally {
    config: TallyConfig,
    out: OutPort,
    count: u64,
}

impl Gear for Tally {
    const KIND: &'static str = "tally";
    type Config = TallyConfig;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Logic, "counts").input("in", "any").output("out", "numbered")
    }

    fn init(config: TallyConfig, ctx: &GearContext) -> Result<Tally, Fault> {
        if config.fails_at == "init" {
            return Err(Fault::fatal("it fails at init"));
        }
        Ok(Tally { config, out: ctx.output("out")?, count: 0 })
    }

    async fn start(&mut self, _: Emitter) -> Result<(), Fault> {
        match self.config.fails_at.as_str() {
            "start" => Err(Fault::fatal("it fails at start")),
            _ => Ok(()),
        }
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        self.count += 1;
        let mut msg = msg.clone();
        msg.payload = [&msg.payload[..], b" ", self.count.to_string().as_bytes()].concat().into();
        out.emit(self.out, msg);
        Ok(Step::Done)
    }

    fn hand_over(&mut self) -> Option<Legacy> {
        Some(Box::new(std::mem::take(&mut self.count)))
    }

    async fn move_out(self) -> Parcel {
        Parcel { state: Value::integer(self.count.into()), ..Parcel::default() }
    }

    fn move_in(&mut self, parcel: Parcel) -> Result<(), Fault> {
        self.count = parcel.state.as_int().unwrap_or_default().unsigned_abs();
        Ok(())
    }

    fn take_over(&mut self, legacy: Legacy) -> Option<Legacy> {
        match legacy.downcast() {
            Ok(count) if self.config.inherits => {
                self.count = *count;
                None
            }
            Ok(count) => Some(count),
            Err(other) => Some(other),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PumpConfig {
    /// The first number.
    from: u32,
    /// Behind the last.
    to: u32,
    /// Numbers under way at a time.
    window: usize,
}

/// Emits numbers, some at a time, and notes those whose receipt says that they have come to their end.
pub(crate) struct Pump {
    config: PumpConfig,
    ctx: GearContext,
    out: OutPort,
    arrived: Arrived,
}

impl Gear for Pump {
    const KIND: &'static str = "pump";
    type Config = PumpConfig;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "emits numbers").terminus(Terminus::Io).source("out", "numbers")
    }

    fn init(config: PumpConfig, ctx: &GearContext) -> Result<Pump, Fault> {
        Ok(Pump { config, ctx: ctx.clone(), out: ctx.output("out")?, arrived: ARRIVED.get() })
    }

    async fn start(&mut self, emit: Emitter) -> Result<(), Fault> {
        let (ctx, out, arrived) = (self.ctx.clone(), self.out, self.arrived.clone());
        let PumpConfig { from, to, window } = self.config;
        self.ctx.spawn(async move {
            let numbers: Vec<u32> = (from..to).collect();
            for chunk in numbers.chunks(window) {
                let mut receipts = Vec::new();
                for number in chunk {
                    let msg = ctx.message(number.to_string().into_bytes());
                    let Ok(receipt) = emit.emit_tracked(out, msg.clone()).await else { return };
                    receipts.push((msg, receipt));
                }
                for (msg, receipt) in receipts {
                    let end =
                        if receipt.await == flux_signal::LeaseEnd::Settled { "accepted" } else { "refused" };
                    arrived.add(end, msg);
                }
            }
        });
        Ok(())
    }

    fn process(&mut self, _: InPort, _: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        Err(Fault::fatal("a pump has no inputs"))
    }
}

/// Keeps messages in hand, and gives them up, or settles them, when one says so.
pub(crate) struct Hoard {
    name: String,
    arrived: Arrived,
    held: Vec<flux_gear::Held>,
}

impl Gear for Hoard {
    const KIND: &'static str = "hoard";
    type Config = Nothing;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Logic, "keeps messages").input("in", "any")
    }

    fn init(_: Nothing, ctx: &GearContext) -> Result<Hoard, Fault> {
        Ok(Hoard { name: ctx.name().into(), arrived: ARRIVED.get(), held: Vec::new() })
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        let mut seen = msg.clone();
        seen.take_lease();
        self.arrived.add(&self.name, seen);
        match &msg.payload[..] {
            b"give up" => self.held.clear(),
            b"give back" => self.held.drain(..).for_each(flux_gear::Held::give_back),
            b"settle" => self.held.drain(..).for_each(flux_gear::Held::end),
            _ => self.held.push(msg.clone().into()),
        }
        Ok(Step::Done)
    }
}
