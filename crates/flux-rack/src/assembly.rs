//! What runs in a rack, as a whole: the circuit, who runs in which segment, and the wires between them.

use std::sync::Arc;

use flux_gear::InPort;
use flux_scenario::circuit::{Circuit, CircuitWire, WireEnd};

use crate::{
    routes::{Patchbay, Routes, Target},
    segment::Intake,
    stats::GearCounters,
    wire::Wire,
};

/// A circuit as it is laid out in a rack.
#[derive(Default)]
pub(crate) struct Assembly {
    pub(crate) circuit: Circuit,
    /// By segment: who runs in it, in the order of its cells.
    pub(crate) layout: Vec<Vec<Instance>>,
    /// By gear.
    pub(crate) seats: Vec<Seat>,
    /// By wire: its queues, one for each instance of the receiving gear.
    pub(crate) wires: Vec<Vec<Arc<Wire>>>,
}

/// An instance of a gear: the gear's place in its circuit, and which of its instances it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instance {
    pub(crate) gear: usize,
    pub(crate) number: usize,
}

/// The place of a gear in the rack, whichever gear has it.
pub(crate) struct Seat {
    pub(crate) counters: Arc<GearCounters>,
    /// Where what its own tasks emit goes.
    pub(crate) patchbay: Arc<Patchbay>,
    /// By instance.
    pub(crate) places: Vec<Place>,
}

/// Where an instance of a gear runs.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) segment: usize,
    pub(crate) cell: usize,
}

impl Assembly {
    /// The place of a gear in the circuit.
    pub(crate) fn gear(&self, name: &str) -> Option<usize> {
        self.circuit.gears.iter().position(|gear| gear.name == name)
    }

    /// An instance by name, which holds across reloads.
    pub(crate) fn name(&self, of: Instance) -> (String, usize) {
        (self.circuit.gears[of.gear].name.clone(), of.number)
    }

    /// Where the outputs of a gear lead now.
    pub(crate) fn routes(&self, gear: usize) -> Arc<Routes> {
        self.seats[gear].patchbay.load_full()
    }

    /// Where an output of a gear leads.
    pub(crate) fn targets<'a>(&self, gear: usize, routes: &'a Routes, output: &str) -> Option<&'a [Target]> {
        let at = self.circuit.gears[gear].outputs.iter().position(|other| other == output)?;
        Some(&routes.outputs[at])
    }

    /// The wires that end in a segment.
    pub(crate) fn intakes(&self, segment: usize) -> Vec<Intake> {
        let mut intakes = Vec::new();
        for (wire, queues) in self.circuit.wires.iter().zip(&self.wires) {
            let Some((gear, port)) = wire.to.here() else { continue };
            let port = InPort(port_number(port));
            for (place, queue) in self.seats[gear].places.iter().zip(queues) {
                if place.segment == segment {
                    intakes.push(Intake::new(queue.clone(), place.cell, port));
                }
            }
        }
        intakes
    }

    /// The queues of a wire: by its name, its ends, its lane, and how it is shared among instances.
    pub(crate) fn queues_of(&self, circuit: &Circuit, wire: &CircuitWire) -> Option<&Vec<Arc<Wire>>> {
        fn sharing<'a>(circuit: &'a Circuit, wire: &CircuitWire) -> Option<(u16, Option<&'a str>)> {
            let receiver = &circuit.gears[wire.to.gear()?];
            Some((receiver.parallel, receiver.partition_by.as_deref()))
        }
        let is_same = |other: &CircuitWire| {
            (&other.id, other.lane) == (&wire.id, wire.lane)
                && self.circuit.ends(other) == circuit.ends(wire)
                && sharing(&self.circuit, other) == sharing(circuit, wire)
        };
        let at = self.circuit.wires.iter().position(is_same)?;
        Some(&self.wires[at])
    }

    /// The wires that begin or end at one of `members`: their ends, whether they are calls, and which queues they are.
    pub(crate) fn touching(&self, members: &[Instance]) -> Vec<([&str; 4], bool, Vec<*const Wire>)> {
        let is_member = |end: &WireEnd| members.iter().any(|member| Some(member.gear) == end.gear());
        let wires = self.circuit.wires.iter().zip(&self.wires);
        wires
            .filter(|(wire, _)| is_member(&wire.from) || is_member(&wire.to))
            .map(|(wire, queues)| {
                (self.circuit.ends(wire), wire.fused, queues.iter().map(Arc::as_ptr).collect())
            })
            .collect()
    }
}

/// Who runs where: the circuit's segments, then a segment of its own for each further parallel instance.
pub(crate) fn layout(circuit: &Circuit) -> Vec<Vec<Instance>> {
    let mut layout: Vec<Vec<Instance>> = circuit
        .segments
        .iter()
        .map(|gears| gears.iter().map(|&gear| Instance { gear, number: 0 }).collect())
        .collect();
    for (gear, declared) in circuit.gears.iter().enumerate() {
        let further = 1..usize::from(declared.parallel);
        layout.extend(further.map(|number| vec![Instance { gear, number }]));
    }
    layout
}

/// By gear: where each of its instances runs.
pub(crate) fn places(circuit: &Circuit, layout: &[Vec<Instance>]) -> Vec<Vec<Place>> {
    let mut places: Vec<Vec<Place>> = vec![Vec::new(); circuit.gears.len()];
    for (segment, members) in layout.iter().enumerate() {
        for (cell, member) in members.iter().enumerate() {
            places[member.gear].push(Place { segment, cell });
        }
    }
    places
}

pub(crate) fn port_number(at: usize) -> u16 {
    u16::try_from(at).expect("a checked scenario has fewer ports")
}
