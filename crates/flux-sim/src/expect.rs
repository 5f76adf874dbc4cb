//! Where a message must end, told from the plan alone.

use std::fmt;

use crate::payload::Trail;
use crate::plan::{At, GearPlan, Plan, Trouble};

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
        /// The gears that marked it on its way.
        trail: Trail,
    },
}

/// An end a message must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) end: End,
    /// Whether the first wire on the way is durable.
    pub(crate) is_safe_when_emitted: bool,
    /// Durable wires on the way.
    pub(crate) durable_wires: u32,
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

/// A message on its way.
#[derive(Clone, Copy)]
struct Way {
    trail: Trail,
    failed_at: Option<usize>,
    is_safe_when_emitted: Option<bool>,
    durable_wires: u32,
}

/// All ends of message `n` of a feed, once each: every one is told from the others by its trail.
pub(crate) fn ends(plan: &Plan, feed: usize, n: u32) -> Vec<Expected> {
    let mut walk = Walk { plan, feed, n, ends: Vec::new() };
    let way = Way { trail: Trail::default(), failed_at: None, is_safe_when_emitted: None, durable_wires: 0 };
    walk.leave(feed, "out", way);
    walk.ends
}

/// The port at which a gear emits a message that it passes on.
pub(crate) fn port_of(gear: &GearPlan, n: u32) -> &'static str {
    match gear {
        GearPlan::Fork if n % 2 == 1 => "left",
        GearPlan::Fork => "right",
        GearPlan::Feed(_) | GearPlan::Caller(_) | GearPlan::Work { .. } | GearPlan::Shelf => "out",
    }
}

struct Walk<'a> {
    plan: &'a Plan,
    feed: usize,
    n: u32,
    ends: Vec<Expected>,
}

impl Walk<'_> {
    fn leave(&mut self, gear: usize, port: &str, way: Way) {
        let mut is_wired = false;
        for wire in self.plan.wires_from(gear, port) {
            is_wired = true;
            let mut way = way;
            way.is_safe_when_emitted.get_or_insert(wire.is_durable);
            way.durable_wires += u32::from(wire.is_durable);
            self.enter(wire.to, way);
        }
        if !is_wired {
            self.end(End::Dead { gear, reason: "no_wire", trail: way.trail }, way);
        }
    }

    fn enter(&mut self, gear: usize, way: Way) {
        let trouble = self.plan.troubles.get(&At { gear, feed: self.feed, n: self.n });
        if let Some(Outcome::Failed(reason)) = trouble.map(|trouble| trouble.outcome()) {
            return match self.plan.wires_from(gear, "error").next() {
                Some(_) => self.leave(gear, "error", Way { failed_at: Some(gear), ..way }),
                None => self.end(End::Dead { gear, reason, trail: way.trail }, way),
            };
        }
        match &self.plan.gears[gear] {
            GearPlan::Work { marks: false, .. } => self.leave(gear, "out", way),
            kind @ (GearPlan::Work { .. } | GearPlan::Fork) => {
                self.leave(gear, port_of(kind, self.n), Way { trail: way.trail.and(gear), ..way });
            }
            GearPlan::Feed(_) | GearPlan::Caller(_) | GearPlan::Shelf => {
                let Way { trail, failed_at, .. } = way;
                self.end(End::Arrived { gear, failed_at, trail }, way);
            }
        }
    }

    fn end(&mut self, end: End, way: Way) {
        self.ends.push(Expected {
            end,
            is_safe_when_emitted: way.is_safe_when_emitted == Some(true),
            durable_wires: way.durable_wires,
        });
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Arrived { gear, failed_at: None, trail } => write!(f, "{trail}g{gear}"),
            End::Arrived { gear, failed_at: Some(failed), trail } => {
                write!(f, "{trail}g{gear} by the error port of g{failed}")
            }
            End::Dead { gear, reason, trail } => write!(f, "{trail}dead letter of g{gear} ({reason})"),
        }
    }
}
