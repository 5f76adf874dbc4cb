//! Where a message must end, told from the plan alone.

use std::fmt;

use crate::payload::Trail;
use crate::plan::{At, GearPlan, Plan, Promise, Trouble};

/// An end of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// It arrived at a gear that keeps it.
    Arrived {
        /// That gear.
        gear: usize,
        /// The gear whose error port it came by.
        failed_at: Option<usize>,
        /// The gears that marked it on its way.
        trail: Trail,
    },
    /// It is a dead letter.
    Dead {
        /// The gear that gave it up.
        gear: usize,
        /// Why.
        reason: &'static str,
        /// Another gear whose error port it came by.
        failed_at: Option<usize>,
        /// The gears that marked it on its way.
        trail: Trail,
    },
}

impl End {
    /// Whether it is a peer that has it.
    pub(crate) fn is_at_peer(&self, plan: &Plan) -> bool {
        matches!(self, End::Arrived { gear, .. } if plan.peer() == Some(*gear))
    }
}

/// An end a message must come to, and what the way there may do to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) end: End,
    /// Journals on the way, that of the dead letters included.
    pub(crate) journals: u32,
    /// Of those, how many after the last that leaves out what it carried before: each may multiply what a crash repeats.
    pub(crate) repeaters: u32,
    /// Whether one of them calls a message safe before the disk has it.
    pub(crate) is_os: bool,
    /// Whether only some versions lead there.
    pub(crate) is_optional: bool,
    /// Whether a reload may leave messages behind in a journal on the way, while later ones go another way.
    pub(crate) may_be_overtaken: bool,
}

/// What becomes of a message in a gear.
pub(crate) enum Outcome {
    /// It goes on.
    Done,
    /// It fails with this reason.
    Failed(&'static str),
}

impl Trouble {
    /// What becomes of the message in the end.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Trouble::Invalid => Outcome::Failed("ordered"),
            Trouble::TransientAlways => Outcome::Failed("transient"),
            Trouble::FatalAlways => Outcome::Failed("fatal"),
            Trouble::PanicAlways => Outcome::Failed("panic"),
            Trouble::WaitTooLong => Outcome::Failed("timeout"),
            Trouble::Transient(_) | Trouble::FatalOnce | Trouble::PanicOnce | Trouble::Wait(_) => {
                Outcome::Done
            }
        }
    }
}

/// A plan as messages see it.
pub(crate) struct Terrain<'a> {
    plan: &'a Plan,
    /// By wire.
    flipping: Vec<bool>,
    /// By gear.
    optional: Vec<bool>,
}

impl Terrain<'_> {
    pub(crate) fn new(plan: &Plan) -> Terrain<'_> {
        Terrain {
            flipping: (0..plan.wires.len()).map(|wire| plan.is_flipping(wire)).collect(),
            optional: (0..plan.gears.len()).map(|gear| plan.is_optional(gear)).collect(),
            plan,
        }
    }

    /// All ends of message `n` of a feed, once each: every one is told from the others by its trail.
    pub(crate) fn ends(&self, feed: usize, n: u32) -> Vec<Expected> {
        let mut walk = Walk { terrain: self, feed, n, ends: Vec::new() };
        walk.leave(feed, "out", Way::default());
        walk.ends
    }
}

/// The port at which a gear emits a message that it passes on.
pub(crate) fn port_of(gear: &GearPlan, n: u32) -> &'static str {
    match gear {
        GearPlan::Fork if n % 2 == 1 => "left",
        GearPlan::Fork => "right",
        GearPlan::Feed(_)
        | GearPlan::Caller(_)
        | GearPlan::Server(_)
        | GearPlan::Work { .. }
        | GearPlan::Shelf
        | GearPlan::Peer => "out",
    }
}

/// A message on its way.
#[derive(Clone, Copy, Default)]
struct Way {
    trail: Trail,
    failed_at: Option<usize>,
    journals: u32,
    repeaters: u32,
    is_os: bool,
    is_optional: bool,
    may_be_overtaken: bool,
}

struct Walk<'a> {
    terrain: &'a Terrain<'a>,
    feed: usize,
    n: u32,
    ends: Vec<Expected>,
}

impl Way {
    fn through(&mut self, promise: Promise, is_flipping: bool, may_forget: bool) {
        self.journals += 1;
        self.repeaters += 1;
        // One that is hot at times, or whose window may be short, lets everything through.
        if promise.dedupe && !is_flipping && !may_forget {
            self.repeaters = 1;
        }
        self.is_os |= promise.is_os;
        self.may_be_overtaken |= is_flipping;
    }
}

impl Walk<'_> {
    fn leave(&mut self, gear: usize, port: &str, way: Way) {
        let Terrain { plan, flipping, optional } = self.terrain;
        let mut is_wired = false;
        for (at, wire) in plan.wires.iter().enumerate() {
            if (wire.from, wire.port) != (gear, port) {
                continue;
            }
            is_wired = true;
            let mut way = way;
            if let Some(promise) = wire.durable {
                way.through(promise, flipping[at], plan.knobs.journal_kib.is_some());
            }
            // A gear that passes on as it is may be left out without a difference; a shelf may not.
            way.is_optional |= optional[wire.to] && plan.gears[wire.to] == GearPlan::Shelf;
            self.enter(wire.to, way);
        }
        if !is_wired {
            let Way { failed_at, trail, .. } = way;
            self.end(End::Dead { gear, reason: "no_wire", failed_at, trail }, way);
        }
    }

    fn enter(&mut self, gear: usize, way: Way) {
        let plan = self.terrain.plan;
        let trouble = plan.troubles.get(&At { gear, feed: self.feed, n: self.n });
        if let Some(Outcome::Failed(reason)) = trouble.map(|trouble| trouble.outcome()) {
            return match plan.wires_from(gear, "error").next() {
                Some(_) => self.leave(gear, "error", Way { failed_at: Some(gear), ..way }),
                None => {
                    let Way { failed_at, trail, .. } = way;
                    self.end(End::Dead { gear, reason, failed_at, trail }, way);
                }
            };
        }
        match &plan.gears[gear] {
            GearPlan::Work { marks: false, .. } => self.leave(gear, "out", way),
            kind @ (GearPlan::Work { .. } | GearPlan::Fork) => {
                self.leave(gear, port_of(kind, self.n), Way { trail: way.trail.and(gear), ..way });
            }
            GearPlan::Feed(_)
            | GearPlan::Caller(_)
            | GearPlan::Server(_)
            | GearPlan::Shelf
            | GearPlan::Peer => {
                let Way { trail, failed_at, .. } = way;
                self.end(End::Arrived { gear, failed_at, trail }, way);
            }
        }
    }

    fn end(&mut self, end: End, mut way: Way) {
        if matches!(end, End::Dead { .. }) && self.terrain.plan.knobs.has_letters_on_disk {
            way.through(Promise { is_os: false, dedupe: false }, false, false);
            // Their journal is kept short: a letter that stays moves behind later ones.
            way.may_be_overtaken = true;
        }
        let Way { journals, repeaters, is_os, is_optional, may_be_overtaken, .. } = way;
        self.ends.push(Expected { end, journals, repeaters, is_os, is_optional, may_be_overtaken });
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Arrived { gear, failed_at: None, trail } => write!(f, "{trail}g{gear}"),
            End::Arrived { gear, failed_at: Some(failed), trail } => {
                write!(f, "{trail}g{gear} by the error port of g{failed}")
            }
            End::Dead { gear, reason, failed_at: None, trail } => {
                write!(f, "{trail}dead letter of g{gear} ({reason})")
            }
            End::Dead { gear, reason, failed_at: Some(failed), trail } => {
                write!(f, "{trail}dead letter of g{gear} ({reason}) by the error port of g{failed}")
            }
        }
    }
}
