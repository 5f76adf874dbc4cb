//! The part of a scenario that is one Rack's, and nothing of anybody else's but the names at the far ends of its wires.

use std::collections::{BTreeMap, BTreeSet};

use flux_bus::{MeshWire, Name};
use flux_identity::Part;
use flux_scenario::edition::ContentHash;
use flux_scenario::{Endpoint, GearDecl, Route, Scenario, Spanned};
use serde_json::{Map, Value as Json, json};

/// Where a Rack with these labels is, for a scenario: under its name, and in the groups whose labels it has.
struct Here<'a> {
    rack: &'a Name,
    groups: BTreeSet<&'a str>,
}

impl<'a> Here<'a> {
    fn new(scenario: &'a Scenario, rack: &'a Name, labels: &BTreeMap<String, String>) -> Here<'a> {
        let has = |wanted: &BTreeMap<String, String>| {
            !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        let groups = scenario.racks.iter().filter(|other| other.is_group && has(&other.match_labels));
        Here { rack, groups: groups.map(|group| group.name.as_str()).collect() }
    }

    fn is(&self, place: Option<&str>) -> bool {
        place.is_none_or(|place| place == self.rack.as_str() || self.groups.contains(place))
    }
}

/// The gears of a Rack with these labels: those deployed to its name, to a group whose labels it has, or to no Rack in particular.
pub(crate) fn gears<'a>(
    scenario: &'a Scenario,
    rack: &'a Name,
    labels: &BTreeMap<String, String>,
) -> impl Iterator<Item = &'a GearDecl> {
    let here = Here::new(scenario, rack, labels);
    scenario.gears.iter().filter(move |gear| here.is(deploy_of(gear)))
}

/// The part of a Rack with these labels; none when the scenario has nothing for it.
///
/// Of a wire to another Rack, the part says which wire it is and who has the other end; of that gear, nothing.
pub(crate) fn of(scenario: &Scenario, rack: &Name, labels: &BTreeMap<String, String>) -> Option<Part> {
    let here = Here::new(scenario, rack, labels);
    let gears: Vec<&GearDecl> = gears(scenario, rack, labels).collect();
    if gears.is_empty() {
        return None;
    }
    let place_of = |end: &Endpoint| match &end.rack {
        Some(rack) => Some(rack.clone()),
        None => scenario.gear(&end.gear).and_then(|gear| deploy_of(gear).map(str::to_owned)),
    };
    let (mut wires, mut mesh) = (Vec::new(), Vec::new());
    for route in &scenario.wires {
        let (from, to) = (place_of(&route.from), place_of(&route.to));
        match (here.is(from.as_deref()), here.is(to.as_deref())) {
            (true, true) => wires.push(wire(route)),
            (true, false) => mesh.extend(to.and_then(|to| mesh_wire(route, rack, &to, Way::Out))),
            (false, true) => mesh.extend(from.and_then(|from| mesh_wire(route, rack, &from, Way::In))),
            (false, false) => {}
        }
    }
    let gears: Vec<Json> = gears.into_iter().map(gear).collect();
    let text = json!({ "meta": meta(scenario), "gears": gears, "wires": wires }).to_string();
    Some(Part {
        scenario: scenario.meta.name.value.clone(),
        version: scenario.meta.version.as_ref().map(|version| version.value.clone()),
        whole: ContentHash::of(scenario.source.text().as_bytes()),
        text,
        wires: mesh,
    })
}

fn deploy_of(gear: &GearDecl) -> Option<&str> {
    gear.deploy.as_ref().map(|place| place.value.as_str())
}

#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

/// None where the other end is no single Rack.
fn mesh_wire(route: &Route, rack: &Name, other: &str, way: Way) -> Option<MeshWire> {
    let other = Name::new(other).ok()?;
    let (from, to) = match way {
        Way::Out => (rack.clone(), other),
        Way::In => (other, rack.clone()),
    };
    let wire = Name::new(route.bus_name()).expect("it is a short token");
    Some(MeshWire { wire, from, to })
}

fn meta(scenario: &Scenario) -> Json {
    let mut meta = Map::from_iter([("name".to_owned(), Json::from(scenario.meta.name.value.clone()))]);
    set(&mut meta, "version", scenario.meta.version.as_ref());
    Json::Object(meta)
}

fn gear(gear: &GearDecl) -> Json {
    let mut json = Map::from_iter([
        ("name".to_owned(), Json::from(gear.name.value.clone())),
        ("type".to_owned(), Json::from(gear.kind.value.clone())),
        ("config".to_owned(), gear.config.to_json()),
    ]);
    let ports = |ports: &[Spanned<String>]| ports.iter().map(|port| port.value.clone()).collect::<Vec<_>>();
    let (inputs, outputs) = (ports(&gear.ports.inputs), ports(&gear.ports.outputs));
    if !inputs.is_empty() || !outputs.is_empty() {
        json.insert("ports".into(), json!({ "inputs": inputs, "outputs": outputs }));
    }
    if !gear.labels.is_empty() {
        json.insert("labels".into(), json!(gear.labels));
    }
    if let Some(id) = gear.id {
        json.insert("id".into(), id.to_string().into());
    }
    if let Some(doc) = &gear.doc {
        json.insert("doc".into(), doc.clone().into());
    }
    if let Some(parallel) = &gear.parallel {
        json.insert("parallel".into(), parallel.value.get().into());
    }
    set(&mut json, "partition_by", gear.partition_by.as_ref());
    Json::Object(json)
}

fn wire(route: &Route) -> Json {
    let end = |end: &Endpoint| format!("{}.{}", end.gear, end.port);
    let mut json = Map::from_iter([
        ("from".to_owned(), Json::from(end(&route.from))),
        ("to".to_owned(), Json::from(end(&route.to))),
    ]);
    set(&mut json, "id", route.id.as_ref());
    if let Some(lane) = &route.lane {
        json.insert("lane".into(), lane.value.word().into());
    }
    if let Some(ack) = &route.ack {
        json.insert("ack".into(), ack.value.word().into());
    }
    if let Some(dedupe) = &route.dedupe {
        json.insert("dedupe".into(), dedupe.value.into());
    }
    Json::Object(json)
}

fn set(json: &mut Map<String, Json>, key: &str, value: Option<&Spanned<String>>) {
    if let Some(value) = value {
        json.insert(key.to_owned(), value.value.clone().into());
    }
}

#[cfg(test)]
mod tests {
    use flux_scenario::load;

    use super::*;

    const SCENARIO: &str = "
meta: {name: branch, version: 1.0.0}
racks: [{name: north}, {name: south}, {group: tills, match: {labels: {site: porto}}}]
gears:
  - {name: line, type: io_tcp, deploy: north, config: {mode: server, address: '127.0.0.1:1', secret: north-only}}
  - {name: count, type: log, deploy: north, config: {}}
  - {name: centre, type: io_tcp, deploy: south, config: {mode: client, address: '10.0.0.9:9', secret: south-only}}
  - {name: till, type: log, deploy: tills, config: {secret: tills-only}}
  - {name: all, type: 'null', config: {}}
wires:
  - {from: line.out, to: count.in, lane: durable, ack: os}
  - {id: w1, from: count.out, to: centre.in}
  - {from: centre.out, to: line.in}
  - {from: till.out, to: centre.in}
";

    fn of(rack: &str, labels: &[(&str, &str)]) -> Option<Part> {
        let loaded = load("branch.yaml", SCENARIO);
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        super::of(&loaded.scenario, &Name::new(rack).unwrap(), &labels)
    }

    #[test]
    fn a_rack_gets_its_own_gears_and_the_names_at_the_ends_of_its_wires() {
        let part = of("north", &[]).unwrap();
        let again = load("part.yaml", &part.text);
        let names: Vec<&str> = again.scenario.gears.iter().map(|gear| gear.name.as_str()).collect();
        assert_eq!(names, ["line", "count", "all"]);
        assert_eq!(again.scenario.wires[0].name(), "line.out -> count.in");
        assert_eq!(again.scenario.wires[0].lane.as_ref().unwrap().value.word(), "durable");
        let mesh: Vec<String> =
            part.wires.iter().map(|wire| format!("{} {}>{}", wire.wire, wire.from, wire.to)).collect();
        assert_eq!(mesh[0], "w1 north>south");
        assert!(mesh[1].starts_with("centre-out-line-in-"), "as the racks themselves call it: {mesh:?}");
        assert!(
            !part.text.contains("south-only")
                && !part.text.contains("10.0.0.9")
                && !part.text.contains("tills")
        );
    }

    #[test]
    fn a_group_is_those_who_have_its_labels() {
        assert!(of("p7", &[("site", "porto")]).unwrap().text.contains("tills-only"));
        let other = of("p7", &[("site", "faro")]).unwrap();
        assert!(!other.text.contains("only"), "{}", other.text);
        let loaded = load("x.yaml", "gears: [{name: a, type: log, deploy: north}]\nracks: [{name: north}]");
        assert_eq!(super::of(&loaded.scenario, &Name::new("south").unwrap(), &BTreeMap::new()), None);
    }
}
