//! The near side of a conversation: emits requests and takes their replies.

use std::time::Duration;

use flux_gear::{
    Category, Descriptor, Drain, Emitter, Fault, FluxMsg, Gear, GearContext, InPort, Outbox, Step, Terminus,
};

use super::{
    fail, failed_at,
    feed::{Nothing, Source},
    place_of,
};
use crate::house::house;

pub(crate) struct Caller {
    place: usize,
    ctx: GearContext,
    source: Source,
}

impl Gear for Caller {
    const KIND: &'static str = "caller";
    type Config = Nothing;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "asks and is answered")
            .terminus(Terminus::Io)
            .input("in", "replies")
            .source("out", "requests")
    }

    fn init(_: Nothing, ctx: &GearContext) -> Result<Caller, Fault> {
        Ok(Caller { place: place_of(ctx)?, ctx: ctx.clone(), source: Source::new(ctx)? })
    }

    async fn start(&mut self, emit: Emitter) -> Result<(), Fault> {
        self.source.start(&self.ctx, emit);
        Ok(())
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        if let Some(trouble) = house(|house| house.enters(self.place, &msg.payload)) {
            fail(trouble)?;
        }
        house(|house| house.arrives(self.place, failed_at(msg), &msg.payload));
        Ok(Step::Done)
    }

    fn drain(&mut self) -> Drain {
        let (emitted, place, clock) = (self.source.drain(), self.place, self.ctx.world().clock);
        Box::pin(async move {
            emitted.await;
            // A caller waits for its answers, and not for ever.
            let answered = async {
                while house(|house| house.ledger.is_any_open(place)) {
                    clock.sleep(LOOKS_EVERY).await;
                }
            };
            let _ = clock.timeout(ANSWERED_WITHIN, answered).await;
        })
    }
}

/// Longest time a caller waits for answers once it drains.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// How often it looks.
const LOOKS_EVERY: Duration = Duration::from_millis(5);
