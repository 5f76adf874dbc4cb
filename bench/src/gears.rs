//! The smallest gears there are: a source, one that passes on, one that counts.

use std::sync::Arc;

use bytes::Bytes;
use flux_gear::{
    Category, Descriptor, Emitter, Fault, FluxMsg, Gear, GearContext, InPort, OutPort, Outbox, Registry, Step,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Notify;

/// Messages in one measurement, and in one emission.
pub(crate) const MESSAGES: u64 = 2_000_000;
const BATCH: usize = 64;
const PAYLOAD_BYTES: usize = 256;

/// Rings when the last message has arrived.
pub(crate) static ARRIVED: Notify = Notify::const_new();

pub(crate) fn registry() -> Arc<Registry> {
    Arc::new(Registry::new().with::<Source>().with::<Pass>().with::<Count>())
}

/// A payload that is shared, as one cut from a frame is.
pub(crate) fn payload() -> Bytes {
    Bytes::from(vec![7; PAYLOAD_BYTES]).slice(..)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

struct Source(GearContext, OutPort);

impl Gear for Source {
    const KIND: &'static str = "source";
    type Config = Nothing;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "emits").source("out", "messages")
    }

    fn init(_: Nothing, ctx: &GearContext) -> Result<Source, Fault> {
        Ok(Source(ctx.clone(), ctx.output("out")?))
    }

    async fn start(&mut self, emit: Emitter) -> Result<(), Fault> {
        let (msg, out) = (self.0.message(payload()), self.1);
        self.0.spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            for _ in 0..MESSAGES / BATCH as u64 {
                batch.extend((0..BATCH).map(|_| msg.clone()));
                if emit.emit_all(out, &mut batch).await.is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    fn process(&mut self, _: InPort, _: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        Err(Fault::fatal("a source has no inputs"))
    }
}

struct Pass(OutPort);

impl Gear for Pass {
    const KIND: &'static str = "pass";
    type Config = Nothing;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Logic, "passes on").input("in", "any").output("out", "the same")
    }

    fn init(_: Nothing, ctx: &GearContext) -> Result<Pass, Fault> {
        Ok(Pass(ctx.output("out")?))
    }

    fn process(&mut self, _: InPort, _: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        out.forward(self.0);
        Ok(Step::Done)
    }
}

struct Count(u64);

impl Gear for Count {
    const KIND: &'static str = "count";
    type Config = Nothing;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "counts").input("in", "any")
    }

    fn init(_: Nothing, _: &GearContext) -> Result<Count, Fault> {
        Ok(Count(0))
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        std::hint::black_box(msg);
        self.0 += 1;
        if self.0 == MESSAGES {
            ARRIVED.notify_one();
        }
        Ok(Step::Done)
    }
}
