//! A circuit as a picture: plain text, Mermaid for documents, a self-contained SVG for everything else. Same circuit,
//! same bytes.

mod layout;
mod svg;

use std::fmt::Write;

pub use svg::svg;

use crate::circuit::{Circuit, CircuitWire, Durability, WireEnd};
use crate::scenario::Lane;

/// How a wire is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stroke {
    /// A call inside a task.
    Fused,
    /// A queue in memory.
    Hot,
    /// A journal.
    Durable,
    /// The bus.
    Mesh,
}

impl Stroke {
    fn of(wire: &CircuitWire) -> Self {
        match (wire.lane, wire.fused) {
            (Lane::Hot, true) => Stroke::Fused,
            (Lane::Hot, false) => Stroke::Hot,
            (Lane::Durable, _) => Stroke::Durable,
            (Lane::Mesh, _) => Stroke::Mesh,
        }
    }
}

/// Plain text: the gears by task, the wires (`=>` where a hop is a call), and the order of draining.
pub fn text(circuit: &Circuit) -> String {
    let mut text = String::new();
    for (index, segment) in circuit.segments.iter().enumerate() {
        let gears = segment.iter().map(|&gear| {
            let gear = &circuit.gears[gear];
            format!("{} ({}{})", gear.name, gear.kind, times(gear.parallel))
        });
        let gears = gears.collect::<Vec<_>>().join(", ");
        line(&mut text, 0, format_args!("task {}: {gears}", index + 1));
    }
    text.push('\n');
    for wire in &circuit.wires {
        let arrow = match Stroke::of(wire) {
            Stroke::Fused => "=>".to_owned(),
            Stroke::Hot => "->".to_owned(),
            Stroke::Durable => format!("-> ({})", promise(wire.durable.unwrap_or_default())),
            Stroke::Mesh => format!("-> ({})", mesh_promise(wire)),
        };
        let (from, to) = circuit.written(wire);
        line(&mut text, 0, format_args!("{from} {arrow} {to}"));
    }
    let order: Vec<&str> =
        circuit.drain_order.iter().map(|&gear| circuit.gears[gear].name.as_str()).collect();
    line(&mut text, 0, format_args!("\ndrains in this order: {}", order.join(", ")));
    text
}

/// What a durable wire promises, in a few words.
fn promise(Durability { ack, dedupe }: Durability) -> String {
    format!("durable, ack {}{}", ack.word(), if dedupe { ", dedupe" } else { "" })
}

/// What a mesh wire promises at this end.
fn mesh_promise(wire: &CircuitWire) -> String {
    let Durability { ack, dedupe } = wire.durable.unwrap_or_default();
    let name = wire.mesh.as_ref().map_or("", |mesh| mesh.wire.as_str());
    let ack = if wire.from.here().is_some() { format!(", ack {}", ack.word()) } else { String::new() };
    format!("mesh {name}{ack}{}", if dedupe { ", dedupe" } else { "" })
}

/// The rack at the other end of a mesh wire.
fn far_rack(wire: &CircuitWire) -> Option<&str> {
    let mesh = wire.mesh.as_ref()?;
    Some(if wire.from.here().is_some() { &mesh.to } else { &mesh.from })
}

/// How many instances, where that is not one.
fn times(parallel: u16) -> String {
    match parallel {
        1 => String::new(),
        count => format!(" x {count}"),
    }
}

/// A Mermaid flowchart (mermaid.js.org): a box per gear, a group per task that several gears share, thick arrows where
/// a hop is a call.
pub fn mermaid(title: &str, circuit: &Circuit) -> String {
    let mut text = format!("---\ntitle: {}\n---\nflowchart LR\n", front_matter(title));
    for (index, segment) in circuit.segments.iter().enumerate() {
        let is_group = segment.len() > 1;
        if is_group {
            line(&mut text, 1, format_args!("subgraph task{index} [\"task {}\"]", index + 1));
        }
        for &gear in segment {
            let (name, kind) = (escaped(&circuit.gears[gear].name), escaped(&circuit.gears[gear].kind));
            let many = times(circuit.gears[gear].parallel);
            line(&mut text, 1 + usize::from(is_group), format_args!("g{gear}[\"{name}<br/>{kind}{many}\"]"));
        }
        if is_group {
            line(&mut text, 1, format_args!("end"));
        }
    }
    for (index, wire) in circuit.wires.iter().enumerate() {
        let [sender, output, receiver, input] = circuit.ends(wire).map(escaped);
        let arrow = match Stroke::of(wire) {
            Stroke::Fused => "==>",
            Stroke::Hot => "-->",
            Stroke::Durable | Stroke::Mesh => "-.->",
        };
        let promise = match (&wire.mesh, wire.durable) {
            (Some(_), _) => format!("<br/>{}", escaped(&mesh_promise(wire))),
            (None, Some(durable)) => format!("<br/>{}", promise(durable)),
            (None, None) => String::new(),
        };
        let rack = far_rack(wire).map(escaped).unwrap_or_default();
        let node = |end: &WireEnd, name: &str| match end {
            WireEnd::Here(gear, _) => format!("g{gear}"),
            WireEnd::There { .. } => format!("far{index}([\"{name}<br/>on {rack}\"])"),
        };
        let (from, to) = (node(&wire.from, &sender), node(&wire.to, &receiver));
        line(&mut text, 1, format_args!("{from} {arrow}|\"{output} to {input}{promise}\"| {to}"));
    }
    text
}

fn line(text: &mut String, depth: usize, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{:width$}{content}", "", width = depth * 2).expect("a string takes every write");
}

/// A title as a YAML string.
fn front_matter(title: &str) -> String {
    serde_json::Value::from(title).to_string()
}

/// Text inside a quoted Mermaid label, where `#` begins an entity.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '#' | '&' | '<' | '>' | '`' | '\\' => {
                write!(out, "#{};", u32::from(c)).expect("a string takes every write");
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
