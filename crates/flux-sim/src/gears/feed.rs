//! A source: emits the messages of its plan, burst by burst, and says which were accepted.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use flux_gear::{
    Category, Descriptor, Drain, Emitter, Fault, FluxMsg, Gear, GearContext, InPort, LeaseEnd, OutPort,
    Outbox, Step, Terminus,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Notify;

use super::place_of;
use crate::house::house;
use crate::payload::Label;
use crate::plan::FeedPlan;

/// The configuration of a gear that has none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

pub(crate) struct Feed {
    ctx: GearContext,
    source: Source,
}

/// What emits the messages of a plan; part of every gear that does.
#[derive(Clone)]
pub(super) struct Source {
    place: usize,
    out: OutPort,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_draining: AtomicBool,
    is_done: AtomicBool,
    changed: Notify,
}

impl Source {
    pub(super) fn new(ctx: &GearContext) -> Result<Source, Fault> {
        Ok(Source { place: place_of(ctx)?, out: ctx.output("out")?, state: Arc::default() })
    }

    pub(super) fn start(&self, ctx: &GearContext, emit: Emitter) {
        let (source, own) = (self.clone(), ctx.clone());
        ctx.spawn(async move {
            source.emit_all(&own, &emit).await;
            source.state.is_done.store(true, Ordering::Release);
            source.state.changed.notify_waiters();
        });
    }

    /// Emits nothing new; ends when nothing is in hand.
    pub(super) fn drain(&self) -> Drain {
        let state = self.state.clone();
        state.is_draining.store(true, Ordering::Release);
        state.changed.notify_waiters();
        Box::pin(async move {
            loop {
                let changed = state.changed.notified();
                if state.is_done.load(Ordering::Acquire) {
                    return;
                }
                changed.await;
            }
        })
    }

    async fn emit_all(&self, ctx: &GearContext, emit: &Emitter) {
        let plan = house(|house| house.plan.feed(self.place).cloned()).expect("this gear is a source");
        let (again, begun) =
            house(|house| (house.ledger.starts(self.place, plan.resends), house.ledger.begun(self.place)));
        let numbers: Vec<u32> = again.into_iter().chain(begun..plan.messages).collect();
        for burst in numbers.chunks(plan.burst.max(1) as usize) {
            if self.state.is_draining.load(Ordering::Acquire) {
                return;
            }
            let are_taken = match plan.is_tracked {
                true => self.emit_tracked(ctx, emit, &plan, burst).await,
                false => self.emit_burst(ctx, emit, &plan, burst).await,
            };
            if !are_taken {
                // The rack stops.
                return;
            }
            self.pause(ctx, plan.pause_us).await;
        }
    }

    async fn emit_burst(&self, ctx: &GearContext, emit: &Emitter, plan: &FeedPlan, burst: &[u32]) -> bool {
        let mut msgs: Vec<FluxMsg> = burst.iter().map(|n| self.message(ctx, plan, *n)).collect();
        // What is left in hand was not accepted.
        let are_taken = emit.emit_all(self.out, &mut msgs).await.is_ok();
        let accepted = burst.len() - msgs.len();
        house(|house| burst[..accepted].iter().for_each(|n| house.accepted(self.place, *n)));
        are_taken
    }

    async fn emit_tracked(&self, ctx: &GearContext, emit: &Emitter, plan: &FeedPlan, burst: &[u32]) -> bool {
        let mut receipts = Vec::new();
        for n in burst {
            match emit.emit_tracked(self.out, self.message(ctx, plan, *n)).await {
                Ok(receipt) => receipts.push((*n, receipt)),
                Err(_) => break,
            }
        }
        let are_taken = receipts.len() == burst.len();
        for (n, receipt) in receipts {
            let place = self.place;
            ctx.spawn(async move {
                match receipt.await {
                    LeaseEnd::Settled => house(|house| house.settled(place, n)),
                    LeaseEnd::Returned | LeaseEnd::Abandoned => house(|house| house.abandoned(place, n)),
                }
            });
        }
        are_taken
    }

    fn message(&self, ctx: &GearContext, plan: &FeedPlan, n: u32) -> FluxMsg {
        let label = Label::new(self.place, plan, n);
        house(|house| house.emits(self.place, n));
        let mut msg = ctx.message(label.payload(plan));
        msg.metadata.set("key", label.key.to_string());
        msg
    }

    async fn pause(&self, ctx: &GearContext, us: u32) {
        if us > 0 {
            let changed = self.state.changed.notified();
            // Woken early by a drain.
            let _ = ctx.world().clock.timeout(Duration::from_micros(us.into()), changed).await;
        }
    }
}

impl Gear for Feed {
    const KIND: &'static str = "feed";
    type Config = Nothing;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "emits what its plan says")
            .terminus(Terminus::Io)
            .source("out", "messages")
    }

    fn init(_: Nothing, ctx: &GearContext) -> Result<Feed, Fault> {
        Ok(Feed { ctx: ctx.clone(), source: Source::new(ctx)? })
    }

    async fn start(&mut self, emit: Emitter) -> Result<(), Fault> {
        self.source.start(&self.ctx, emit);
        Ok(())
    }

    fn process(&mut self, _: InPort, _: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        Err(Fault::invalid("a feed has no inputs"))
    }

    fn drain(&mut self) -> Drain {
        self.source.drain()
    }
}
