//! A gear in the middle: passes on, fails, panics and waits as the plan says.

use std::time::Duration;

use flux_gear::{
    Category, Descriptor, Emitter, Fault, FluxMsg, Gear, GearContext, InPort, OutPort, Outbox, Step,
};
use flux_world::Clock;

use super::{FailsAt, Settings, fail, pass, place_of};
use crate::house::house;
use crate::payload::Label;
use crate::plan::Trouble;

pub(crate) struct Work {
    fails_at: Option<FailsAt>,
    place: usize,
    marks: bool,
    out: OutPort,
    clock: Clock,
}

impl Gear for Work {
    const KIND: &'static str = "work";
    type Config = Settings;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Logic, "passes on")
            .input("in", "any")
            .output("out", "the same, or with a mark")
            .partitionable()
    }

    fn init(config: Settings, ctx: &GearContext) -> Result<Work, Fault> {
        let Settings { marks, fails_at, .. } = config;
        pass(FailsAt::Init, fails_at)?;
        Ok(Work { fails_at, place: place_of(ctx)?, marks, out: ctx.output("out")?, clock: ctx.world().clock })
    }

    async fn start(&mut self, _: Emitter) -> Result<(), Fault> {
        pass(FailsAt::Start, self.fails_at)
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
