//! A sink: keeps what arrives, in the oracle's ledger.

use flux_gear::{
    Category, Descriptor, Emitter, Fault, FluxMsg, Gear, GearContext, InPort, Outbox, Step, Terminus,
};

use super::{FailsAt, Settings, fail, failed_at, pass, place_of};
use crate::house::house;

pub(crate) struct Shelf {
    fails_at: Option<FailsAt>,
    place: usize,
}

impl Gear for Shelf {
    const KIND: &'static str = "shelf";
    type Config = Settings;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "keeps").terminus(Terminus::Io).input("in", "any")
    }

    fn init(config: Settings, ctx: &GearContext) -> Result<Shelf, Fault> {
        pass(FailsAt::Init, config.fails_at)?;
        let fails_at = config.fails_at;
        Ok(Shelf { fails_at, place: place_of(ctx)? })
    }

    async fn start(&mut self, _: Emitter) -> Result<(), Fault> {
        pass(FailsAt::Start, self.fails_at)
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        if let Some(trouble) = house(|house| house.enters(self.place, &msg.payload)) {
            fail(trouble)?;
        }
        house(|house| house.arrives(self.place, failed_at(msg), &msg.payload));
        Ok(Step::Done)
    }
}
