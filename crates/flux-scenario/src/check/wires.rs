//! Wires: their ends exist and face the right way, and a lane can carry them.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{GearPorts, PortSpec};
use crate::codes::Code;
use crate::limits::MESH_RACK_BYTES_MAX;
use crate::model::Model;
use crate::report::{Issue, Report};
use crate::scenario::{Endpoint, Lane, Route};
use crate::source::Span;
use crate::words::{closest, did_you_mean, listed};

/// Which end of a wire.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    From,
    To,
}

pub(super) fn check(model: &Model<'_>, report: &mut Report) {
    let mut ids: BTreeMap<&str, Span> = BTreeMap::new();
    let mut seen: BTreeMap<(String, String), Span> = BTreeMap::new();
    let mut sources: BTreeSet<Span> = BTreeSet::new();
    for route in &model.scenario.wires {
        if report.is_full() {
            return;
        }
        // A source with several targets is written once, and is wrong once.
        if route.from.span == Span::default() || sources.insert(route.from.span) {
            endpoint(model, &route.from, End::From, report);
        }
        endpoint(model, &route.to, End::To, report);
        lane(model, route, report);
        durability(model, route, report);
        if let Some(id) = &route.id
            && let Some(first) = ids.insert(id, id.span)
        {
            let issue =
                Issue::new(Code::DuplicateWireId, id.span, format!("two wires have the id `{}`", **id));
            report.push(issue.related(first, "first here").help("rename one of them"));
        }
        if let Some(first) = seen.insert((route.from.to_string(), route.to.to_string()), route.span) {
            let message = format!("`{}` leads to `{}` twice", route.from, route.to);
            let issue = Issue::new(Code::DuplicateWire, route.span, message);
            report
                .push(issue.related(first, "first here").help("remove one: each signal would arrive twice"));
        }
    }
}

fn endpoint(model: &Model<'_>, end: &Endpoint, which: End, report: &mut Report) {
    if model.is_external(end) {
        return;
    }
    let Some(index) = model.index(&end.gear) else {
        let names = model.names();
        let issue = Issue::new(Code::UnknownGear, end.span, format!("there is no gear named `{}`", end.gear));
        let external = || end.rack.as_deref().and_then(|rack| closest(rack, &model.external_racks()));
        let help = match closest(&end.gear, &names) {
            None if let Some(rack) = external() => did_you_mean(&format!("{rack}.{}.{}", end.gear, end.port)),
            Some(name) if names_port(model, end) => did_you_mean(&format!("{name}.{}", end.port)),
            Some(name) => did_you_mean(name),
            None => format!("the gears are {}", listed(&names, "and")),
        };
        return report.push(issue.help(help));
    };
    rack(model, index, end, report);
    if let Some(ports) = &model.gears[index].ports {
        port(ports, end, which, report);
    }
}

/// Whether the port was written, rather than understood.
fn names_port(model: &Model<'_>, end: &Endpoint) -> bool {
    let written = model.scenario.source.text().get(end.span.start..end.span.end);
    written.is_none_or(|text| text.is_empty() || text.contains('.'))
}

fn rack(model: &Model<'_>, gear: usize, end: &Endpoint, report: &mut Report) {
    let Some(rack) = &end.rack else { return };
    match &model.gears[gear].decl.deploy {
        Some(deploy) if deploy.value == *rack => {}
        Some(deploy) => {
            let message = format!("`{}` is not on `{rack}`: it is deployed to `{}`", end.gear, **deploy);
            let help = did_you_mean(&format!("{}.{}.{}", **deploy, end.gear, end.port));
            report.push(Issue::new(Code::WrongRack, end.span, message).help(help));
        }
        None => {
            let racks = model.racks();
            if !racks.contains(&rack.as_str()) {
                let message = format!("there is no rack named `{rack}`");
                let help = match closest(rack, &racks) {
                    Some(name) => did_you_mean(&format!("{name}.{}.{}", end.gear, end.port)),
                    None => format!("write `{}.{}`", end.gear, end.port),
                };
                report.push(Issue::new(Code::UnknownRack, end.span, message).help(help));
            }
        }
    }
}

fn port(ports: &GearPorts, end: &Endpoint, which: End, report: &mut Report) {
    let (wanted, others) = match which {
        End::From => (&ports.outputs, &ports.inputs),
        End::To => (&ports.inputs, &ports.outputs),
    };
    let has = |list: &[PortSpec]| list.iter().any(|port| port.name == end.port);
    if has(wanted) {
        return;
    }
    let (what, rule) = match which {
        End::From => ("output", "a wire starts at an output"),
        End::To => ("input", "a wire ends at an input"),
    };
    let names: Vec<&str> = wanted.iter().map(|port| port.name.as_str()).collect();
    let choices = match names[..] {
        [] => format!("`{}` has no {what}", end.gear),
        [only] => format!("its only {what} is `{only}`"),
        _ => format!("its {what}s are {}", listed(&names, "and")),
    };
    if has(others) {
        let found = if which == End::From { "an input" } else { "an output" };
        let issue = Issue::new(Code::WrongDirection, end.span, format!("`{end}` is {found}, and {rule}"));
        return report.push(issue.help(choices));
    }
    let message = format!("`{}` has no {what} `{}`", end.gear, end.port);
    let help = match closest(&end.port, &names) {
        Some(name) => format!("{} ({choices})", did_you_mean(&format!("{}.{name}", end.gear))),
        None => choices,
    };
    report.push(Issue::new(Code::UnknownPort, end.span, message).help(help));
}

fn lane(model: &Model<'_>, route: &Route, report: &mut Report) {
    let crossed = model.racks_crossed(route);
    let lane = route.lane.as_ref().map(|lane| lane.value);
    let span = route.lane.as_ref().map_or(route.span, |lane| lane.span);
    match (lane, crossed) {
        (_, None) if model.is_external(&route.from) || model.is_external(&route.to) => {
            let message =
                "the other end of a wire to or from an external rack is a gear on a rack of this scenario";
            let help = "say with `deploy` on which rack its gear is";
            report.push(Issue::new(Code::NoMesh, span, message.to_owned()).help(help));
        }
        (None | Some(Lane::Hot | Lane::Durable), None) => {}
        (Some(Lane::Hot), Some((from, to))) => {
            let message = format!("a hot wire stays on one rack, and this one leaves `{from}` for `{to}`");
            let help = "deploy both gears to one rack, or leave the lane out: between racks it is `mesh`";
            report.push(Issue::new(Code::HotAcrossRacks, span, message).help(help));
        }
        (Some(Lane::Mesh), None) => {
            let (message, help) = match (model.rack_of(&route.from), model.rack_of(&route.to)) {
                (Some(rack), Some(_)) => (
                    format!("a mesh wire leads to another rack, and both its gears are on `{rack}`"),
                    "inside a rack use `durable`",
                ),
                _ => (
                    "a mesh wire leads from one rack to another, and a gear of this one is on no rack of its own"
                        .to_owned(),
                    "say with `deploy` on which rack each of its gears is",
                ),
            };
            report.push(Issue::new(Code::NoMesh, span, message).help(help));
        }
        (None | Some(Lane::Durable | Lane::Mesh), Some((from, to))) => {
            for rack in [from, to].into_iter().filter(|rack| rack.len() > MESH_RACK_BYTES_MAX) {
                let message = format!("the name of `{rack}` is too long for a rack with wires to others");
                let help = format!(
                    "give it a name of at most {MESH_RACK_BYTES_MAX} bytes: it is a part of names on the bus"
                );
                report.push(Issue::new(Code::NoMesh, span, message).help(help));
            }
        }
    }
}

/// What only a journal can promise is said of wires that have one.
fn durability(model: &Model<'_>, route: &Route, report: &mut Report) {
    if model.lane(route) != Lane::Hot {
        return;
    }
    let ack = route.ack.as_ref().map(|ack| ("ack", ack.span));
    let dedupe = route.dedupe.as_ref().map(|dedupe| ("dedupe", dedupe.span));
    for (key, span) in ack.into_iter().chain(dedupe) {
        let message = format!("`{key}` is said of a wire that is not durable");
        let help = format!("add `lane: durable`, or remove `{key}`");
        report.push(Issue::new(Code::NotDurable, span, message).help(help));
    }
}
