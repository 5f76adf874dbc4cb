//! A gear in the middle: passes on, fails, panics and waits as the plan says.

use std::time::Duration;

use flux_gear::{Category, Descriptor, Fault, FluxMsg, Gear, GearContext, InPort, OutPort, Outbox, Step};
use flux_world::Clock;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{fail, place_of};
use crate::house::house;
use crate::payload::Label;
use crate::plan::Trouble;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkConfig {
    /// Whether it puts its mark on what it passes on.
    #[serde(default)]
    marks: bool,
}

pub(crate) struct Work {
    place: usize,
    marks: bool,
    out: OutPort,
    clock: Clock,
}

impl Gear for Work {
    const KIND: &'static str = "work";
    type Config = WorkConfig;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Logic, "passes on")
            .input("in", "any")
            .output("out", "the same, or with a mark")
            .partitionable()
    }

    fn init(config: WorkConfig, ctx: &GearContext) -> Result<Work, Fault> {
        let WorkConfig { marks } = config;
        Ok(Work { place: place_of(ctx)?, marks, out: ctx.output("out")?, clock: ctx.world().clock })
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        let trouble = house(|house| house.enters(self.place, &msg.payload));
        if let Some(trouble @ (Trouble::Wait(_) | Trouble::WaitTooLong)) = trouble {
            return Ok(self.wait(trouble, msg));
        }
        // Emitted before a failure, to be thrown away with it.
        if self.marks {
            out.emit(self.out, marked(msg, self.place));
        } else {
            out.forward(self.out);
        }
        trouble.map_or(Ok(()), fail)?;
        Ok(Step::Done)
    }
}

impl Work {
    fn wait(&self, trouble: Trouble, msg: &FluxMsg) -> Step {
        let (clock, port) = (self.clock, self.out);
        let msg = if self.marks { marked(msg, self.place) } else { msg.clone() };
        Step::Wait(Box::pin(async move {
            match trouble {
                Trouble::Wait(ms) => clock.sleep(Duration::from_millis(ms.into())).await,
                _ => std::future::pending().await,
            }
            let mut out = Outbox::new();
            out.emit(port, msg);
            Ok(out)
        }))
    }
}

/// The message with the mark of a gear.
pub(super) fn marked(msg: &FluxMsg, place: usize) -> FluxMsg {
    let mut msg = msg.clone();
    if let Some(payload) = Label::mark(&msg.payload, place) {
        msg.payload = payload;
    }
    msg
}
