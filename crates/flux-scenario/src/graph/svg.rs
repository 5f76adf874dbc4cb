//! The picture as SVG 1.1: no script, no outside font or style, every text escaped.

use std::fmt::{self, Write};

use super::layout::{Area, GearBox, HEADER, Layout, MARGIN, PORT_ROW, lay_out};
use super::{Stroke, far_rack, mesh_promise, promise};
use crate::circuit::{Circuit, CircuitGear};

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2933}\
.title{font-size:17px;font-weight:600}\
.name{font-weight:600}\
.kind,.port,.task,.legend{font-size:11px;fill:#52606d}\
.band{fill:#eef2f7;stroke:#cbd2d9}\
.gear{fill:#fff;stroke:#7b8794}\
.dot{fill:#7b8794}\
.wire{fill:none;stroke-width:1.5;stroke-linejoin:round}\
.fused{stroke:#0b7285;stroke-width:3}\
.hot{stroke:#3e4c59}\
.durable{stroke:#5f3dc4;stroke-dasharray:7 4}\
.mesh{stroke:#d9480f;stroke-dasharray:2 4}";

/// How far a wire back runs straight out of its port and into the next.
const BACK_STUB: i64 = 14;

const LEGEND: [(Stroke, &str); 4] = [
    (Stroke::Fused, "call in one task"),
    (Stroke::Hot, "queue in memory"),
    (Stroke::Durable, "durable"),
    (Stroke::Mesh, "mesh"),
];

/// A picture of a circuit: a box per gear with its ports, a band per task that several gears share, a line per wire
/// styled by its lane.
pub fn svg(title: &str, circuit: &Circuit) -> String {
    let layout = lay_out(circuit);
    let mut out = Svg { text: String::new() };
    out.put(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" role=\"img\">\n",
        layout.width, layout.height
    ));
    out.put(format_args!("<title>{}</title>\n<style>{STYLE}</style>\n", Escaped(title)));
    out.put(format_args!("<rect width=\"{}\" height=\"{}\" fill=\"#fff\"/>\n", layout.width, layout.height));
    out.text("title", MARGIN, MARGIN + 6, "start", title);
    for band in &layout.bands {
        if let Some(segment) = band.segment {
            out.rect("band", band.area, 10);
            out.text("task", band.area.x + 10, band.area.y + 16, "start", &format!("task {}", segment + 1));
        }
    }
    wires(&mut out, circuit, &layout);
    for (gear, place) in circuit.gears.iter().zip(&layout.gears) {
        gear_box(&mut out, gear, place);
    }
    legend(&mut out, &layout);
    out.put(format_args!("</svg>\n"));
    out.text
}

fn wires(out: &mut Svg, circuit: &Circuit, layout: &Layout) {
    let mut backs = 0;
    for wire in &circuit.wires {
        let class = class(Stroke::of(wire));
        let start = wire.from.here().and_then(|(gear, port)| layout.gears[gear].output(port));
        let end = wire.to.here().and_then(|(gear, port)| layout.gears[gear].input(port));
        let (path, far) = match (start, end) {
            (Some((x1, y1)), Some((x2, y2))) if x2 > x1 => {
                let bend = ((x2 - x1) / 2).max(24);
                (format!("M{x1} {y1} C{} {y1} {} {y2} {x2} {y2}", x1 + bend, x2 - bend), None)
            }
            (Some((x1, y1)), Some((x2, y2))) => {
                let (from, to) = wire.inner().expect("both its ends are here");
                let channel = layout.channel(from, to, backs);
                backs += 1;
                let (out, back) = (x1 + BACK_STUB, x2 - BACK_STUB);
                (format!("M{x1} {y1} H{out} V{channel} H{back} V{y2} H{x2}"), None)
            }
            (Some((x, y)), None) => (format!("M{x} {y} h{BACK_STUB}"), Some((x + BACK_STUB + 2, y, "start"))),
            (None, Some((x, y))) => {
                (format!("M{} {y} H{x}", x - BACK_STUB), Some((x - BACK_STUB - 2, y, "end")))
            }
            (None, None) => continue,
        };
        let promise = match (&wire.mesh, wire.durable) {
            (Some(_), _) => format!(" ({})", mesh_promise(wire)),
            (None, durable) => durable.map(|durable| format!(" ({})", promise(durable))).unwrap_or_default(),
        };
        let title = format!("{}{promise}", wire.id);
        out.put(format_args!(
            "<path class=\"wire {class}\" d=\"{path}\"><title>{}</title></path>\n",
            Escaped(&title)
        ));
        if let (Some((x, y, anchor)), Some(rack)) = (far, far_rack(wire)) {
            out.text("port", x, y + 4, anchor, rack);
        }
    }
}

fn gear_box(out: &mut Svg, gear: &CircuitGear, place: &GearBox) {
    let area = place.area;
    out.put(format_args!("<g>"));
    if let Some(doc) = &gear.doc {
        out.put(format_args!("<title>{}</title>", Escaped(doc)));
    }
    out.put(format_args!("\n"));
    out.rect("gear", area, 6);
    let kind = match gear.parallel {
        1 => gear.kind.clone(),
        count => format!("{} x {count}", gear.kind),
    };
    out.text("name", area.x + 10, area.y + 17, "start", &gear.name);
    out.text("kind", area.x + 10, area.y + 32, "start", &kind);
    for &port in &place.inputs {
        if let Some((x, y)) = place.input(port) {
            out.port(x, y, "start", x + 8, &gear.inputs[port]);
        }
    }
    for &port in &place.outputs {
        if let Some((x, y)) = place.output(port) {
            out.port(x, y, "end", x - 8, &gear.outputs[port]);
        }
    }
    out.put(format_args!("</g>\n"));
}

fn legend(out: &mut Svg, layout: &Layout) {
    let y = layout.height - MARGIN + 4;
    let mut x = MARGIN;
    for (stroke, words) in LEGEND {
        out.put(format_args!("<path class=\"wire {}\" d=\"M{x} {} h28\"/>\n", class(stroke), y - 4));
        out.text("legend", x + 34, y, "start", words);
        x += 150;
    }
}

fn class(stroke: Stroke) -> &'static str {
    match stroke {
        Stroke::Fused => "fused",
        Stroke::Hot => "hot",
        Stroke::Durable => "durable",
        Stroke::Mesh => "mesh",
    }
}

struct Svg {
    text: String,
}

impl Svg {
    fn put(&mut self, content: fmt::Arguments<'_>) {
        self.text.write_fmt(content).expect("a string takes every write");
    }

    fn rect(&mut self, class: &str, area: Area, radius: i64) {
        let Area { x, y, width, height } = area;
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\"/>\n"
        ));
    }

    fn text(&mut self, class: &str, x: i64, y: i64, anchor: &str, text: &str) {
        let text = Escaped(text);
        self.put(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>\n"
        ));
    }

    fn port(&mut self, x: i64, y: i64, anchor: &str, text_x: i64, name: &str) {
        self.put(format_args!("<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/>\n"));
        self.text("port", text_x, y + 4, anchor, name);
    }
}

/// Text in XML 1.0, which has no way to write control characters.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                c if c.is_control() => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

const _: () = assert!(HEADER > 2 * PORT_ROW, "name and kind fit above the ports");
