//! What a rack is connected to, and what goes wrong with the lines: a peer beside the way, on a durable wire, and a client in
//! the place of a source.
//!
//! Drawn last, and each from a stream of its own: the rest of a seed does not depend on whether it has one.

use std::collections::BTreeSet;

use crate::chance::Chance;
use crate::payload::GEARS_MAX;
use crate::plan::{Act, FeedPlan, GearPlan, Life, LineFault, Plan, Promise, WirePlan};

/// What tells their streams from that of the plan.
const PEER: u64 = 0x1217;
const CLIENT: u64 = 0x2BED;

pub(super) fn add(seed: u64, plan: &mut Plan) {
    let (of_peer, of_client) = (Chance::new(seed ^ PEER), Chance::new(seed ^ CLIENT));
    let has_peer = of_peer.one_in(3) && peer(&of_peer, plan);
    let has_client = of_client.one_in(3) && client(&of_client, plan);
    let messages = plan.messages();
    match (has_peer, has_client) {
        (true, _) => plan.lives.iter_mut().for_each(|life| faults(&of_peer, messages, life)),
        (false, true) => plan.lives.iter_mut().for_each(|life| faults(&of_client, messages, life)),
        (false, false) => {}
    }
}

/// Whether there is a place for it.
fn peer(chance: &Chance, plan: &mut Plan) -> bool {
    let left_out: BTreeSet<usize> =
        plan.versions.iter().flat_map(|version| &version.without).copied().collect();
    // A gear that may be left out stands alone behind its port.
    let is_free = |wire: &&WirePlan| {
        let mut beside = plan.wires_from(wire.from, wire.port);
        wire.port != "error" && !left_out.contains(&wire.from) && !beside.any(|it| left_out.contains(&it.to))
    };
    let ports: Vec<(usize, &'static str)> =
        plan.wires.iter().filter(is_free).map(|wire| (wire.from, wire.port)).collect();
    if plan.gears.len() >= GEARS_MAX || ports.is_empty() {
        return false;
    }
    let (from, port) = chance.pick(&ports);
    let dedupe = chance.one_in(3) && plan.ways_to(from) <= 1;
    let durable = Some(Promise { is_os: chance.one_in(6), dedupe });
    let peer = plan.gears.len();
    plan.gears.push(GearPlan::Peer);
    plan.wires.push(WirePlan { from, port, to: peer, durable });
    revise(chance, plan, peer);
    true
}

/// Whether there is a source whose place it can take. What it sends has no metadata, and so no key.
fn client(chance: &Chance, plan: &mut Plan) -> bool {
    let has_keys = plan.gears.iter().any(|gear| matches!(gear, GearPlan::Work { parallel: 2.., .. }));
    let feeds = plan.gears.iter().enumerate().filter(|(_, gear)| matches!(gear, GearPlan::Feed(_)));
    let feeds: Vec<usize> = feeds.map(|(place, _)| place).collect();
    if has_keys || feeds.is_empty() {
        return false;
    }
    let place = chance.pick(&feeds);
    if let Some(feed) = plan.feed(place).cloned() {
        plan.gears[place] = GearPlan::Server(FeedPlan { is_tracked: true, resends: true, ..feed });
    }
    revise(chance, plan, place);
    true
}

fn revise(chance: &Chance, plan: &mut Plan, gear: usize) {
    for version in plan.versions.iter_mut().skip(1).filter(|_| chance.one_in(3)) {
        version.revised.insert(gear);
    }
}

fn faults(chance: &Chance, messages: u32, life: &mut Life) {
    let last = life.end.events().unwrap_or(messages * 6);
    for _ in 0..chance.pick(&[0, 1, 1, 2, 4]) {
        life.acts.push((chance.between(0..=last), Act::Line(fault(chance))));
    }
    life.acts.sort_by_key(|(events, _)| *events);
}

fn fault(chance: &Chance) -> LineFault {
    match chance.between(0..=6) {
        0 | 1 => LineFault::Reset,
        2 => LineFault::Unplug,
        3 => LineFault::Part(chance.between(1..=5_000)),
        4 => LineFault::Refuse(chance.between(1..=3_000)),
        5 => LineFault::Deaf(chance.between(1..=5_000)),
        _ => LineFault::Slow(chance.between(1..=50)),
    }
}
