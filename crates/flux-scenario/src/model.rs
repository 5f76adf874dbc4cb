//! A scenario joined with its catalog: each gear with its kind and ports, each route with the indexes of its ends.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, GearPorts, Manifest};
use crate::scenario::{Endpoint, GearDecl, Lane, Route, Scenario};

pub(crate) struct Model<'a> {
    pub(crate) scenario: &'a Scenario,
    /// One per declaration, in the order written.
    pub(crate) gears: Vec<GearView<'a>>,
    /// The first gear of each name.
    by_name: BTreeMap<&'a str, usize>,
}

pub(crate) struct GearView<'a> {
    pub(crate) decl: &'a GearDecl,
    /// None when the kind is unknown.
    pub(crate) manifest: Option<&'a Manifest>,
    /// None when the kind is unknown.
    pub(crate) ports: Option<GearPorts>,
}

/// A route whose four names all exist, or are those of an external rack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joint<'a> {
    pub(crate) route: &'a Route,
    /// Gear and output index; none where the gear is declared elsewhere.
    pub(crate) from: Option<(usize, usize)>,
    /// Gear and input index; none where the gear is declared elsewhere.
    pub(crate) to: Option<(usize, usize)>,
}

impl Joint<'_> {
    /// The gears it connects, when both are declared here.
    pub(crate) fn inner(&self) -> Option<(usize, usize)> {
        Some((self.from?.0, self.to?.0))
    }
}

impl<'a> Model<'a> {
    pub(crate) fn new(scenario: &'a Scenario, catalog: &'a Catalog) -> Self {
        let mut by_name = BTreeMap::new();
        let mut gears = Vec::with_capacity(scenario.gears.len());
        for (index, decl) in scenario.gears.iter().enumerate() {
            by_name.entry(decl.name.value.as_str()).or_insert(index);
            let manifest = catalog.get(&decl.kind);
            let ports = manifest.map(|manifest| manifest.ports_of(&decl.config, &decl.ports));
            gears.push(GearView { decl, manifest, ports });
        }
        Model { scenario, gears, by_name }
    }

    pub(crate) fn index(&self, gear: &str) -> Option<usize> {
        self.by_name.get(gear).copied()
    }

    /// The names of all gears, in order of name.
    pub(crate) fn names(&self) -> Vec<&'a str> {
        self.by_name.keys().copied().collect()
    }

    /// The routes whose gears and ports all exist, in the order written.
    pub(crate) fn joints(&self) -> Vec<Joint<'a>> {
        self.scenario.wires.iter().filter_map(|route| self.joint(route)).collect()
    }

    fn joint(&self, route: &'a Route) -> Option<Joint<'a>> {
        let end = |end: &Endpoint, port: fn(&GearPorts, &str) -> Option<usize>| {
            if self.is_external(end) {
                return Some(None);
            }
            let gear = self.index(&end.gear)?;
            Some(Some((gear, port(self.gears[gear].ports.as_ref()?, &end.port)?)))
        };
        let (from, to) = (end(&route.from, GearPorts::output)?, end(&route.to, GearPorts::input)?);
        from.or(to)?;
        Some(Joint { route, from, to })
    }

    /// Whether an end is a gear that another scenario declares; one of that name may be here as well.
    pub(crate) fn is_external(&self, end: &Endpoint) -> bool {
        end.rack.as_deref().is_some_and(|rack| self.external_racks().contains(&rack))
    }

    /// Whether a place is a group, of which a Mixer alone knows who is in it.
    pub(crate) fn is_group(&self, place: &str) -> bool {
        self.scenario.racks.iter().any(|rack| rack.is_group && rack.name.value == place)
    }

    /// The racks that another scenario is for.
    pub(crate) fn external_racks(&self) -> Vec<&'a str> {
        let external = self.scenario.racks.iter().filter(|rack| rack.is_external);
        external.map(|rack| rack.name.value.as_str()).collect()
    }

    /// Whether `process` of the source may put something on this wire.
    pub(crate) fn emits_from_process(&self, joint: &Joint<'_>) -> bool {
        joint.from.is_some_and(|(gear, output)| {
            let ports = self.gears[gear].ports.as_ref().expect("a joint has known kinds");
            ports.outputs[output].emits.from_process()
        })
    }

    /// The rack an end is on; none means every rack.
    pub(crate) fn rack_of<'r>(&'r self, end: &'r Endpoint) -> Option<&'r str> {
        let deployed =
            || self.gears[self.index(&end.gear)?].decl.deploy.as_ref().map(|rack| rack.value.as_str());
        end.rack.as_deref().or_else(deployed)
    }

    /// The two racks a route connects, when they differ.
    pub(crate) fn racks_crossed<'r>(&'r self, route: &'r Route) -> Option<(&'r str, &'r str)> {
        let (from, to) = (self.rack_of(&route.from)?, self.rack_of(&route.to)?);
        (from != to).then_some((from, to))
    }

    /// How a route carries signals: between racks over the mesh, where it does not ask for what cannot be.
    pub(crate) fn lane(&self, route: &Route) -> Lane {
        let written = route.lane.as_ref().map(|lane| lane.value);
        match self.racks_crossed(route) {
            None => written.unwrap_or(Lane::Hot),
            Some(_) => Lane::Mesh,
        }
    }

    /// The racks that this scenario is for: those declared, or, when none is, those that gears are deployed to.
    pub(crate) fn racks(&self) -> Vec<&'a str> {
        let mut racks: Vec<&str> = if self.scenario.racks.is_empty() {
            let deployed = self.scenario.gears.iter().filter_map(|gear| gear.deploy.as_ref());
            deployed.map(|rack| rack.value.as_str()).collect()
        } else {
            let ours = self.scenario.racks.iter().filter(|rack| !rack.is_external);
            ours.map(|rack| rack.name.value.as_str()).collect()
        };
        racks.sort_unstable();
        racks.dedup();
        racks
    }
}
