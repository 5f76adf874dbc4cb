//! Everything a gear may reach besides its messages.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use bytes::Bytes;
use flux_signal::{Fault, FluxId, FluxMsg, Limits, Metadata, keys};
use flux_world::World;
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::TaskTracker,
};

use crate::{
    Control, Discards, IdSource, InPort, OutPort, Table,
    storage::{Backlog, Bounds, Log, Storage},
};

/// Reads what a configuration names and is not in it: files (specs, certificates), relative to the scenario, and secrets.
pub trait Files: Send + Sync {
    /// The content, or why there is none, in words that name the path. It is read for `gear`: a change of what a gear
    /// read is a change of the gear.
    fn read(&self, path: &str, gear: &str) -> Result<Bytes, String>;

    /// A secret that a configuration refers to, or why there is none. The same holds of a change of it.
    fn secret(&self, name: &str, _gear: &str) -> Result<String, String> {
        Err(format!("there is no secret `{name}` here"))
    }
}

/// What one gear may reach. Cheap to clone into its tasks.
#[derive(Clone)]
pub struct GearContext(Arc<GearParts>);

/// What a context is made of: filled in by the host, or by [`crate::mock`].
pub struct GearParts {
    /// The gear's name in the scenario.
    pub name: String,
    /// Its identity.
    pub id: FluxId,
    /// Its input ports, in the order [`InPort`] counts.
    pub inputs: Vec<String>,
    /// Its output ports, in the order [`OutPort`] counts.
    pub outputs: Vec<String>,
    /// For each output port, the I/O gear found downstream.
    pub bindings: BTreeMap<String, String>,
    /// Clock, entropy, network, disk.
    pub world: World,
    /// Makes ids.
    pub ids: Arc<IdSource>,
    /// Links and connection commands.
    pub control: Control,
    /// Files named in configurations.
    pub files: Arc<dyn Files>,
    /// What the gear keeps beyond the process.
    pub storage: Arc<dyn Storage>,
    /// What gears gave up while they stopped.
    pub discards: Discards,
    /// Bounds on messages.
    pub limits: Limits,
    /// Owns the gear's tasks.
    pub tasks: TaskTracker,
    /// Ends the gear's tasks.
    pub stopping: CancellationToken,
}

impl GearContext {
    /// Wraps what the host filled in.
    pub fn new(parts: GearParts) -> GearContext {
        GearContext(Arc::new(parts))
    }

    /// The gear's name in the scenario.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The gear's identity: what [`FluxMsg::source`] holds for messages it brings in.
    pub fn id(&self) -> FluxId {
        self.0.id
    }

    /// The input port of that name, for comparing in `process`.
    pub fn input(&self, name: &str) -> Result<InPort, Fault> {
        position(&self.0.inputs, name).map(InPort).ok_or_else(|| self.no_port("input", name, &self.0.inputs))
    }

    /// The output port of that name, for emitting.
    pub fn output(&self, name: &str) -> Result<OutPort, Fault> {
        position(&self.0.outputs, name)
            .map(OutPort::at)
            .ok_or_else(|| self.no_port("output", name, &self.0.outputs))
    }

    /// The name of an output port.
    pub fn output_name(&self, port: OutPort) -> String {
        self.0.outputs.get(port.place()).cloned().unwrap_or_default()
    }

    /// The names of the output ports, in the order [`OutPort`] counts.
    pub fn output_names(&self) -> &[String] {
        &self.0.outputs
    }

    fn no_port(&self, what: &str, name: &str, known: &[String]) -> Fault {
        Fault::fatal(format!(
            "gear `{}` has no {what} port `{name}`; it has: {}",
            self.0.name,
            known.join(", ")
        ))
        .reason("no_port")
    }

    /// The I/O gear that answers behind an output port, where that is unambiguous. For gears whose terminus is opaque: a
    /// live reload makes only those anew when it changes.
    pub fn binding(&self, output: &str) -> Option<&str> {
        self.0.bindings.get(output).map(String::as_str)
    }

    /// The only door to clock, entropy, network and disk.
    pub fn world(&self) -> &World {
        &self.0.world
    }

    /// Links and connection commands of this rack.
    pub fn control(&self) -> &Control {
        &self.0.control
    }

    /// Says that this gear gave up messages while it stopped, and why in one stable word: they are named in the report
    /// of the drain.
    pub fn discarded(&self, reason: &'static str, messages: u64) {
        self.0.discards.add(&self.0.name, reason, messages);
    }

    /// Bounds on messages.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Reads a file that the configuration names, relative to the scenario. For `init`.
    pub fn read_file(&self, path: &str) -> Result<Bytes, Fault> {
        self.try_read_file(path).map_err(|why| Fault::fatal(why).reason("file"))
    }

    /// The same, for what resolves files of its own (a spec that extends another) and says itself what is wrong.
    pub fn try_read_file(&self, path: &str) -> Result<Bytes, String> {
        self.0.files.read(path, &self.0.name)
    }

    /// What its configuration names and is not in it.
    pub(crate) fn files(&self) -> &dyn Files {
        &*self.0.files
    }

    /// Durable keyed state of this gear, by the name the gear gives it. For `start`.
    pub async fn table(&self, name: &str, bounds: Bounds) -> Result<Table, Fault> {
        Ok(self.0.storage.table(&self.0.name, name, bounds).await?)
    }

    /// What this gear has still to do, and the one who reads it, by the name the gear gives it. For `start`.
    pub async fn log(&self, name: &str) -> Result<(Log, Backlog), Fault> {
        Ok(self.0.storage.log(&self.0.name, name).await?)
    }

    /// A fresh id.
    pub fn next_id(&self) -> FluxId {
        self.0.ids.next(self.0.world.clock.unix_ms())
    }

    /// A message that comes in from outside: fresh id, time of birth, this gear as source.
    pub fn message(&self, payload: impl Into<Bytes>) -> FluxMsg {
        self.arrival(payload, Metadata::new(), self.0.world.clock.unix_ns())
    }

    /// The same for one of many: metadata shared by all of a connection and one clock reading for a batch.
    pub fn arrival(&self, payload: impl Into<Bytes>, metadata: Metadata, unix_ns: i64) -> FluxMsg {
        let id = self.0.ids.next(u64::try_from(unix_ns / 1_000_000).unwrap_or(0));
        FluxMsg::arrived(id, unix_ns, Some(self.0.id), metadata, payload)
    }

    /// Metadata of everything that comes in by one connection; made once, shared by its messages.
    pub fn connection_metadata(&self, conn_id: &str, peer: std::net::SocketAddr) -> Metadata {
        [
            (keys::CONN_ID, conn_id.into()),
            (keys::PEER_IP, peer.ip().to_string()),
            (keys::PEER_PORT, peer.port().to_string()),
            (keys::SOURCE, self.0.name.clone()),
        ]
        .into_iter()
        .collect()
    }

    /// Starts a task that belongs to this gear: it is cancelled when the gear stops, and waited for. Not in `init`.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.0.stopping.clone();
        self.0.tasks.spawn(async move {
            tokio::select! { biased; () = stopping.cancelled_owned() => {} () = task => {} }
        });
    }

    /// Ends the gear's tasks and waits for them. For hosts, after [`crate::Gear::stop`].
    pub async fn end_tasks(&self) {
        self.0.stopping.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Ends when the gear is to stop, for a task that wants to tidy up itself.
    pub fn stopping(&self) -> WaitForCancellationFutureOwned {
        self.0.stopping.clone().cancelled_owned()
    }
}

fn position(ports: &[String], name: &str) -> Option<u16> {
    ports.iter().position(|port| port == name).and_then(|at| u16::try_from(at).ok())
}

impl std::fmt::Debug for GearContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GearContext({})", self.0.name)
    }
}
