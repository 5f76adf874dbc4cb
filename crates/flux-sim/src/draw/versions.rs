//! The versions a rack is told to become: other gears, other lanes, other tasks, and some that cannot run.

use std::collections::BTreeSet;

use crate::chance::Chance;
use crate::payload::GEARS_MAX;
use crate::plan::{Broken, GearPlan, Plan, Version, WirePlan};

/// Gears that a version may leave out without a difference to any message but at themselves: those that pass on as it is
/// and stand alone behind a port, and shelves beside the way, which this adds.
pub(super) fn leavable(chance: &Chance, plan: &mut Plan) -> BTreeSet<usize> {
    let mut leavable: BTreeSet<usize> = (0..plan.gears.len()).filter(|&gear| plan.is_passing(gear)).collect();
    let ports: Vec<(usize, &'static str)> = plan.wires.iter().map(|wire| (wire.from, wire.port)).collect();
    for _ in 0..chance.pick(&[0, 0, 1, 2]) {
        let (from, port) = chance.pick(&ports);
        // What follows a branch is marked, so that no gear without a mark may come to stand there.
        let is_taken =
            leavable.contains(&from) || plan.wires_from(from, port).any(|wire| leavable.contains(&wire.to));
        if plan.gears.len() < GEARS_MAX && !is_taken {
            let shelf = plan.gears.len();
            plan.gears.push(GearPlan::Shelf);
            plan.wires.push(WirePlan { from, port, to: shelf, durable: None });
            leavable.insert(shelf);
        }
    }
    leavable
}

/// The first version has everything; each of the others differs from it.
pub(super) fn draw(chance: &Chance, plan: &Plan, leavable: &BTreeSet<usize>) -> Vec<Version> {
    let mut versions = vec![Version { fuse: !chance.one_in(3), ..Version::default() }];
    let flips = chance.one_in(2);
    for _ in 0..chance.between(1..=3) {
        let mut version = Version { fuse: chance.one_in(2), ..Version::default() };
        version.without = leavable.iter().copied().filter(|_| chance.one_in(2)).collect();
        let durable = (0..plan.wires.len()).filter(|&wire| plan.wires[wire].durable.is_some());
        version.hot = durable.filter(|_| flips && chance.one_in(3)).collect();
        version.revised = middle(plan).filter(|_| chance.one_in(3)).collect();
        version.parallel = chance.one_in(3).then(|| chance.between(2..=4) as u16);
        versions.push(version);
    }
    for _ in 0..chance.pick(&[0, 1, 1]) {
        let like = chance.pick(&versions);
        let candidates: Vec<usize> = middle(plan).filter(|gear| !like.without.contains(gear)).collect();
        let broken = Broken { gear: chance.pick(&candidates), is_late: chance.one_in(2) };
        versions.push(Version { broken: Some(broken), ..like });
    }
    versions
}

/// Gears that are no source.
fn middle(plan: &Plan) -> impl Iterator<Item = usize> {
    (0..plan.gears.len()).filter(|&gear| plan.feed(gear).is_none())
}
