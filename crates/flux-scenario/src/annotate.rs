//! What a config means beyond its shape: the ports it names, what it claims, which values are files or secrets.

use crate::catalog::{Claim, Direction, ERROR_PORT, Emits, GearPorts, Manifest, PortSpec};
use crate::scenario::DeclaredPorts;

impl Manifest {
    /// Every port of a gear of this kind: those of the kind, those its config names, those the scenario declares,
    /// and [`ERROR_PORT`] when it has inputs. A name counts once per direction; the first one wins.
    pub fn ports_for(&self, config: &serde_json::Value, declared: &DeclaredPorts) -> GearPorts {
        let _ = config;
        let mut ports = GearPorts::default();
        for port in &self.ports {
            ports.add(port.clone());
        }
        for name in &declared.inputs {
            ports.add(PortSpec::input(name.value.as_str(), "declared by the scenario"));
        }
        for name in &declared.outputs {
            ports.add(PortSpec::output(name.value.as_str(), Emits::Both, "declared by the scenario"));
        }
        if !ports.inputs.is_empty() {
            ports.add(PortSpec::output(ERROR_PORT, Emits::Process, "what this gear could not process"));
        }
        ports
    }

    /// What a gear of this kind holds exclusively, defaults included.
    pub fn claims(&self, config: &serde_json::Value) -> Vec<Claim> {
        let _ = config;
        Vec::new()
    }
}

impl GearPorts {
    fn add(&mut self, port: PortSpec) {
        let side = match port.direction {
            Direction::In => &mut self.inputs,
            Direction::Out => &mut self.outputs,
        };
        if side.iter().all(|known| known.name != port.name) {
            side.push(port);
        }
    }
}
