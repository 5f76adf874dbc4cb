//! A source that counts, and goes on counting in another process.

use std::{sync::Arc, time::Duration};

use flux_gear::{
    Category, Descriptor, Drain, Emitter, Fault, FluxMsg, Gear, GearContext, InPort, OutPort, Outbox, Parcel,
    Step, Terminus, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{Mutex, watch};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CounterConfig {
    /// How many numbers there are.
    count: i64,
    /// Messages per emission.
    batch: i64,
}

/// Emits numbers from 0.
pub(crate) struct Counter {
    config: CounterConfig,
    ctx: GearContext,
    out: OutPort,
    /// The next number; held while a batch is on its way.
    next: Arc<Mutex<i64>>,
    paused: watch::Sender<bool>,
}

impl Gear for Counter {
    const KIND: &'static str = "counter";
    type Config = CounterConfig;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "counts").terminus(Terminus::Io).source("out", "numbers")
    }

    fn init(config: CounterConfig, ctx: &GearContext) -> Result<Counter, Fault> {
        let (out, paused) = (ctx.output("out")?, watch::Sender::new(false));
        Ok(Counter { config, ctx: ctx.clone(), out, next: Arc::default(), paused })
    }

    async fn start(&mut self, emit: Emitter) -> Result<(), Fault> {
        let (ctx, out, next) = (self.ctx.clone(), self.out, self.next.clone());
        let CounterConfig { count, batch } = self.config;
        let mut paused = self.paused.subscribe();
        self.ctx.spawn(async move {
            loop {
                let Ok(_) = paused.wait_for(|paused| !paused).await else { return };
                let mut next = next.lock().await;
                if *paused.borrow() {
                    continue;
                }
                let until = count.min(*next + batch);
                let mut msgs: Vec<FluxMsg> =
                    (*next..until).map(|n| ctx.message(n.to_string().into_bytes())).collect();
                if msgs.is_empty() || emit.emit_all(out, &mut msgs).await.is_err() {
                    return;
                }
                *next = until;
            }
        });
        Ok(())
    }

    fn process(&mut self, _: InPort, _: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        Err(Fault::fatal("a source has no inputs"))
    }

    fn pause(&mut self, _: Duration) -> Drain {
        self.paused.send_replace(true);
        let next = self.next.clone();
        Box::pin(async move { drop(next.lock().await) })
    }

    fn resume(&mut self) {
        self.paused.send_replace(false);
    }

    async fn move_out(self) -> Parcel {
        Parcel { state: Value::Int(*self.next.lock().await), ..Parcel::default() }
    }

    fn move_in(&mut self, parcel: Parcel) -> Result<(), Fault> {
        self.paused.send_replace(true);
        let next = parcel.state.as_int().ok_or_else(|| Fault::fatal("no number"))?;
        self.next = Arc::new(Mutex::new(next));
        Ok(())
    }
}
