//! A sink: keeps what arrives, in the oracle's ledger.

use flux_gear::{Category, Descriptor, Fault, FluxMsg, Gear, GearContext, InPort, Outbox, Step, Terminus};

use super::{fail, failed_at, feed::Nothing, place_of};
use crate::house::house;

pub(crate) struct Shelf {
    place: usize,
}

impl Gear for Shelf {
    const KIND: &'static str = "shelf";
    type Config = Nothing;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "keeps").terminus(Terminus::Io).input("in", "any")
    }

    fn init(_: Nothing, ctx: &GearContext) -> Result<Shelf, Fault> {
        Ok(Shelf { place: place_of(ctx)? })
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        if let Some(trouble) = house(|house| house.enters(self.place, &msg.payload)) {
            fail(trouble)?;
        }
        house(|house| house.arrives(self.place, failed_at(msg), &msg.payload));
        Ok(Step::Done)
    }
}
