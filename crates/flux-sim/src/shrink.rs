//! Makes a plan smaller for as long as it breaks the same rule.

use crate::plan::{FeedPlan, GearPlan, LifeEnd, Plan};
use crate::rules::Rule;
use crate::run;

/// Runs the search may take.
const RUNS_MAX: usize = 600;

/// The smallest plan found that breaks `rule` as `plan` does.
pub fn shrink(plan: &Plan, rule: Rule) -> Plan {
    let mut search = Search { best: plan.clone(), rule, runs: 0 };
    loop {
        let before = search.best.clone();
        search.lives();
        search.troubles();
        search.gears();
        search.wires();
        search.load();
        search.ends();
        if search.best == before || search.runs >= RUNS_MAX {
            return search.best;
        }
    }
}

struct Search {
    best: Plan,
    rule: Rule,
    runs: usize,
}

impl Search {
    /// Keeps the candidate if it still fails, in whatever message.
    fn try_plan(&mut self, candidate: Plan) -> bool {
        if candidate == self.best || self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        let outcome = run(&candidate);
        let is_same = outcome.violations.first().is_some_and(|violation| violation.rule == self.rule);
        if is_same {
            self.best = candidate;
        }
        is_same
    }

    fn try_edit(&mut self, edit: impl FnOnce(&mut Plan)) -> bool {
        let mut candidate = self.best.clone();
        edit(&mut candidate);
        self.try_plan(candidate)
    }

    /// Leaves lives out, all but one first.
    fn lives(&mut self) {
        for keep in 0..self.best.lives.len() {
            if self.try_edit(|plan| plan.lives = vec![plan.lives[keep].clone()]) {
                return;
            }
        }
        let mut at = 0;
        while at < self.best.lives.len() {
            let is_gone = self.best.lives.len() > 1
                && self.try_edit(|plan| {
                    plan.lives.remove(at);
                });
            at += usize::from(!is_gone);
        }
    }

    /// Leaves troubles out: halves, quarters, one by one.
    fn troubles(&mut self) {
        let mut chunk = self.best.troubles.len();
        while chunk > 0 {
            let mut at = 0;
            while at < self.best.troubles.len() {
                let gone: Vec<_> = self.best.troubles.keys().skip(at).take(chunk).copied().collect();
                let is_gone = self.try_edit(|plan| plan.troubles.retain(|at, _| !gone.contains(at)));
                if !is_gone {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
    }

    /// Takes gears in the middle out: what led to them leads to where they led.
    fn gears(&mut self) {
        let mut gear = self.best.gears.len();
        while gear > 0 {
            gear -= 1;
            let candidate = without(&self.best, gear);
            self.try_plan(candidate);
        }
    }

    fn wires(&mut self) {
        let mut at = 0;
        while at < self.best.wires.len() {
            let is_gone = self.try_edit(|plan| {
                plan.wires.remove(at);
            });
            at += usize::from(!is_gone);
        }
    }

    /// Sends fewer and plainer messages.
    fn load(&mut self) {
        for gear in 0..self.best.gears.len() {
            let Some(messages) = self.best.feed(gear).map(|feed| feed.messages) else { continue };
            let mut step = messages;
            while step > 0 {
                self.edit_feed(gear, |feed| feed.messages = feed.messages.saturating_sub(step).max(1));
                step /= 2;
            }
            self.edit_feed(gear, |feed| (feed.bytes_max, feed.keys) = (0, 1));
            self.edit_feed(gear, |feed| feed.pause_us = 0);
            self.edit_feed(gear, |feed| feed.burst = 1);
        }
    }

    fn edit_feed(&mut self, gear: usize, edit: impl FnOnce(&mut FeedPlan)) {
        self.try_edit(|plan| {
            if let GearPlan::Feed(feed) | GearPlan::Caller(feed) = &mut plan.gears[gear] {
                edit(feed);
            }
        });
    }

    /// Lets lives end earlier.
    fn ends(&mut self) {
        for at in 0..self.best.lives.len() {
            let events = |end| match end {
                LifeEnd::Crash { events } | LifeEnd::Drain { events } => events,
                LifeEnd::Finish => 0,
            };
            let mut step = events(self.best.lives[at].end) / 2;
            while step > 0 {
                self.try_edit(|plan| {
                    if let LifeEnd::Crash { events } | LifeEnd::Drain { events } = &mut plan.lives[at].end {
                        *events = events.saturating_sub(step).max(1);
                    }
                });
                step /= 2;
            }
        }
    }
}

/// The plan without one gear; places after it move up.
fn without(plan: &Plan, gear: usize) -> Plan {
    let mut plan = plan.clone();
    let leads_to: Vec<usize> = plan.wires_from(gear, "out").map(|wire| wire.to).collect();
    let mut wires = Vec::new();
    for wire in &plan.wires {
        if wire.from == gear {
            continue;
        }
        if wire.to == gear {
            wires.extend(leads_to.iter().map(|&to| crate::plan::WirePlan { to, ..wire.clone() }));
        } else {
            wires.push(wire.clone());
        }
    }
    let moved = |place: usize| place - usize::from(place > gear);
    wires.retain(|wire| wire.from != gear && wire.to != gear && wire.from != wire.to);
    for wire in &mut wires {
        (wire.from, wire.to) = (moved(wire.from), moved(wire.to));
    }
    wires.dedup();
    plan.wires = wires;
    plan.gears.remove(gear);
    let troubles = plan.troubles.into_iter().filter(|(at, _)| at.gear != gear && at.feed != gear);
    let moved_at =
        |at: crate::plan::At| crate::plan::At { gear: moved(at.gear), feed: moved(at.feed), n: at.n };
    plan.troubles = troubles.map(|(at, trouble)| (moved_at(at), trouble)).collect();
    plan
}
