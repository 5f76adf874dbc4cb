//! The compiled plan of one rack, as data: which gears, wired how, fused into which tasks, drained in which order.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::catalog::{Catalog, ERROR_PORT, Emits, GearPorts, Manifest, PortSpec, Terminus};
use crate::codes::Code;
use crate::model::{GearView, Joint, Model};
use crate::report::{Issue, Report};
use crate::scenario::{Ack, Endpoint, Lane, Route, Scenario};
use crate::source::Span;
use crate::topology::Graph;
use crate::words::{listed, quoted};

pub use mesh::MeshRoute;
pub(crate) use mesh::token;

/// Whether gears that can share a task do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fuse {
    /// They do: a fused hop is a call.
    On,
    /// Every gear has a task of its own. Outputs are the same either way.
    Off,
}

/// What one rack runs. Gears are named by their index in `gears`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Circuit {
    /// The gears of this rack, in the order written.
    pub gears: Vec<CircuitGear>,
    /// The wires of this rack, in the order written.
    pub wires: Vec<CircuitWire>,
    /// Gears whose `process` halves share a task, each segment in topological order.
    pub segments: Vec<Vec<usize>>,
    /// The order to drain in, sources first.
    pub drain_order: Vec<usize>,
}

/// A gear of a [`Circuit`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CircuitGear {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its config, with file paths resolved against the scenario file.
    pub config: serde_json::Value,
    /// Names of its inputs; wires refer to them by index.
    pub inputs: Vec<String>,
    /// Names of its outputs; wires refer to them by index.
    pub outputs: Vec<String>,
    /// The index of its segment.
    pub segment: usize,
    /// How many instances run; 1 unless partitioned.
    pub parallel: u16,
    /// The path whose value chooses the instance.
    pub partition_by: Option<String>,
    /// Whether it keeps something on disk.
    pub keeps_on_disk: bool,
    /// How a path through the graph ends here.
    pub terminus: Terminus,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its documentation.
    pub doc: Option<String>,
    /// The files its `init` reads, with a digest of each: filled in by whoever tried it, for [`crate::plan()`]. A file
    /// may be a secret, so none of it is shown.
    #[serde(skip)]
    pub files: BTreeMap<String, [u8; 32]>,
}

/// A wire of a [`Circuit`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CircuitWire {
    /// Its id, or `from -> to` when none was given.
    pub id: String,
    /// The output it leaves.
    pub from: WireEnd,
    /// The input it leads to.
    pub to: WireEnd,
    /// How it carries signals.
    pub lane: Lane,
    /// What it promises, when it is durable: this end of it, when it is a mesh wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durable: Option<Durability>,
    /// Where it runs on the bus, when it is a mesh wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh: Option<MeshRoute>,
    /// What `process` emits here is a call into the same segment; what an emitter emits still goes by queue.
    pub fused: bool,
}

/// One end of a [`CircuitWire`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum WireEnd {
    /// A gear of this rack and its port, by index.
    Here(usize, usize),
    /// A gear of another rack and its port, by name.
    There {
        /// The gear.
        gear: String,
        /// Its port.
        port: String,
    },
}

impl WireEnd {
    /// The gear of this rack and its port, if it is here.
    pub fn here(&self) -> Option<(usize, usize)> {
        match *self {
            WireEnd::Here(gear, port) => Some((gear, port)),
            WireEnd::There { .. } => None,
        }
    }

    /// The gear of this rack, if it is here.
    pub fn gear(&self) -> Option<usize> {
        self.here().map(|(gear, _)| gear)
    }
}

impl Default for WireEnd {
    fn default() -> WireEnd {
        WireEnd::Here(0, 0)
    }
}

impl CircuitWire {
    /// The gears it connects, when both are here.
    pub fn inner(&self) -> Option<(usize, usize)> {
        Some((self.from.gear()?, self.to.gear()?))
    }
}

/// What a durable wire promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Durability {
    /// When its sender is told that a signal is safe.
    pub ack: Ack,
    /// Whether a signal that it carried before is left out.
    pub dedupe: bool,
}

impl Durability {
    fn of(route: &Route) -> Durability {
        Durability {
            ack: route.ack.as_ref().map(|ack| ack.value).unwrap_or_default(),
            dedupe: route.dedupe.as_ref().is_some_and(|dedupe| dedupe.value),
        }
    }
}

/// Compiles what `rack` runs, or what the only rack runs when none is named. For a file that was read,
/// [`crate::Loaded::compile`] minds the problems of form as well.
///
/// # Errors
/// The whole report when [`crate::check`] finds an error, or when the rack is unknown or must be chosen.
pub fn compile(
    scenario: &Scenario,
    rack: Option<&str>,
    catalog: &Catalog,
    fuse: Fuse,
) -> Result<Circuit, Report> {
    let mut report = crate::check(scenario, catalog);
    let model = Model::new(scenario, catalog);
    let rack = match choose_rack(&model, rack) {
        Ok(rack) => rack,
        Err(issue) => {
            report.push(*issue);
            return Err(report);
        }
    };
    if report.has_errors() {
        return Err(report);
    }
    let is_here = |place: Option<&str>| place.is_none() || place == rack;
    let deployed = |gear: usize| model.gears[gear].decl.deploy.as_ref().map(|rack| rack.value.as_str());
    let members = (0..model.gears.len()).filter(|&gear| is_here(deployed(gear))).collect();
    Ok(Compiler::new(&model, members, is_here, fuse).compile())
}

/// The gears of `rack` that can be made and tried although the scenario has errors: those of a known kind whose own
/// config is sound, with the wires that exist between them. No rack, or one there is not, is every rack.
pub(crate) fn trial(scenario: &Scenario, rack: Option<&str>, catalog: &Catalog, form: &Report) -> Circuit {
    let model = Model::new(scenario, catalog);
    let chosen = choose_rack(&model, rack).ok();
    let is_sound = |index: usize| {
        let gear = &model.gears[index];
        let place = gear.decl.deploy.as_ref().map(|rack| rack.value.as_str());
        let is_here = chosen.is_none_or(|rack| place.is_none() || place == rack);
        let is_first = model.index(&gear.decl.name) == Some(index);
        is_here && is_first && crate::check::is_sound(gear, scenario, form)
    };
    let members = (0..model.gears.len()).filter(|&gear| is_sound(gear)).collect();
    // Not fused, for wires that make a circle have no order to be called in.
    Compiler::new(&model, members, |_| true, Fuse::Off).compile()
}

fn choose_rack<'a>(model: &Model<'a>, rack: Option<&'a str>) -> Result<Option<&'a str>, Box<Issue>> {
    let racks = model.racks();
    let issue = match (rack, &racks[..]) {
        (None, []) => return Ok(None),
        (None, [only]) => return Ok(Some(only)),
        (Some(rack), racks) if racks.is_empty() || racks.contains(&rack) => return Ok(Some(rack)),
        (None, _) => Issue::new(Code::RackNotChosen, Span::default(), "the scenario has several racks"),
        (Some(rack), _) => {
            let message = format!("the scenario has no rack {}", quoted(rack));
            Issue::new(Code::UnknownRack, Span::default(), message)
        }
    };
    Err(Box::new(issue.help(format!("choose {}", listed(&racks, "or")))))
}

/// Works on indexes into the gears of one rack.
struct Compiler<'m> {
    model: &'m Model<'m>,
    /// The gears of the rack, by index in the model.
    members: Vec<usize>,
    /// The segment of each member.
    segment_of: Vec<usize>,
    wires: Vec<CircuitWire>,
}

impl<'m> Compiler<'m> {
    /// Requires members of known kinds, in order, and, to fuse them, a scenario without errors.
    fn new(
        model: &'m Model<'m>,
        members: Vec<usize>,
        is_here: impl Fn(Option<&str>) -> bool,
        fuse: Fuse,
    ) -> Self {
        let mut wires = Vec::new();
        let mut sends = Vec::new();
        for joint in model.joints() {
            if let Some(wire) = wire_of(model, &joint, &members, &is_here, fuse) {
                wires.push(wire);
                sends.push(model.emits_from_process(&joint));
            }
        }
        let segment_of = tasks::share_out(members.len(), &sends, &mut wires);
        Compiler { model, members, segment_of, wires }
    }

    fn compile(self) -> Circuit {
        let segments = self.segments();
        let mut place = vec![0; self.members.len()];
        for (index, segment) in segments.iter().enumerate() {
            segment.iter().for_each(|&gear| place[gear] = index);
        }
        let gears = (0..self.members.len()).map(|gear| self.gear(gear, place[gear])).collect();
        let drain_order = self.drain_order();
        Circuit { gears, wires: self.wires, segments, drain_order }
    }

    fn view(&self, gear: usize) -> (&GearView<'m>, &'m Manifest, &GearPorts) {
        let view = &self.model.gears[self.members[gear]];
        let manifest = view.manifest.expect("a checked gear has a known kind");
        (view, manifest, view.ports.as_ref().expect("a checked gear has ports"))
    }

    fn gear(&self, gear: usize, segment: usize) -> CircuitGear {
        let (GearView { decl, .. }, manifest, ports) = self.view(gear);
        let names = |ports: &[PortSpec]| ports.iter().map(|port| port.name.clone()).collect();
        let directory = Path::new(self.model.scenario.source.name()).parent().unwrap_or(Path::new(""));
        CircuitGear {
            name: decl.name.value.clone(),
            kind: decl.kind.value.clone(),
            config: manifest.with_files_in(directory, &decl.config.to_json()),
            inputs: names(&ports.inputs),
            outputs: names(&ports.outputs),
            segment,
            parallel: decl.parallel.as_ref().map_or(1, |count| count.get()),
            partition_by: decl.partition_by.as_ref().map(|path| path.value.clone()),
            keeps_on_disk: manifest.keeps_on_disk(&decl.config.to_json()),
            terminus: manifest.terminus,
            labels: decl.labels.clone(),
            doc: decl.doc.clone(),
            files: BTreeMap::new(),
        }
    }

    /// The gears of each segment, in order of their first gear; each in topological order, which exists since a cycle of
    /// `process` halves does not pass the check.
    fn segments(&self) -> Vec<Vec<usize>> {
        let fused = self.wires.iter().filter(|wire| wire.fused).filter_map(CircuitWire::inner);
        let mut segments: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for gear in Graph::new(self.members.len(), fused).sources_first(|_| 0) {
            segments.entry(self.segment_of[gear]).or_default().push(gear);
        }
        let mut segments: Vec<Vec<usize>> = segments.into_values().collect();
        segments.sort_by_key(|segment| segment.iter().min().copied());
        segments
    }

    /// Sources first. In a conversation, which is a cycle, the side that listens is drained before the side that calls.
    fn drain_order(&self) -> Vec<usize> {
        let edges = self.wires.iter().filter_map(CircuitWire::inner);
        Graph::new(self.members.len(), edges).sources_first(|gear| {
            let (view, manifest, ports) = self.view(gear);
            let listens = !manifest.claims_of(&view.decl.config).is_empty();
            let emits = ports.outputs.iter().any(|port| port.emits != Emits::Process);
            (!listens, !emits)
        })
    }
}

/// What a rack with these gears runs of a wire; none where none of its ends is there.
fn wire_of(
    model: &Model<'_>,
    joint: &Joint<'_>,
    members: &[usize],
    is_here: impl Fn(Option<&str>) -> bool,
    fuse: Fuse,
) -> Option<CircuitWire> {
    let route = joint.route;
    let crossed = model.racks_crossed(route);
    if crossed.is_some_and(|(from, to)| model.is_group(from) || model.is_group(to)) {
        return None;
    }
    let end = |place: Option<(usize, usize)>, end: &Endpoint| {
        let member = |(gear, port)| Some((members.binary_search(&gear).ok()?, port));
        let here = place.and_then(member).filter(|_| is_here(model.rack_of(end)));
        here.map(|(gear, port)| WireEnd::Here(gear, port))
            .or_else(|| crossed.map(|_| WireEnd::There { gear: end.gear.clone(), port: end.port.clone() }))
    };
    let (from, to) = (end(joint.from, &route.from)?, end(joint.to, &route.to)?);
    let is_inner = matches!((&from, &to), (WireEnd::Here(..), WireEnd::Here(..)));
    if from.here().or(to.here()).is_none() || (crossed.is_some() && is_inner) {
        return None;
    }
    let lane = model.lane(route);
    let mut durable = (lane != Lane::Hot).then(|| Durability::of(route));
    if let (Some(durable), None) = (&mut durable, from.here()) {
        // Its sender is on the other rack; here nothing is said before it is on disk.
        durable.ack = Ack::Disk;
    }
    Some(CircuitWire {
        id: route.name(),
        from,
        to,
        lane,
        durable,
        mesh: crossed.map(|racks| MeshRoute::new(racks, &route.name())),
        fused: fuse == Fuse::On && is_fusable(model, joint),
    })
}

/// Whether the consumer's `process` may be called from the producer's.
fn is_fusable(model: &Model<'_>, joint: &Joint<'_>) -> bool {
    let shares_a_task = |gear: usize| {
        let view = &model.gears[gear];
        let waits = view.manifest.is_none_or(|manifest| manifest.waits);
        !waits && view.decl.parallel.as_ref().is_none_or(|count| count.get() == 1)
    };
    model.lane(joint.route) == Lane::Hot
        && model.emits_from_process(joint)
        && joint.inner().is_some_and(|(from, to)| shares_a_task(from) && shares_a_task(to))
}

impl Circuit {
    /// For each output of a gear, the I/O gear that answers for it: found downstream through transparent gears when
    /// the way does not fork. Outputs without one are absent.
    pub fn bindings(&self, gear: usize) -> BTreeMap<String, String> {
        let outputs = self.gears[gear].outputs.iter().enumerate();
        outputs
            .filter_map(|(index, port)| {
                Some((port.clone(), self.gears[self.terminus(gear, index)?].name.clone()))
            })
            .collect()
    }

    /// The ends of a wire in words: gear and port that send, gear and port that receive.
    pub fn ends<'a>(&'a self, wire: &'a CircuitWire) -> [&'a str; 4] {
        let names = |end: &'a WireEnd, ports: fn(&CircuitGear) -> &[String]| match end {
            WireEnd::Here(gear, port) => {
                let gear = &self.gears[*gear];
                (gear.name.as_str(), ports(gear)[*port].as_str())
            }
            WireEnd::There { gear, port } => (gear.as_str(), port.as_str()),
        };
        let (sender, output) = names(&wire.from, |gear| &gear.outputs);
        let (receiver, input) = names(&wire.to, |gear| &gear.inputs);
        [sender, output, receiver, input]
    }

    /// The ends of a wire as a scenario would write them; with the rack where that is another one.
    pub fn written(&self, wire: &CircuitWire) -> (String, String) {
        let [sender, output, receiver, input] = self.ends(wire);
        let (mut from, mut to) = (format!("{sender}.{output}"), format!("{receiver}.{input}"));
        if let Some(mesh) = &wire.mesh {
            match wire.from {
                WireEnd::Here(..) => to = format!("{}.{to}", mesh.to),
                WireEnd::There { .. } => from = format!("{}.{from}", mesh.from),
            }
        }
        (from, to)
    }

    fn terminus(&self, mut gear: usize, output: usize) -> Option<usize> {
        let mut outputs = vec![output];
        // A way longer than there are gears is a circle.
        for _ in 0..self.gears.len() {
            let leaving = |wire: &&CircuitWire| {
                wire.from.here().is_some_and(|(from, port)| from == gear && outputs.contains(&port))
            };
            let next: Vec<Option<usize>> =
                self.wires.iter().filter(leaving).map(|wire| wire.to.gear()).collect();
            let [Some(only)] = next[..] else { return None };
            gear = only;
            let reached = &self.gears[gear];
            match reached.terminus {
                Terminus::Io => return Some(gear),
                Terminus::Opaque => return None,
                Terminus::Transparent => {
                    outputs =
                        (0..reached.outputs.len()).filter(|&at| reached.outputs[at] != ERROR_PORT).collect();
                }
            }
        }
        None
    }
}

mod mesh;
mod tasks;
#[cfg(test)]
mod tests;
