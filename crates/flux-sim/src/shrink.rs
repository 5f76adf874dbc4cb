//! Makes a plan smaller for as long as it breaks the same rule.

use std::collections::BTreeSet;

use crate::plan::{At, Broken, FeedPlan, GearPlan, LifeEnd, Plan, Version, WirePlan};
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
        search.acts();
        search.troubles();
        search.gears();
        search.wires();
        search.lanes();
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
        if candidate == self.best || self.runs >= RUNS_MAX || !candidate.is_sound() {
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
                for version in &mut plan.versions {
                    version.hot = moved(&version.hot, at);
                }
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
            if let GearPlan::Feed(feed) | GearPlan::Caller(feed) | GearPlan::Server(feed) =
                &mut plan.gears[gear]
            {
                edit(feed);
            }
        });
    }

    /// Lets lives end earlier.
    fn ends(&mut self) {
        for at in 0..self.best.lives.len() {
            let mut step = self.best.lives[at].end.events().unwrap_or(0) / 2;
            while step > 0 {
                self.try_edit(|plan| {
                    let (LifeEnd::Crash { events, .. }
                    | LifeEnd::Kill { events }
                    | LifeEnd::Drain { events }) = &mut plan.lives[at].end
                    else {
                        return;
                    };
                    *events = events.saturating_sub(step).max(1);
                });
                step /= 2;
            }
        }
    }

    /// Does less to the rack, and to less of a rack.
    fn acts(&mut self) {
        for life in 0..self.best.lives.len() {
            let mut at = 0;
            while at < self.best.lives[life].acts.len() {
                let is_gone = self.try_edit(|plan| {
                    plan.lives[life].acts.remove(at);
                });
                at += usize::from(!is_gone);
            }
            self.try_edit(|plan| plan.lives[life].version = 0);
        }
        for at in 1..self.best.versions.len() {
            let first = self.best.versions[0].clone();
            if self.try_edit(|plan| plan.versions[at] = first) {
                continue;
            }
            let edits: [fn(&mut Version); 5] = [
                |version| version.without.clear(),
                |version| version.hot.clear(),
                |version| version.revised.clear(),
                |version| version.parallel = None,
                |version| version.broken = None,
            ];
            for edit in edits {
                self.try_edit(|plan| edit(&mut plan.versions[at]));
            }
        }
    }

    /// Makes wires hot.
    fn lanes(&mut self) {
        for at in 0..self.best.wires.len() {
            self.try_edit(|plan| plan.wires[at].durable = None);
        }
    }
}

/// Places after one that goes move up.
fn moved(places: &BTreeSet<usize>, gone: usize) -> BTreeSet<usize> {
    let left = places.iter().filter(|&&place| place != gone);
    left.map(|&place| place - usize::from(place > gone)).collect()
}

/// The plan without one gear; places after it move up.
fn without(plan: &Plan, gear: usize) -> Plan {
    let mut plan = plan.clone();
    let leads_to: Vec<usize> = plan.wires_from(gear, "out").map(|wire| wire.to).collect();
    let up = |place: usize| place - usize::from(place > gear);
    let mut wires: Vec<(WirePlan, usize)> = Vec::new();
    for (at, wire) in plan.wires.iter().enumerate().filter(|(_, wire)| wire.from != gear) {
        let ends = if wire.to == gear { leads_to.clone() } else { vec![wire.to] };
        let ends = ends.into_iter().filter(|&to| to != gear && to != wire.from);
        wires.extend(ends.map(|to| (WirePlan { from: up(wire.from), to: up(to), ..wire.clone() }, at)));
    }
    wires.dedup_by(|(a, _), (b, _)| (a.from, a.port, a.to) == (b.from, b.port, b.to));
    for version in &mut plan.versions {
        let hot = wires.iter().enumerate().filter(|(_, (_, was))| version.hot.contains(was));
        version.hot = hot.map(|(at, _)| at).collect();
        version.without = moved(&version.without, gear);
        version.revised = moved(&version.revised, gear);
        let broken = version.broken.map(|broken| if broken.gear == gear { 0 } else { up(broken.gear) });
        version.broken = version.broken.zip(broken).map(|(was, gear)| Broken { gear, ..was });
    }
    plan.wires = wires.into_iter().map(|(wire, _)| wire).collect();
    plan.gears.remove(gear);
    let troubles = plan.troubles.into_iter().filter(|(at, _)| at.gear != gear && at.feed != gear);
    let at_up = |at: At| At { gear: up(at.gear), feed: up(at.feed), n: at.n };
    plan.troubles = troubles.map(|(at, trouble)| (at_up(at), trouble)).collect();
    plan
}
