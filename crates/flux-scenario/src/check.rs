//! Every problem of a scenario at once: names, kinds and configs here; wires, claims and the graph beside.

mod claims;
mod graph;
mod wires;

use std::collections::BTreeMap;

use crate::catalog::{Catalog, Direction};
use crate::codes::{Code, Severity};
use crate::conform::{Part, conform};
use crate::forms::check_name;
use crate::limits::{GEARS_MAX, RACKS_MAX, WIRES_MAX};
use crate::model::{GearView, Model};
use crate::reference;
use crate::report::{Issue, Report};
use crate::resolve::Schemas;
use crate::scenario::{GearDecl, Scenario};
use crate::source::{Span, Spanned};
use crate::words::{closest, did_you_mean, listed, quoted};

/// Everything that is wrong, or probably not meant, in a scenario, against the kinds of a catalog.
pub fn check(scenario: &Scenario, catalog: &Catalog) -> Report {
    let mut report = Report::new(scenario.source.clone());
    if !is_within_limits(scenario, &mut report) {
        return report;
    }
    let model = Model::new(scenario, catalog);
    racks(&model, &mut report);
    duplicate_gears(&model, &mut report);
    for gear in &model.gears {
        check_gear(gear, &model, catalog, &mut report);
    }
    wires::check(&model, &mut report);
    claims::check(&model, &mut report);
    graph::check(&model, &mut report);
    report
}

fn is_within_limits(scenario: &Scenario, report: &mut Report) -> bool {
    let counts = [
        ("racks", scenario.racks.len(), RACKS_MAX),
        ("gears", scenario.gears.len(), GEARS_MAX),
        ("wires", scenario.wires.len(), WIRES_MAX),
    ];
    for (what, count, most) in counts.into_iter().filter(|(_, count, most)| count > most) {
        let message = format!("{count} {what} are more than {most}");
        report.push(Issue::new(Code::TooLarge, Span::default(), message).help("split the scenario"));
    }
    counts.into_iter().all(|(_, count, most)| count <= most)
}

fn racks(model: &Model<'_>, report: &mut Report) {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for rack in &model.scenario.racks {
        if let Some(first) = seen.insert(&rack.name, rack.name.span) {
            let message = format!("two racks are named `{}`", *rack.name);
            let issue = Issue::new(Code::DuplicateRack, rack.name.span, message);
            report.push(issue.related(first, "first here").help("rename one of them"));
        }
        if rack.is_group {
            let message = format!(
                "which racks are in the group `{}` a Mixer knows; a rack alone is in none",
                *rack.name
            );
            let issue = Issue::new(Code::GroupOfFleet, rack.name.span, message);
            report.push(issue.help("push it to a Mixer; to run it without one, name the racks one by one"));
        }
    }
}

fn duplicate_gears(model: &Model<'_>, report: &mut Report) {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for decl in &model.scenario.gears {
        match seen.get(decl.name.value.as_str()) {
            Some(&first) => {
                let message = format!("two gears are named `{}`", *decl.name);
                let issue = Issue::new(Code::DuplicateGear, decl.name.span, message);
                report.push(
                    issue.related(first, "first here").help("rename one of them; wires mean the first"),
                );
            }
            None => {
                seen.insert(&decl.name, decl.name.span);
            }
        }
    }
}

fn check_gear(gear: &GearView<'_>, model: &Model<'_>, catalog: &Catalog, report: &mut Report) {
    deploy(gear.decl, model, report);
    for (span, why) in reference::flaws(&gear.decl.config) {
        report.push(Issue::new(Code::BadReference, span, "this refers to no secret").help(why));
    }
    let Some(manifest) = gear.manifest else {
        return report.push(unknown_kind(gear.decl, catalog));
    };
    for secret in manifest.secret_spans(&gear.decl.config) {
        report.hide(secret);
    }
    let schema = &manifest.config_schema;
    let subject = format!("the config of `{}`", *gear.decl.name);
    let place = gear.decl.name.span;
    conform(report, Part::Config, Schemas::new(schema), schema, &gear.decl.config, &subject, place);
    ports(gear, report);
    partition(gear, report);
}

/// Whether nothing is wrong with the kind and the config of a gear, whatever is with the rest of the scenario.
pub(crate) fn is_sound(gear: &GearView<'_>, scenario: &Scenario, form: &Report) -> bool {
    let Some(manifest) = gear.manifest else { return false };
    let (decl, schema) = (gear.decl, &manifest.config_schema);
    let mut found = Report::new(scenario.source.clone());
    conform(&mut found, Part::Config, Schemas::new(schema), schema, &decl.config, "", decl.name.span);
    let is_within = |issue: &&Issue| {
        issue.severity() == Severity::Error
            && (decl.span.start..decl.span.end.max(decl.config.span.end)).contains(&issue.span.start)
    };
    !found.has_errors() && !form.issues().iter().any(|issue| is_within(&issue))
}

fn deploy(decl: &GearDecl, model: &Model<'_>, report: &mut Report) {
    let Some(rack) = &decl.deploy else { return };
    let racks = model.racks();
    if !racks.contains(&rack.value.as_str()) {
        let message =
            format!("`{}` is deployed to `{}`, which is not a rack of this scenario", *decl.name, **rack);
        let help = match closest(rack, &racks) {
            Some(name) => did_you_mean(name),
            None => format!("the racks are {}", listed(&racks, "and")),
        };
        report.push(Issue::new(Code::UnknownRack, rack.span, message).help(help));
    }
}

fn unknown_kind(decl: &GearDecl, catalog: &Catalog) -> Issue {
    let kinds: Vec<&str> = catalog.kinds().collect();
    let help = match closest(&decl.kind, &kinds) {
        Some(kind) => did_you_mean(kind),
        None => format!("the kinds are {}", listed(&kinds, "and")),
    };
    if decl.kind.is_empty() {
        return Issue::new(Code::MissingKey, decl.kind.span, format!("`{}` has no kind", *decl.name))
            .help(help);
    }
    Issue::new(
        Code::UnknownKind,
        decl.kind.span,
        format!("there is no kind of gear called {}", quoted(&decl.kind)),
    )
    .help(help)
}

fn ports(gear: &GearView<'_>, report: &mut Report) {
    let Some(manifest) = gear.manifest else { return };
    let from_config = manifest.config_ports(&gear.decl.config);
    for (port, span) in &from_config {
        if let Err(help) = check_name(&port.name) {
            let message = format!("this names a port {}", quoted(&port.name));
            report.push(Issue::new(Code::ConfigBadValue, *span, message).help(help));
        }
    }
    let given = |direction: Direction| {
        let of_kind = manifest.ports.iter().chain(from_config.iter().map(|(port, _)| port));
        of_kind.filter(move |port| port.direction == direction).map(|port| port.name.as_str()).collect()
    };
    let declared = &gear.decl.ports;
    repeated_ports(given(Direction::In), &declared.inputs, &gear.decl.name, report);
    repeated_ports(given(Direction::Out), &declared.outputs, &gear.decl.name, report);
}

fn repeated_ports<'a>(
    mut known: Vec<&'a str>,
    declared: &'a [Spanned<String>],
    gear: &str,
    report: &mut Report,
) {
    for port in declared {
        if known.contains(&port.value.as_str()) {
            let message = format!("`{gear}` has the port `{}` already", **port);
            report.push(Issue::new(Code::DuplicatePort, port.span, message).help("remove this declaration"));
        }
        known.push(&port.value);
    }
}

fn partition(gear: &GearView<'_>, report: &mut Report) {
    let (Some(manifest), Some(parallel)) = (gear.manifest, &gear.decl.parallel) else { return };
    if parallel.get() == 1 {
        return;
    }
    if !manifest.partitionable {
        let message = format!("gears of kind `{}` cannot run in parallel", manifest.kind);
        report.push(Issue::new(Code::NotPartitionable, parallel.span, message).help("remove `parallel`"));
    } else if gear.decl.partition_by.is_none() {
        let message =
            format!("`{}` runs in parallel without `partition_by`, so order would be lost", *gear.decl.name);
        let help = "add `partition_by`, the path whose value decides which instance takes a message";
        report.push(Issue::new(Code::NotPartitionable, parallel.span, message).help(help));
    }
}

#[cfg(test)]
mod tests;
