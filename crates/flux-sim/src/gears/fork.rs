//! A gear that sends odd numbers one way and even ones the other.

use flux_gear::{Category, Descriptor, Fault, FluxMsg, Gear, GearContext, InPort, OutPort, Outbox, Step};

use super::{fail, feed::Nothing, place_of, work::marked};
use crate::house::house;
use crate::payload::Label;

pub(crate) struct Fork {
    place: usize,
    left: OutPort,
    right: OutPort,
}

impl Gear for Fork {
    const KIND: &'static str = "fork";
    type Config = Nothing;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Logic, "sends to one of two ports")
            .input("in", "any")
            .output("left", "odd numbers")
            .output("right", "even numbers")
    }

    fn init(_: Nothing, ctx: &GearContext) -> Result<Fork, Fault> {
        Ok(Fork { place: place_of(ctx)?, left: ctx.output("left")?, right: ctx.output("right")? })
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        let trouble = house(|house| house.enters(self.place, &msg.payload));
        trouble.map_or(Ok(()), fail)?;
        let is_odd = Label::read(&msg.payload).is_some_and(|label| label.n % 2 == 1);
        out.emit(if is_odd { self.left } else { self.right }, marked(msg, self.place));
        Ok(Step::Done)
    }
}
