//! The part of a scenario that is one Rack's, and nothing of anybody else's but the names at the far ends of its wires.

use std::collections::{BTreeMap, BTreeSet};

use flux_bus::{MeshWire, Name};
use flux_identity::Part;
use flux_scenario::edition::ContentHash;
use flux_scenario::{Endpoint, GearDecl, Lane, Rack, Route, Scenario, Spanned};
use serde_json::{Map, Value as Json, json};

/// Where a Rack with these labels is, for a scenario: under its name, and in the groups whose labels it has.
struct Here<'a> {
    rack: &'a Name,
    groups: BTreeSet<&'a str>,
}

/// The groups that a Rack with these labels is in.
pub(crate) fn groups_of<'a>(
    scenario: &'a Scenario,
    labels: &BTreeMap<String, String>,
) -> impl Iterator<Item = &'a str> {
    let has = |wanted: &BTreeMap<String, String>| {
        !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    let groups = scenario.racks.iter().filter(move |other| other.is_group && has(&other.match_labels));
    groups.map(|group| group.name.as_str())
}

impl<'a> Here<'a> {
    fn new(scenario: &'a Scenario, rack: &'a Name, labels: &BTreeMap<String, String>) -> Here<'a> {
        Here { rack, groups: groups_of(scenario, labels).collect() }
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

/// Who is in each group that wires lead to or from, from elsewhere.
pub(crate) type Members = BTreeMap<String, BTreeSet<Name>>;

/// Who of these Racks is in the groups that wires lead to or from. `racks` is not asked where there is no such group.
pub(crate) fn members(
    scenario: &Scenario,
    racks: impl FnOnce() -> Vec<(Name, BTreeMap<String, String>)>,
) -> Members {
    let crossings = scenario.wires.iter().filter_map(|route| crossed(scenario, route));
    let wired: BTreeSet<&str> = crossings.flat_map(|(from, to)| [from, to]).collect();
    let is_wired = |group: &&Rack| group.is_group && wired.contains(group.name.as_str());
    let groups =
        scenario.racks.iter().filter(is_wired).map(|group| (group.name.value.clone(), BTreeSet::new()));
    let mut members: Members = groups.collect();
    if !members.is_empty() {
        for (rack, labels) in racks() {
            for group in groups_of(scenario, &labels) {
                if let Some(members) = members.get_mut(group) {
                    members.insert(rack.clone());
                }
            }
        }
    }
    members
}

/// The part of a Rack with these labels; none when the scenario has nothing for it.
///
/// Of a wire to another Rack, the part says which wire it is and who has the other end; of that gear, its name and port alone. A
/// wire to or from a group is one to or from each of its members.
pub(crate) fn of(
    scenario: &Scenario,
    rack: &Name,
    labels: &BTreeMap<String, String>,
    members: &Members,
) -> Option<Part> {
    let here = Here::new(scenario, rack, labels);
    let gears: Vec<&GearDecl> = gears(scenario, rack, labels).collect();
    if gears.is_empty() {
        return None;
    }
    let (mut wires, mut mesh) = (Vec::new(), Vec::new());
    for route in &scenario.wires {
        if here.is(place_of(scenario, &route.from)) && here.is(place_of(scenario, &route.to)) {
            wires.push(wire(route, crossed(scenario, route).is_some()));
        }
        let Some((from, to)) = crossed(scenario, route) else { continue };
        let others = |place: &str| match members.get(place) {
            Some(members) => members.iter().filter(|member| *member != rack).cloned().collect(),
            None => Name::new(place).ok().into_iter().filter(|other| other != rack).collect::<Vec<_>>(),
        };
        let receivers = others(to).into_iter().filter(|_| here.is(Some(from))).map(|to| (rack.clone(), to));
        let senders = others(from).into_iter().filter(|_| here.is(Some(to))).map(|from| (from, rack.clone()));
        for (sender, receiver) in receivers.chain(senders) {
            let member = members.contains_key(from).then_some(&sender);
            let member = member.or_else(|| members.contains_key(to).then_some(&receiver));
            let id = bus_name(route, member);
            wires.push(far_wire(route, rack, &id, &sender, &receiver));
            mesh.push(MeshWire {
                wire: Name::new(id).expect("it is a short token"),
                from: sender,
                to: receiver,
            });
        }
    }
    let others: BTreeSet<&Name> =
        mesh.iter().flat_map(|wire| [&wire.from, &wire.to]).filter(|other| *other != rack).collect();
    let others = others.into_iter().map(|other| json!({ "name": other, "external": true }));
    let racks: Vec<Json> = std::iter::once(json!({ "name": rack })).chain(others).collect();
    let gears: Vec<Json> = gears.into_iter().map(|decl| gear(decl, rack)).collect();
    let text = json!({ "meta": meta(scenario), "racks": racks, "gears": gears, "wires": wires }).to_string();
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

/// The Rack or group that an end is on; none is each.
fn place_of<'a>(scenario: &'a Scenario, end: &'a Endpoint) -> Option<&'a str> {
    end.rack.as_deref().or_else(|| deploy_of(scenario.gear(&end.gear)?))
}

/// The places that a wire connects, where they differ.
pub(crate) fn crossed<'a>(scenario: &'a Scenario, route: &'a Route) -> Option<(&'a str, &'a str)> {
    let (from, to) = (place_of(scenario, &route.from)?, place_of(scenario, &route.to)?);
    (from != to).then_some((from, to))
}

/// What a wire is called on the bus: the Racks themselves call it so, and that of each member of a group is another one.
fn bus_name(route: &Route, member: Option<&Name>) -> String {
    let Some(member) = member else { return route.bus_name() };
    let id = Spanned::new(format!("{}-{member}", route.bus_name()), route.span);
    Route { id: Some(id), ..route.clone() }.bus_name()
}

fn meta(scenario: &Scenario) -> Json {
    let mut meta = Map::from_iter([("name".to_owned(), Json::from(scenario.meta.name.value.clone()))]);
    set(&mut meta, "version", scenario.meta.version.as_ref());
    Json::Object(meta)
}

fn gear(gear: &GearDecl, rack: &Name) -> Json {
    let mut json = Map::from_iter([
        ("name".to_owned(), Json::from(gear.name.value.clone())),
        ("type".to_owned(), Json::from(gear.kind.value.clone())),
        ("deploy".to_owned(), json!(rack)),
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

/// A wire inside the Rack. One that leads to other Racks as well is as safe here as there.
fn wire(route: &Route, is_crossing: bool) -> Json {
    let mut json = promises(route);
    json.insert("from".into(), end(None, &route.from));
    json.insert("to".into(), end(None, &route.to));
    set(&mut json, "id", route.id.as_ref());
    let lane = route.lane.as_ref().map(|lane| lane.value);
    if let Some(lane) = if is_crossing { Some(Lane::Durable) } else { lane } {
        json.insert("lane".into(), lane.word().into());
    }
    Json::Object(json)
}

/// A wire to another Rack, as a scenario of one Rack alone has it.
fn far_wire(route: &Route, rack: &Name, id: &str, from: &Name, to: &Name) -> Json {
    let far = |other| Some(other).filter(|other| *other != rack);
    let mut json = promises(route);
    json.insert("from".into(), end(far(from), &route.from));
    json.insert("to".into(), end(far(to), &route.to));
    json.insert("id".into(), id.into());
    Json::Object(json)
}

fn end(rack: Option<&Name>, end: &Endpoint) -> Json {
    let rack = rack.map_or_else(String::new, |rack| format!("{rack}."));
    format!("{rack}{}.{}", end.gear, end.port).into()
}

fn promises(route: &Route) -> Map<String, Json> {
    let ack = route.ack.as_ref().map(|ack| ("ack".to_owned(), Json::from(ack.value.word())));
    let dedupe = route.dedupe.as_ref().map(|dedupe| ("dedupe".to_owned(), Json::from(dedupe.value)));
    ack.into_iter().chain(dedupe).collect()
}

fn set(json: &mut Map<String, Json>, key: &str, value: Option<&Spanned<String>>) {
    if let Some(value) = value {
        json.insert(key.to_owned(), value.value.clone().into());
    }
}

#[cfg(test)]
mod tests {
    use flux_scenario::{Fuse, load};

    use super::*;

    const SCENARIO: &str = "
meta: {name: branch, version: 1.0.0}
racks: [{name: north}, {name: south}, {group: tills, match: {labels: {site: porto}}}]
gears:
  - {name: line, type: io_tcp, deploy: north, config: {mode: server, secret: north-only}}
  - {name: count, type: io_tcp, deploy: north, config: {mode: client, connect: '127.0.0.1:2'}}
  - {name: centre, type: io_tcp, deploy: south, config: {mode: client, connect: 'south-only:9'}}
  - {name: till, type: io_tcp, deploy: tills, config: {mode: client, connect: 'tills-only:1'}}
  - {name: all, type: 'null', config: {}}
wires:
  - {from: line.out, to: count.in, lane: durable, ack: os}
  - {id: w1, from: count.out, to: centre.in}
  - {from: centre.out, to: line.in}
  - {from: till.out, to: centre.in}
  - {id: news, from: centre.out, to: till.in}
";

    fn of(rack: &str, labels: &[(&str, &str)]) -> Option<Part> {
        let loaded = load("branch.yaml", SCENARIO);
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let tills = ["p7", "p8"].map(|till| Name::new(till).unwrap());
        let members = Members::from([("tills".to_owned(), tills.into())]);
        super::of(&loaded.scenario, &Name::new(rack).unwrap(), &labels, &members)
    }

    /// The wires of a part as the bus knows them, and as the Rack compiles them: they have to be the same.
    fn mesh(rack: &str, part: &Part) -> Vec<String> {
        let catalog = flux_gears::builtin().catalog();
        let text = part.text.replace(r#""secret":"north-only""#, r#""bind":"127.0.0.1:1""#);
        let loaded = load("part.yaml", text.as_bytes());
        let circuit = loaded.compile(Some(rack), &catalog, Fuse::On);
        let circuit = circuit.unwrap_or_else(|report| panic!("{}", report.render(false)));
        let compiled = circuit.wires.iter().filter_map(|wire| wire.mesh.as_ref());
        let compiled = compiled.map(|wire| format!("{} {}>{}", wire.wire, wire.from, wire.to));
        let told = part.wires.iter().map(|wire| format!("{} {}>{}", wire.wire, wire.from, wire.to));
        let told: Vec<String> = told.collect();
        assert_eq!(told, compiled.collect::<Vec<_>>());
        told
    }

    #[test]
    fn a_rack_gets_its_own_gears_and_the_names_at_the_ends_of_its_wires() {
        let part = of("north", &[]).unwrap();
        let again = load("part.yaml", &part.text);
        let names: Vec<&str> = again.scenario.gears.iter().map(|gear| gear.name.as_str()).collect();
        assert_eq!(names, ["line", "count", "all"]);
        assert_eq!(again.scenario.wires[0].name(), "line.out -> count.in");
        assert_eq!(again.scenario.wires[0].lane.as_ref().unwrap().value.word(), "durable");
        assert_eq!(mesh("north", &part), ["w1 north>south", "centre-out-line-in-ce6c1c90 south>north"]);
        assert!(!part.text.contains("south-only") && !part.text.contains("tills"));
    }

    #[test]
    fn a_group_is_those_who_have_its_labels() {
        let porto = [("site", "porto")];
        let till = of("p7", &porto).unwrap();
        assert!(till.text.contains("tills-only"));
        assert_eq!(mesh("p7", &till), ["till-out-centre-in-29eee827-p7 p7>south", "news-p7 south>p7"]);
        let south = of("south", &[]).unwrap();
        assert_eq!(
            mesh("south", &south),
            [
                "w1 north>south",
                "centre-out-line-in-ce6c1c90 south>north",
                "till-out-centre-in-29eee827-p7 p7>south",
                "till-out-centre-in-29eee827-p8 p8>south",
                "news-p7 south>p7",
                "news-p8 south>p8"
            ]
        );
        let scenario = load("both.yaml", SCENARIO.replace("deploy: south", "deploy: p7").as_bytes()).scenario;
        let tills = ["p7", "p8"].map(|till| Name::new(till).unwrap());
        let in_tills = Members::from([("tills".to_owned(), tills.into())]);
        let labels = BTreeMap::from([("site".to_owned(), "porto".to_owned())]);
        let both = super::of(&scenario, &Name::new("p7").unwrap(), &labels, &in_tills).unwrap();
        assert!(mesh("p7", &both).contains(&"news-p8 p7>p8".to_owned()));
        let local = r#"{"from":"centre.out","to":"till.in","id":"news","lane":"durable"}"#;
        assert!(both.text.contains(local), "as safe here as there: {}", both.text);
        let other = of("p7", &[("site", "faro")]).unwrap();
        assert!(!other.text.contains("only"), "{}", other.text);
        let loaded = load("x.yaml", "gears: [{name: a, type: log, deploy: north}]\nracks: [{name: north}]");
        let south = Name::new("south").unwrap();
        assert_eq!(super::of(&loaded.scenario, &south, &BTreeMap::new(), &Members::new()), None);
        let scenario = load("branch.yaml", SCENARIO).scenario;
        let porto = BTreeMap::from([("site".to_owned(), "porto".to_owned())]);
        let members =
            members(&scenario, || vec![(Name::new("p7").unwrap(), porto), (south, BTreeMap::new())]);
        assert_eq!(members["tills"].iter().map(Name::as_str).collect::<Vec<_>>(), ["p7"]);
    }
}
