//! From a seed to a plan: topology, load, troubles, knobs, versions and lives.

use std::collections::{BTreeMap, BTreeSet};

use crate::chance::Chance;
use crate::expect::{Outcome, port_of};
use crate::payload::GEARS_MAX;
use crate::plan::{At, FeedPlan, GearPlan, Knobs, Plan, Promise, Trouble, WirePlan};

mod lines;
mod lives;
mod versions;

/// Messages a plan has at least, all sources together.
const MESSAGES_MIN: u32 = 1_000;

/// The plan of a seed.
pub fn draw(seed: u64) -> Plan {
    let chance = Chance::new(seed);
    let mut plan = Plan {
        world_seed: chance.seed(),
        gears: Vec::new(),
        wires: Vec::new(),
        troubles: BTreeMap::new(),
        knobs: knobs(&chance),
        versions: Vec::new(),
        lives: Vec::new(),
    };
    topology(&chance, &mut plan);
    let leavable = versions::leavable(&chance, &mut plan);
    troubles(&chance, &mut plan, &leavable);
    journals(&chance, &mut plan);
    plan.versions = versions::draw(&chance, &plan, &leavable);
    patience(&chance, &mut plan);
    plan.lives = lives::draw(&chance, &plan);
    lines::add(seed, &mut plan);
    debug_assert!(plan.is_sound(), "seed {seed}");
    plan
}

fn knobs(chance: &Chance) -> Knobs {
    Knobs {
        queue_messages: chance.pick(&[1, 2, 7, 64, 64, 1024]),
        batch_messages: chance.pick(&[1, 2, 16, 64, 64, 64]),
        attempts: chance.between(2..=5),
        dead_letters: chance.pick(&[1, 5, 10_000, 10_000]),
        drain_ms: chance.pick(&[30_000, 30_000, 30_000, 500]),
        sync_us: chance.skewed(5_000),
        has_letters_on_disk: !chance.one_in(4),
        segment_kib: chance.pick(&[64, 64, 256, 1_024]),
        journal_kib: chance.one_in(4).then(|| chance.between(2..=8)).map(|segments| segments * 1_024),
        window_messages: chance.pick(&[1, 10, 100, 8_192, 8_192]),
        looks_ms: chance.pick(&[10, 50, 300]),
    }
}

/// Sources, then gears in the middle, each behind one or two earlier ones, then sinks.
fn topology(chance: &Chance, plan: &mut Plan) {
    let feeds = chance.between(1..=2) as usize;
    let middle = chance.between(1..=5) as usize;
    let shares = MESSAGES_MIN.div_ceil(feeds as u32);
    for _ in 0..feeds {
        let feed = feed(chance, shares);
        let is_caller = chance.one_in(4);
        plan.gears.push(if is_caller { GearPlan::Caller(feed) } else { GearPlan::Feed(feed) });
    }
    for _ in 0..middle {
        let place = plan.gears.len();
        let inputs = chance.between(1..=2);
        plan.gears.push(worker(chance));
        for _ in 0..inputs {
            let from = chance.between(0..=place as u32 - 1) as usize;
            connect(chance, plan, from, place);
        }
    }
    plan.gears.push(GearPlan::Shelf);
    let shelf = plan.gears.len() - 1;
    for gear in 0..shelf {
        finish(chance, plan, gear, shelf);
    }
    mark_branches(plan);
    debug_assert!(plan.gears.len() <= GEARS_MAX, "every gear has a mark");
}

fn feed(chance: &Chance, messages: u32) -> FeedPlan {
    FeedPlan {
        messages: messages + chance.skewed(500),
        burst: chance.pick(&[1, 7, 64, 300]),
        pause_us: chance.pick(&[0, 0, 100, 3_000]),
        bytes_max: chance.pick(&[0, 40, 300, 2_000]),
        keys: chance.pick(&[1, 3, 20]),
        is_tracked: chance.one_in(2),
        resends: !chance.one_in(3),
    }
}

fn worker(chance: &Chance) -> GearPlan {
    match chance.between(0..=9) {
        0 | 1 => GearPlan::Fork,
        2 | 3 => GearPlan::Work { marks: true, parallel: chance.between(2..=4) as u16 },
        4..=6 => GearPlan::Work { marks: true, parallel: 1 },
        _ => GearPlan::Work { marks: false, parallel: 1 },
    }
}

/// A wire from a gear's ordinary output, unless it is there.
fn connect(chance: &Chance, plan: &mut Plan, from: usize, to: usize) {
    let port = match plan.gears[from] {
        GearPlan::Fork => chance.pick(&["left", "right"]),
        _ => "out",
    };
    add(plan, from, port, to);
}

fn add(plan: &mut Plan, from: usize, port: &'static str, to: usize) {
    let wire = WirePlan { from, port, to, durable: None };
    if !plan.wires.contains(&wire) {
        plan.wires.push(wire);
    }
}

/// Wires what nothing takes yet, and some error ports. What stays without a wire makes dead letters.
fn finish(chance: &Chance, plan: &mut Plan, gear: usize, shelf: usize) {
    let ports = match plan.gears[gear] {
        GearPlan::Fork => vec![port_of(&GearPlan::Fork, 0), port_of(&GearPlan::Fork, 1)],
        _ => vec!["out"],
    };
    for port in ports {
        let is_wired = plan.wires_from(gear, port).next().is_some();
        if !is_wired && (gear == 0 || !chance.one_in(12)) {
            add(plan, gear, port, end_for(chance, plan, gear, shelf));
        }
    }
    if plan.feed(gear).is_none() && chance.one_in(2) {
        add(plan, gear, "error", shelf);
    }
}

/// Where a way ends: at the shelf, or with a caller, whose own request it then answers.
fn end_for(chance: &Chance, plan: &Plan, gear: usize, shelf: usize) -> usize {
    let is_caller = |place: &usize| matches!(plan.gears[*place], GearPlan::Caller(_));
    let callers: Vec<usize> = (0..plan.gears.len()).filter(is_caller).collect();
    let goes_back = plan.feed(gear).is_none() && !callers.is_empty() && !chance.one_in(4);
    if goes_back { chance.pick(&callers) } else { shelf }
}

/// Ways that part and meet again are told apart by marks: every gear on a branch has one.
fn mark_branches(plan: &mut Plan) {
    let wires = plan.wires.clone();
    let is_branch = |wire: &WirePlan| {
        wires.iter().filter(|other| (other.from, other.port) == (wire.from, wire.port)).count() > 1
    };
    for wire in wires.iter().filter(|wire| is_branch(wire)) {
        if let GearPlan::Work { marks, .. } = &mut plan.gears[wire.to] {
            *marks = true;
        }
    }
}

fn troubles(chance: &Chance, plan: &mut Plan, leavable: &BTreeSet<usize>) {
    let feeds: Vec<usize> = (0..plan.gears.len()).filter(|&gear| plan.feed(gear).is_some()).collect();
    let share = chance.pick(&[0, 3, 10, 40]);
    for _ in 0..share {
        let feed = chance.pick(&feeds);
        let messages = plan.feed(feed).map_or(0, |feed| feed.messages);
        let gear = chance.between(0..=plan.gears.len() as u32 - 1) as usize;
        let n = chance.between(0..=messages - 1);
        let trouble = trouble(chance, plan, gear);
        // Where a gear may not be, nothing may depend on it.
        let is_harmless = matches!(trouble.outcome(), Outcome::Done);
        if !matches!(plan.gears[gear], GearPlan::Feed(_)) && (is_harmless || !leavable.contains(&gear)) {
            plan.troubles.insert(At { gear, feed, n }, trouble);
        }
    }
}

fn trouble(chance: &Chance, plan: &Plan, gear: usize) -> Trouble {
    let may_wait = matches!(plan.gears[gear], GearPlan::Work { .. });
    match chance.between(0..=if may_wait { 11 } else { 8 }) {
        0..=2 => Trouble::Invalid,
        3 | 4 => Trouble::Transient(chance.between(1..=plan.knobs.attempts - 1)),
        5 => Trouble::TransientAlways,
        6 => Trouble::FatalOnce,
        7 => Trouble::PanicOnce,
        // A source that dies of a message of its own sends it again, and so would never end.
        8 if plan.feed(gear).is_some() => Trouble::Invalid,
        8 => chance.pick(&[Trouble::FatalAlways, Trouble::PanicAlways]),
        9 | 10 => Trouble::Wait(chance.between(1..=200)),
        _ => Trouble::WaitTooLong,
    }
}

/// What a durable wire brought waits for as long as a fault is the world's. So such a fault passes there, sooner or later.
fn patience(chance: &Chance, plan: &mut Plan) {
    let gears: Vec<(bool, bool)> =
        (0..plan.gears.len()).map(|gear| (plan.may_be_patient(gear), plan.is_patient(gear))).collect();
    for (at, trouble) in &mut plan.troubles {
        let (may_be, is) = gears[at.gear];
        let times = match trouble {
            Trouble::TransientAlways | Trouble::WaitTooLong if may_be => 1,
            Trouble::Transient(times) if is && chance.one_in(2) => *times,
            _ => continue,
        };
        let passes = if is { times + chance.between(0..=3 * plan.knobs.attempts) } else { times };
        *trouble = Trouble::Transient(passes);
    }
}

/// Which wires are durable: at least one.
fn journals(chance: &Chance, plan: &mut Plan) {
    let sure = chance.between(0..=plan.wires.len() as u32 - 1) as usize;
    let share = chance.pick(&[2, 3, 6]);
    let ways: Vec<u32> = plan.wires.iter().map(|wire| plan.ways_to(wire.from)).collect();
    for (at, wire) in plan.wires.iter_mut().enumerate() {
        let is_durable = at == sure || chance.one_in(share);
        // Where ways that parted meet again, a wire has copies of one message, which have the same id.
        let dedupe = chance.one_in(3) && ways[at] <= 1;
        wire.durable = is_durable.then_some(Promise { is_os: chance.one_in(6), dedupe });
    }
}
