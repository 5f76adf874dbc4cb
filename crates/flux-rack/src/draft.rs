//! The next circuit of a rack, drawn up beside the one that runs: every gear it needs is made, none is started.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use flux_gear::{InPort, Key, OutPort};
use flux_scenario::{
    catalog::ERROR_PORT,
    circuit::{Circuit, CircuitGear, CircuitWire},
    plan::{Plan, Step, plan},
};

use crate::{
    assembly::{Assembly, Instance, Place, Seat, layout, places, port_number},
    cell::Cell,
    durable::{Durable, journal_of},
    rack::ChangeError,
    routes::{Routes, Target},
    wire::Wire,
    workshop::Workshop,
};

/// The journals of durable wires, by where they are.
pub(crate) type Durables = BTreeMap<String, Arc<Durable>>;

/// What a rack is to become.
pub(crate) struct Draft {
    pub(crate) assembly: Assembly,
    /// What has to happen, gear by gear; those of the circuit come first and in its order.
    pub(crate) plan: Plan,
    /// By segment: the running one that goes on untouched.
    pub(crate) untouched: Vec<Option<usize>>,
    /// By gear: where it is to lead. The patchbay of a gear that is kept leads where it led until the cut-over.
    pub(crate) routes: Vec<Arc<Routes>>,
    /// The gears that are new or take the place of another.
    pub(crate) made: BTreeMap<Instance, Cell>,
}

impl Draft {
    /// Draws up `circuit` beside what runs now, with the journals of its durable wires. Pure: nothing that runs is touched.
    pub(crate) fn new(
        now: &Assembly,
        workshop: &Workshop,
        circuit: Circuit,
        durables: &Durables,
    ) -> Result<Draft, ChangeError> {
        let plan = plan(&now.circuit, &circuit);
        let layout = layout(&circuit);
        let places = places(&circuit, &layout);
        let queues = circuit.wires.iter().map(|wire| match now.queues_of(&circuit, wire) {
            Some(queues) => queues.clone(),
            None => (0..instances(&circuit, wire)).map(|_| workshop.wire(&wire.id)).collect(),
        });
        let wires: Vec<Vec<Arc<Wire>>> = queues.collect();
        let routes = circuit.gears.iter().enumerate();
        let routes: Vec<_> = routes
            .map(|(at, gear)| Ok(Arc::new(routes_of(at, gear, &circuit, &wires, durables, &places)?)))
            .collect::<Result<_, ChangeError>>()?;
        let mut made = BTreeMap::new();
        let mut seats = Vec::new();
        for (gear, places) in places.into_iter().enumerate() {
            let declared = &circuit.gears[gear];
            let before = now.gear(&declared.name).map(|before| &now.seats[before]);
            let counters = before.map_or_else(Arc::default, |before| before.counters.clone());
            let patchbay = match (plan.gears[gear].step, before) {
                (Step::Keep, Some(before)) => before.patchbay.clone(),
                _ => {
                    let patchbay = Arc::new(ArcSwap::new(routes[gear].clone()));
                    for number in 0..places.len() {
                        let bindings = circuit.bindings(gear);
                        let cell = workshop.cell(declared, bindings, counters.clone(), patchbay.clone());
                        let cell =
                            cell.map_err(|source| ChangeError::Init { gear: declared.name.clone(), source })?;
                        made.insert(Instance { gear, number }, cell);
                    }
                    patchbay
                }
            };
            seats.push(Seat { counters, patchbay, places });
        }
        let assembly = Assembly { circuit, layout, seats, wires };
        let untouched = assembly.layout.iter().map(|members| untouched(now, &assembly, &plan, members));
        Ok(Draft { untouched: untouched.collect(), assembly, plan, routes, made })
    }

    /// The gears to which `step` happens, sinks first.
    pub(crate) fn gears(&self, step: Step) -> Vec<usize> {
        let all = self.assembly.circuit.drain_order.iter().rev().copied();
        all.filter(|&gear| self.plan.gears[gear].step == step).collect()
    }

    /// The instances made of a gear.
    pub(crate) fn cells(&mut self, gear: usize) -> impl Iterator<Item = (usize, &mut Cell)> {
        let own = Instance { gear, number: 0 }..Instance { gear: gear + 1, number: 0 };
        self.made.range_mut(own).map(|(instance, cell)| (instance.number, cell))
    }
}

/// The running segment with the same gears, if nothing changes for any of them.
fn untouched(now: &Assembly, next: &Assembly, plan: &Plan, members: &[Instance]) -> Option<usize> {
    if members.iter().any(|member| plan.gears[member.gear].step != Step::Keep) {
        return None;
    }
    let names = |assembly: &Assembly, members: &[Instance]| -> Vec<_> {
        members.iter().map(|&member| assembly.name(member)).collect()
    };
    let wanted = names(next, members);
    let at = now.layout.iter().position(|running| names(now, running) == wanted)?;
    (now.touching(&now.layout[at]) == next.touching(members)).then_some(at)
}

fn routes_of(
    at: usize,
    gear: &CircuitGear,
    circuit: &Circuit,
    wires: &[Vec<Arc<Wire>>],
    durables: &Durables,
    places: &[Vec<Place>],
) -> Result<Routes, ChangeError> {
    let error = gear.outputs.iter().position(|port| port == ERROR_PORT);
    let mut routes = Routes {
        outputs: gear.outputs.iter().map(|_| Vec::new()).collect(),
        error: error.map(|at| OutPort::at(port_number(at))),
        slots: 0,
    };
    for (wire, queues) in circuit.wires.iter().zip(wires) {
        let Some((_, output)) = wire.from.here().filter(|(gear, _)| *gear == at) else { continue };
        let durable = journal_of(wire).and_then(|journal| durables.get(&journal).cloned());
        let mut target = Target {
            wires: queues.clone(),
            durable,
            to_port: InPort(0),
            key: None,
            slot: routes.slots,
            fused: None,
        };
        if let Some((receiver, input)) = wire.to.here() {
            target.to_port = InPort(port_number(input));
            target.key = partition_key(&circuit.gears[receiver])?;
            target.fused = wire.fused.then(|| places[receiver][0].cell);
        }
        routes.outputs[output].push(target);
        routes.slots += queues.len();
    }
    Ok(routes)
}

/// How many queues a wire is; one, which stays empty, where its receiver is on another rack.
fn instances(circuit: &Circuit, wire: &CircuitWire) -> u16 {
    wire.to.gear().map_or(1, |receiver| circuit.gears[receiver].parallel.max(1))
}

pub(crate) fn partition_key(gear: &CircuitGear) -> Result<Option<Key>, ChangeError> {
    let key = gear.partition_by.as_deref().map(str::parse).transpose();
    key.map_err(|source| ChangeError::PartitionBy { gear: gear.name.clone(), source })
}
