//! A world in miniature for gear authors: one gear, no rack, everything it emits in hand.
//!
//! ```
//! # use flux_gear::*;
//! use flux_gear::mock::Mock;
//! use serde_json::json;
//!
//! # #[derive(serde::Deserialize, schemars::JsonSchema)]
//! # struct Nothing {}
//! # struct Upper(OutPort);
//! # impl Gear for Upper {
//! #     const KIND: &'static str = "upper";
//! #     type Config = Nothing;
//! #     fn descriptor() -> Descriptor {
//! #         Descriptor::new(Category::Logic, "upper case").input("in", "any").output("out", "upper case")
//! #     }
//! #     fn init(_: Nothing, ctx: &GearContext) -> Result<Upper, Fault> {
//! #         Ok(Upper(ctx.output("out")?))
//! #     }
//! #     fn process(&mut self, _: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
//! #         let mut upper = msg.clone();
//! #         upper.payload = msg.payload.to_ascii_uppercase().into();
//! #         out.emit(self.0, upper);
//! #         Ok(Step::Done)
//! #     }
//! # }
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let mut gear = Mock::new().build::<Upper>(json!({}))?;
//! assert_eq!(gear.process("in", "abc").await?, [("out".into(), "ABC".into())]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use flux_scenario::{catalog::Direction, scenario::DeclaredPorts};
use flux_signal::{Fault, FluxMsg, Limits};
use flux_world::World;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Control, Discards, Emission, EmitError, Emitter, Files, Gear, GearContext, GearParts, IdSource, InPort,
    InitError, OutPort, Outbox, Outlet, Step,
    registry::manifest,
    storage::{Storage, StorageInMemory},
};

/// How to make a gear under test. The ports are those its configuration gives it, as in a rack.
pub struct Mock {
    name: String,
    world: World,
    files: BTreeMap<String, Bytes>,
    bindings: BTreeMap<String, String>,
    control: Control,
    storage: Option<Arc<dyn Storage>>,
    discards: Discards,
}

impl Default for Mock {
    fn default() -> Mock {
        Mock::new()
    }
}

impl Mock {
    /// A gear called `gear`, on the real world.
    pub fn new() -> Mock {
        Mock {
            name: "gear".into(),
            world: World::real(),
            files: BTreeMap::new(),
            bindings: BTreeMap::new(),
            control: Control::default(),
            storage: None,
            discards: Discards::default(),
        }
    }

    /// Called otherwise, for a test with several gears.
    pub fn named(mut self, name: &str) -> Mock {
        self.name = name.into();
        self
    }

    /// On another world, for instance a simulated one.
    pub fn world(mut self, world: World) -> Mock {
        self.world = world;
        self
    }

    /// With a file its configuration may name.
    pub fn file(mut self, path: &str, content: impl Into<Bytes>) -> Mock {
        self.files.insert(path.into(), content.into());
        self
    }

    /// With an I/O gear behind an output port.
    pub fn binding(mut self, output: &str, gear: &str) -> Mock {
        self.bindings.insert(output.into(), gear.into());
        self
    }

    /// With a control plane that the test holds too.
    pub fn control(mut self, control: Control) -> Mock {
        self.control = control;
        self
    }

    /// With storage that the test holds too, so that another gear of the same name finds what the first kept.
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Mock {
        self.storage = Some(storage);
        self
    }

    /// Counts elsewhere what the gear gives up.
    pub fn discards(mut self, discards: Discards) -> Mock {
        self.discards = discards;
        self
    }

    /// The context alone.
    pub fn context<G: Gear>(self, config: &serde_json::Value) -> GearContext {
        let ports = manifest::<G>().ports_for(config, &DeclaredPorts::default());
        let names = |direction| {
            let ports = if direction == Direction::In { &ports.inputs } else { &ports.outputs };
            ports.iter().map(|port| port.name.clone()).collect()
        };
        let ids = IdSource::new(&self.world);
        GearContext::new(GearParts {
            name: self.name,
            id: ids.next(self.world.clock.unix_ms()),
            inputs: names(Direction::In),
            outputs: names(Direction::Out),
            bindings: self.bindings,
            ids: Arc::new(ids),
            world: self.world.clone(),
            control: self.control,
            files: Arc::new(FilesInMemory(self.files)),
            storage: self.storage.unwrap_or_else(|| Arc::new(StorageInMemory::new(self.world.clock))),
            discards: self.discards,
            limits: Limits::DEFAULT,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        })
    }

    /// Makes the gear.
    pub fn build<G: Gear>(self, config: serde_json::Value) -> Result<MockGear<G>, InitError> {
        let ctx = self.context::<G>(&config);
        let gear = G::init(serde_json::from_value(config)?, &ctx)?;
        Ok(MockGear { gear, ctx, emitted: Arc::default(), out: Outbox::new() })
    }
}

/// Files that exist only in the test.
pub struct FilesInMemory(pub BTreeMap<String, Bytes>);

impl Files for FilesInMemory {
    fn read(&self, path: &str, _: &str) -> Result<Bytes, String> {
        self.0.get(path).cloned().ok_or_else(|| format!("no file `{path}`"))
    }
}

/// A gear under test.
pub struct MockGear<G> {
    /// The gear itself.
    pub gear: G,
    /// Its context.
    pub ctx: GearContext,
    emitted: Arc<Emitted>,
    out: Outbox,
}

impl<G: Gear> MockGear<G> {
    /// Starts the gear; what its tasks emit is read with [`MockGear::emitted`].
    pub async fn start(&mut self) -> Result<(), Fault> {
        Gear::start(&mut self.gear, Emitter::new(self.emitted.clone())).await
    }

    /// Sends a payload to an input port; returns what came out, as port and payload.
    pub async fn process(
        &mut self,
        port: &str,
        payload: impl Into<Bytes>,
    ) -> Result<Vec<(String, Bytes)>, Fault> {
        let msg = self.ctx.message(payload);
        Ok(self
            .process_msg(port, msg)
            .await?
            .into_iter()
            .map(|(port, msg)| (port, msg.payload.clone()))
            .collect())
    }

    /// Sends a message to an input port; returns what came out.
    pub async fn process_msg(&mut self, port: &str, msg: FluxMsg) -> Result<Vec<(String, FluxMsg)>, Fault> {
        let port: InPort = self.ctx.input(port)?;
        self.out.clear();
        match Gear::process(&mut self.gear, port, &msg, &mut self.out)? {
            Step::Done => {}
            Step::Wait(rest) => self.out = rest.await?,
        }
        let emitted = self.out.drain().map(|(port, emission)| match emission {
            Emission::Forwarded => (self.ctx.output_name(port), msg.clone()),
            Emission::Made(made) => (self.ctx.output_name(port), made),
        });
        Ok(emitted.collect())
    }

    /// The next message that the gear's own tasks emit. Waits for it: give the test a deadline.
    pub async fn emitted(&self) -> (String, FluxMsg) {
        loop {
            let arrived = self.emitted.arrived.notified();
            if let Some((port, msg)) = self.emitted.take() {
                return (self.ctx.output_name(port), msg);
            }
            arrived.await;
        }
    }

    /// Drains the gear, stops it, and ends its tasks.
    pub async fn stop(mut self) {
        Gear::drain(&mut self.gear).await;
        Gear::stop(self.gear).await;
        self.ctx.end_tasks().await;
    }
}

#[derive(Default)]
struct Emitted {
    messages: Mutex<std::collections::VecDeque<(OutPort, FluxMsg)>>,
    arrived: Notify,
}

impl Emitted {
    fn take(&self) -> Option<(OutPort, FluxMsg)> {
        self.messages.lock().pop_front()
    }
}

impl Outlet for Emitted {
    fn try_send(&self, port: OutPort, msgs: &mut Vec<FluxMsg>) -> Result<(), EmitError> {
        self.messages.lock().extend(msgs.drain(..).map(|msg| (port, msg)));
        self.arrived.notify_one();
        Ok(())
    }

    fn send<'a>(
        &'a self,
        port: OutPort,
        msgs: &'a mut Vec<FluxMsg>,
    ) -> Pin<Box<dyn Future<Output = Result<(), EmitError>> + Send + 'a>> {
        Box::pin(async move { self.try_send(port, msgs) })
    }
}
