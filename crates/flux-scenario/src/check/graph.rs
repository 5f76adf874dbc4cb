//! The graph as a whole: cycles that wait on themselves, gears nothing reaches, outputs nothing takes.

use std::collections::BTreeSet;

use crate::catalog::{Category, ERROR_PORT, Emits};
use crate::codes::Code;
use crate::model::{GearView, Joint, Model};
use crate::report::{Issue, Report};
use crate::source::Span;
use crate::topology::Graph;

pub(super) fn check(model: &Model<'_>, report: &mut Report) {
    cycles(model, report);
    unreached(model, report);
    unconsumed(model, report);
}

/// A cycle through an emitter is a conversation. In one made only of `process` halves each waits for room at the next.
fn cycles(model: &Model<'_>, report: &mut Report) {
    let joints: Vec<Joint<'_>> = model
        .joints()
        .into_iter()
        .filter(|joint| model.emits_from_process(joint) && model.racks_crossed(joint.route).is_none())
        .collect();
    let graph = Graph::new(model.gears.len(), joints.iter().filter_map(Joint::inner));
    let mut found: Vec<Issue> = graph
        .parts()
        .into_iter()
        .filter(|part| graph.is_cyclic(part))
        .filter_map(|part| graph.cycle_through(part[0]))
        .map(|cycle| cycle_issue(model, &joints, &cycle))
        .collect();
    found.sort_by_key(|issue| issue.span);
    found.into_iter().for_each(|issue| report.push(issue));
}

fn cycle_issue(model: &Model<'_>, joints: &[Joint<'_>], cycle: &[usize]) -> Issue {
    let name = |gear: usize| model.gears[gear].decl.name.value.as_str();
    let hops = cycle.iter().zip(cycle.iter().cycle().skip(1));
    let spans: Vec<Span> = hops
        .filter_map(|(&from, &to)| joints.iter().find(|joint| joint.inner() == Some((from, to))))
        .map(|joint| joint.route.span)
        .collect();
    let ring = cycle.iter().chain(cycle.first()).map(|&gear| format!("`{}`", name(gear)));
    let message = format!(
        "the cycle {} runs only through `process`, so it would wait on itself",
        ring.collect::<Vec<_>>().join(" -> ")
    );
    let (first, rest) = spans.split_first().expect("a cycle has a wire");
    let issue = Issue::new(Code::ProcessCycle, *first, message)
        .help("remove one of these wires, or let the answer return through a gear that emits on its own");
    rest.iter().fold(issue, |issue, span| issue.related(*span, "part of the cycle"))
}

fn unreached(model: &Model<'_>, report: &mut Report) {
    let edges = model
        .scenario
        .wires
        .iter()
        .filter_map(|route| Some((model.index(&route.from.gear)?, model.index(&route.to.gear)?)));
    let sources = (0..model.gears.len()).filter(|&gear| is_source(&model.gears[gear]));
    let from_elsewhere = model.scenario.wires.iter().filter(|route| model.is_external(&route.from));
    let from_elsewhere = from_elsewhere.filter_map(|route| model.index(&route.to.gear));
    let reached = Graph::new(model.gears.len(), edges).reachable(sources.chain(from_elsewhere));
    for (index, gear) in model.gears.iter().enumerate() {
        if !reached.contains(&index) {
            let message = format!("no signal can reach `{}`", *gear.decl.name);
            let help = "wire an output to one of its inputs, or remove it";
            report.push(Issue::new(Code::UnreachedGear, gear.decl.name.span, message).help(help));
        }
    }
}

/// Whether signals can begin here: at the edge of the rack, without inputs, or by the gear's own clock. An unknown
/// kind is given the benefit of the doubt.
fn is_source(gear: &GearView<'_>) -> bool {
    let (Some(manifest), Some(ports)) = (gear.manifest, &gear.ports) else { return true };
    manifest.category == Category::Io
        || ports.inputs.is_empty()
        || ports.outputs.iter().any(|port| port.emits == Emits::Emitter)
}

fn unconsumed(model: &Model<'_>, report: &mut Report) {
    let taken: BTreeSet<(&str, &str)> = model
        .scenario
        .wires
        .iter()
        .map(|route| (route.from.gear.as_str(), route.from.port.as_str()))
        .collect();
    for gear in &model.gears {
        let (Some(manifest), Some(ports)) = (gear.manifest, &gear.ports) else { continue };
        let from_config = manifest.config_ports(&gear.decl.config);
        let silent = manifest.silent_outputs(&gear.decl.config);
        let name = &gear.decl.name;
        for port in &ports.outputs {
            if port.name == ERROR_PORT
                || silent.contains(&port.name)
                || taken.contains(&(name.value.as_str(), port.name.as_str()))
            {
                continue;
            }
            let span = from_config
                .iter()
                .find(|(known, _)| known.name == port.name)
                .map_or(name.span, |(_, at)| *at);
            let message = format!("nothing takes what leaves `{}.{}`", **name, port.name);
            let help = "wire it; a `null` gear says that it is meant to be dropped";
            report.push(Issue::new(Code::UnconsumedOutput, span, message).help(help));
        }
    }
}
