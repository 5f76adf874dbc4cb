//! Builds small circuits, runs them, and looks at what arrived.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use flux_gear::mock::FilesInMemory;
use flux_mesh::Line;
use flux_rack::{ChangeError, DrainReport, Estate, Rack, Reloaded, Remains, Surroundings};
use flux_scenario::{
    catalog::Terminus,
    circuit::{Circuit, CircuitGear, CircuitWire, Durability, MeshRoute, WireEnd},
    scenario::Lane,
    settings::{self, RackSettings},
};
use flux_world::World;
use serde_json::{Value as Json, json};

use crate::gears::{self, Arrived};

/// A circuit in the making, and the settings to run it with.
pub(crate) struct Plan {
    pub(crate) settings: RackSettings,
    pub(crate) store: settings::Store,
    pub(crate) state_dir: PathBuf,
    pub(crate) world: World,
    /// What arrived, for several racks one after the other.
    pub(crate) arrived: Arrived,
    /// The way to other racks.
    pub(crate) mesh: Option<Line>,
    circuit: Circuit,
    fuse: bool,
}

impl Plan {
    pub(crate) fn new(fuse: bool) -> Plan {
        let mut settings = RackSettings::default();
        settings.retry.backoff = "1ms".parse().unwrap();
        settings.error_restart.backoff = "1ms".parse().unwrap();
        settings.error_restart.backoff_max = "2ms".parse().unwrap();
        settings.drain_timeout = "2s".parse().unwrap();
        Plan {
            settings,
            store: settings::Store::default(),
            state_dir: std::env::temp_dir(),
            world: World::real(),
            arrived: Arrived::default(),
            mesh: None,
            circuit: Circuit::default(),
            fuse,
        }
    }

    pub(crate) fn gear(mut self, name: &str, kind: &str, config: Json) -> Plan {
        let at = self.circuit.gears.len();
        let manifest = gears::registry().catalog().get(kind).unwrap().clone();
        let ports = manifest.ports_for(&config, &Default::default());
        let names = |ports: &[flux_gear::PortSpec]| ports.iter().map(|port| port.name.clone()).collect();
        self.circuit.gears.push(CircuitGear {
            name: name.into(),
            kind: kind.into(),
            config,
            inputs: names(&ports.inputs),
            outputs: names(&ports.outputs),
            segment: if self.fuse { 0 } else { at },
            parallel: 1,
            partition_by: None,
            keeps_on_disk: false,
            terminus: Terminus::Opaque,
            labels: BTreeMap::new(),
            doc: None,
            files: BTreeMap::new(),
        });
        match (self.fuse, self.circuit.segments.first_mut()) {
            (true, Some(only)) => only.push(at),
            _ => self.circuit.segments.push(vec![at]),
        }
        self.circuit.drain_order.push(at);
        self
    }

    /// A gear with `n` instances, each in a segment of its own.
    pub(crate) fn parallel(mut self, name: &str, kind: &str, n: u16, key: &str) -> Plan {
        assert!(!self.fuse);
        self = self.gear(name, kind, json!({}));
        let gear = self.circuit.gears.last_mut().unwrap();
        (gear.parallel, gear.partition_by) = (n, Some(key.into()));
        self
    }

    pub(crate) fn wire(mut self, from: &str, to: &str) -> Plan {
        let (from_gear, output) = self.end(from, |gear| &gear.outputs);
        let (to_gear, input) = self.end(to, |gear| &gear.inputs);
        let is_source = ["source", "pump", "counter"].contains(&self.circuit.gears[from_gear].kind.as_str());
        self.circuit.wires.push(CircuitWire {
            id: format!("{from} -> {to}"),
            from: WireEnd::Here(from_gear, output),
            to: WireEnd::Here(to_gear, input),
            lane: Lane::Hot,
            durable: None,
            mesh: None,
            fused: self.fuse && !is_source,
        });
        self
    }

    pub(crate) fn durable(mut self, from: &str, to: &str, durability: Durability) -> Plan {
        self = self.wire(from, to);
        let wire = self.circuit.wires.last_mut().unwrap();
        (wire.lane, wire.durable, wire.fused) = (Lane::Durable, Some(durability), false);
        self
    }

    /// A wire to another rack.
    pub(crate) fn mesh_out(mut self, id: &str, from: &str, durability: Durability) -> Plan {
        let (gear, output) = self.end(from, |gear| &gear.outputs);
        let to = WireEnd::There { gear: "far".into(), port: "in".into() };
        self.circuit.wires.push(mesh(id, WireEnd::Here(gear, output), to, durability));
        self
    }

    /// A wire from another rack.
    pub(crate) fn mesh_in(mut self, id: &str, to: &str, durability: Durability) -> Plan {
        let (gear, input) = self.end(to, |gear| &gear.inputs);
        let from = WireEnd::There { gear: "far".into(), port: "out".into() };
        self.circuit.wires.push(mesh(id, from, WireEnd::Here(gear, input), durability));
        self
    }

    fn end(&self, text: &str, ports: impl Fn(&CircuitGear) -> &Vec<String>) -> (usize, usize) {
        let (gear, port) = text.split_once('.').unwrap();
        let gear = self.circuit.gears.iter().position(|other| other.name == gear).unwrap();
        (gear, ports(&self.circuit.gears[gear]).iter().position(|other| other == port).unwrap())
    }

    /// The circuit alone: what a running rack is to become.
    pub(crate) fn circuit(self) -> Circuit {
        self.circuit
    }

    pub(crate) async fn boot(self) -> Running {
        self.try_boot().await.unwrap_or_else(|why| panic!("{why}"))
    }

    pub(crate) async fn boot_with(self, estate: Estate) -> Running {
        self.try_boot_with(estate).await.unwrap_or_else(|why| panic!("{why}"))
    }

    pub(crate) async fn try_boot(self) -> Result<Running, ChangeError> {
        self.try_boot_with(Estate::default()).await
    }

    async fn try_boot_with(self, estate: Estate) -> Result<Running, ChangeError> {
        let arrived = self.arrived;
        let surroundings = Surroundings {
            registry: Arc::new(gears::registry()),
            settings: self.settings,
            world: self.world,
            files: Arc::new(FilesInMemory(BTreeMap::new())),
            state_dir: self.state_dir,
            store: self.store,
            mesh: self.mesh,
        };
        let boot = Box::pin(Rack::boot_with(self.circuit, surroundings, estate));
        let rack = gears::with_arrived(arrived.clone(), boot).await?;
        Ok(Running { rack, arrived })
    }
}

fn mesh(id: &str, from: WireEnd, to: WireEnd, durability: Durability) -> CircuitWire {
    CircuitWire {
        id: id.into(),
        from,
        to,
        lane: Lane::Mesh,
        durable: Some(durability),
        mesh: Some(MeshRoute { from: "north".into(), to: "south".into(), wire: id.into() }),
        fused: false,
    }
}

pub(crate) struct Running {
    pub(crate) rack: Rack,
    pub(crate) arrived: Arrived,
}

impl Running {
    /// Waits until the first gear has emitted `n` messages, then drains.
    pub(crate) async fn finish_after(self, n: u64) -> DrainReport {
        while self.rack.stats().gears[0].emitted < n {
            tokio::task::yield_now().await;
        }
        self.rack.shut_down().await
    }

    /// Becomes what `plan` says.
    pub(crate) async fn reload(&mut self, plan: Plan) -> Result<Reloaded, ChangeError> {
        self.reload_with(plan, Remains::Delivered).await
    }

    /// The same, leaving what durable wires that go hold on disk if that is wished.
    pub(crate) async fn reload_with(
        &mut self,
        plan: Plan,
        remains: Remains,
    ) -> Result<Reloaded, ChangeError> {
        let reload = self.rack.reload(plan.circuit(), remains);
        Box::pin(within(gears::with_arrived(self.arrived.clone(), reload))).await
    }

    /// Waits until `n` messages arrived at a sink; returns their payloads as text.
    pub(crate) async fn texts(&self, sink: &str, n: usize) -> Vec<String> {
        within(self.arrived.wait_for(sink, n)).await.iter().map(|msg| text(&msg.payload)).collect()
    }

    /// Waits until the rack holds `n` dead letters.
    pub(crate) async fn dead_letters(&self, n: usize) -> Vec<flux_rack::DeadLetter> {
        within(async {
            while self.rack.dead_letters().len() < n {
                tokio::task::yield_now().await;
            }
        })
        .await;
        self.rack.dead_letters().take(usize::MAX)
    }
}

pub(crate) fn text(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).into_owned()
}

/// No test waits for ever.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it takes too long")
}
