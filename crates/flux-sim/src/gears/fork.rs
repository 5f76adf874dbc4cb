//! A gear that sends odd numbers one way and even ones the other.

use flux_gear::{
    Category, Descriptor, Emitter, Fault, FluxMsg, Gear, GearContext, InPort, OutPort, Outbox, Step,
};

use super::{FailsAt, Settings, fail, pass, place_of, work::marked};
use crate::house::house;
use crate::payload::Label;

pub(crate) struct Fork {
    fails_at: Option<FailsAt>,
    place: usize,
    left: OutPort,
    right: OutPort,
}

impl Gear for Fork {
    const KIND: &'static str = "fork";
    type Config = Settings;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Logic, "sends to one of two ports")
            .input("in", "any")
            .output("left", "odd numbers")
            .output("right", "even numbers")
    }

    fn init(config: Settings, ctx: &GearContext) -> Result<Fork, Fault> {
        pass(FailsAt::Init, config.fails_at)?;
        let fails_at = config.fails_at;
        Ok(Fork { fails_at, place: place_of(ctx)?, left: ctx.output("left")?, right: ctx.output("right")? })
    }

    async fn start(&mut self, _: Emitter) -> Result<(), Fault> {
        pass(FailsAt::Start, self.fails_at)
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        let trouble = house(|house| house.enters(self.place, &msg.payload));
        trouble.map_or(Ok(()), fail)?;
        let is_odd = Label::read(&msg.payload).is_some_and(|label| label.n % 2 == 1);
        out.emit(if is_odd { self.left } else { self.right }, marked(msg, self.place));
        Ok(Step::Done)
    }
}
