//! The oracle's own books: what each source sent, what was accepted, and where each message came to its end.

use std::collections::BTreeMap;

use crate::expect::{End, Expected, Terrain};
use crate::payload::Label;
use crate::plan::{GearPlan, Plan};
use crate::rules::{Rule, Violation};

/// Violations kept of one run; the first is what counts.
const VIOLATIONS_MAX: usize = 8;

/// The books of one run, over all lives of its rack.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By feed, then by number.
    sent: BTreeMap<usize, Vec<Entry>>,
    /// By way: the highest number that arrived for the first time.
    ways: BTreeMap<Way, u32>,
    life: u32,
    /// Times at which what had arrived may have come to arrive again: crashes, journals that failed.
    disturbances: u32,
    /// Of those, journals that failed: what was not known to be safe is in them twice.
    failures: u32,
    /// Reloads and drains: what waited for the world went back to its journal.
    returns: u32,
    /// Connections that a peer had by a line to which something had happened: each may bring again what the one before brought.
    connections: u32,
    /// Whether something happened to the line in this life, and whether in any.
    is_line_ill: bool,
    was_line_ill: bool,
    /// Whether messages may have to wait for the world.
    may_wait: bool,
    /// Both, as they were when this life began: what is to fail later in it may concern whatever was sent before.
    before_life: (u32, u32),
    pub(crate) violations: Vec<Violation>,
}

/// What is known of one message.
#[derive(Debug)]
struct Entry {
    ends: Vec<EndEntry>,
    /// Times it was emitted in all, and in the last life in which it was.
    emissions: u32,
    /// Disturbances before the first.
    disturbances_before: u32,
    failures_before: u32,
    connections_before: u32,
    /// The life in which it was accepted, if it was.
    accepted: Option<u32>,
    is_settled: bool,
    /// A lie of the disk came to light after it was sent. What a journal lost in the middle, the one before it sends once more:
    /// behind what was not lost.
    may_be_late: bool,
    /// Its source began anew without it, and never sends it again.
    is_given_up: bool,
}

#[derive(Debug)]
struct EndEntry {
    expected: Expected,
    arrivals: u32,
    arrivals_in_life: u32,
    life_last: u32,
    /// What had it was lost, and was allowed to be.
    is_excused: bool,
    /// The same, and where it comes from it may come again: behind what was not lost.
    may_be_late: bool,
    /// A clean drain came after its arrival: it cannot come again unless it is sent again.
    emissions_closed: u32,
}

/// A way on which order is kept: to this end, by these gears and wires, within this key when a gear on it is partitioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    feed: usize,
    end: End,
    /// The port by which it leaves a fork, when there is one on the way.
    is_odd: Option<bool>,
    key: Option<u8>,
}

impl Ledger {
    pub(crate) fn new(plan: &Plan) -> Ledger {
        let feeds = (0..plan.gears.len()).filter(|&gear| plan.feed(gear).is_some());
        let sent = feeds.map(|feed| (feed, Vec::new())).collect();
        Ledger { sent, may_wait: plan.may_wait(), ..Ledger::default() }
    }

    pub(crate) fn violate(&mut self, rule: Rule, detail: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { rule, detail });
        }
    }

    pub(crate) fn begin_life(&mut self) {
        self.life += 1;
        self.is_line_ill = false;
        self.before_life = (self.disturbances, self.failures);
    }

    /// What had arrived may from now on arrive again.
    pub(crate) fn disturbed(&mut self) {
        self.disturbances += 1;
    }

    /// Journals are about to fail, so many times.
    pub(crate) fn journals_fail(&mut self, times: u32) {
        self.disturbances += times;
        self.failures += times;
    }

    /// A peer has a connection.
    pub(crate) fn connected(&mut self) {
        self.connections += u32::from(self.is_line_ill);
    }

    /// Something happens to the line to a peer: what it has may not be acknowledged.
    pub(crate) fn line_fails(&mut self) {
        (self.is_line_ill, self.was_line_ill) = (true, true);
    }

    /// What waits for the world goes back to its journal, and comes again on every branch of its way.
    pub(crate) fn returned(&mut self) {
        self.returns += 1;
    }

    /// Whether journals failed.
    pub(crate) fn has_failures(&self) -> bool {
        self.failures > 0
    }

    /// The power failed. What only the operating system had may be gone; where the disk lied, anything.
    pub(crate) fn power_failed(&mut self, has_lied: bool) {
        for entry in self.sent.values_mut().flatten().filter(|_| has_lied) {
            entry.may_be_late = true;
            // That it had ended may be forgotten.
            entry.ends.iter_mut().for_each(|end| end.emissions_closed = 0);
        }
        let ends = self.sent.values_mut().flatten().flat_map(|entry| &mut entry.ends);
        ends.for_each(|end| end.may_be_late |= end.arrivals == 0 && end.expected.is_os);
        let accepted = self.sent.values_mut().flatten().filter(|entry| entry.accepted.is_some());
        for end in accepted.flat_map(|entry| &mut entry.ends) {
            end.is_excused |= end.arrivals == 0 && (has_lied || end.expected.is_os);
        }
    }

    /// A feed is about to emit a message, for the first time or again.
    pub(crate) fn emits(&mut self, plan: &Plan, feed: usize, n: u32) {
        let (life, (disturbances_before, failures_before)) = (self.life, self.before_life);
        let connections_before = self.connections;
        let entries = self.sent.entry(feed).or_default();
        if n as usize == entries.len() {
            let of_end = |expected| EndEntry {
                expected,
                arrivals: 0,
                arrivals_in_life: 0,
                life_last: life,
                is_excused: false,
                may_be_late: false,
                emissions_closed: 0,
            };
            entries.push(Entry {
                ends: Terrain::new(plan).ends(feed, n).into_iter().map(of_end).collect(),
                emissions: 0,
                disturbances_before,
                failures_before,
                connections_before,
                may_be_late: false,
                accepted: None,
                is_settled: false,
                is_given_up: false,
            });
        }
        entries[n as usize].emissions += 1;
    }

    /// The emission of a message came back without an error.
    pub(crate) fn accepted(&mut self, feed: usize, n: u32) {
        let life = self.life;
        self.entry(feed, n).accepted.get_or_insert(life);
    }

    /// The receipt of a message says that it is settled.
    pub(crate) fn settled(&mut self, feed: usize, n: u32) {
        self.accepted(feed, n);
        let entry = self.entry(feed, n);
        entry.is_settled = true;
        let early = entry.ends.iter().find(|end| {
            let is_dead = matches!(end.expected.end, End::Dead { .. });
            // A dead letter is seen when the operator takes it out, which comes later.
            end.arrivals == 0 && end.expected.journals == 0 && !is_dead && !end.expected.is_optional
        });
        if let Some(end) = early.map(|end| end.expected.end) {
            self.violate(Rule::SettledAfterDelivery, format!("g{feed} #{n} is settled and not at {end}"));
        }
    }

    /// A message came to an end; the payload is what arrived there.
    pub(crate) fn ended(&mut self, plan: &Plan, end: End, payload: &[u8]) -> Option<Label> {
        let Some(label) = Label::read(payload) else {
            self.violate(Rule::Unaltered, format!("at {end}: no payload of ours"));
            return None;
        };
        let Label { feed, n, key, .. } = label;
        let feed_plan = plan.gears.get(feed).and_then(|_| plan.feed(feed));
        let is_as_sent = feed_plan.is_some_and(|plan| label.payload(plan) == payload);
        if !is_as_sent {
            self.violate(Rule::Unaltered, format!("g{feed} #{n} at {end}"));
            return None;
        }
        self.arrived(plan, feed, n, end);
        self.keep_order(plan, feed, n, end, key);
        Some(label)
    }

    fn arrived(&mut self, plan: &Plan, feed: usize, n: u32, end: End) {
        let life = self.life;
        let Some(entry) = self.sent.get_mut(&feed).and_then(|entries| entries.get_mut(n as usize)) else {
            return self.violate(Rule::RightEnd, format!("g{feed} #{n} at {end} was never sent"));
        };
        let emissions = entry.emissions;
        let repeats = 1 + self.disturbances - entry.disturbances_before;
        let is_peer = end.is_at_peer(plan);
        // Where one branch of its way waits for the world, the others get it again.
        let returns = if self.may_wait || is_peer && self.was_line_ill { self.returns } else { 0 };
        // Each failure may leave one more copy behind, and has those handed out again that were there.
        let failures = 1 + self.failures - entry.failures_before;
        let connections = if is_peer { 1 + self.connections - entry.connections_before } else { 1 };
        let again = (failures.saturating_mul(failures) + returns).saturating_mul(connections);
        let Some(at) = entry.ends.iter_mut().find(|at| at.expected.end == end) else {
            let ends: Vec<String> = entry.ends.iter().map(|end| end.expected.end.to_string()).collect();
            let detail = format!("g{feed} #{n} came to {end}; its ends: {}", ends.join(", "));
            return self.violate(Rule::RightEnd, detail);
        };
        if at.life_last != life {
            (at.life_last, at.arrivals_in_life) = (life, 0);
        }
        at.arrivals += 1;
        at.arrivals_in_life += 1;
        let open = emissions - at.emissions_closed;
        let Expected { journals, repeaters, .. } = at.expected;
        let (arrivals, bound) = if journals == 0 {
            (if at.emissions_closed == 0 { at.arrivals } else { at.arrivals_in_life }, open)
        } else {
            // Each journal hands out again what it had handed out, and the next one takes it for something new.
            let copies = repeats.saturating_pow(repeaters - 1).saturating_mul(again);
            (at.arrivals_in_life, open.saturating_mul(copies))
        };
        if arrivals > bound {
            let detail = format!("g{feed} #{n} came to {end} {} times, sent {emissions} times", at.arrivals);
            self.violate(Rule::NoDuplicates, detail);
        }
    }

    fn keep_order(&mut self, plan: &Plan, feed: usize, n: u32, end: End, key: u8) {
        let entry = self.sent.get(&feed).and_then(|all| all.get(n as usize));
        let mut ends = entry.iter().filter(|entry| !entry.may_be_late).flat_map(|entry| &entry.ends);
        let is_first = |at: &EndEntry| {
            // A shelf that is put back is another one: what waits for the one that was taken out may come later.
            let is_free = at.may_be_late || at.expected.may_be_overtaken || at.expected.is_optional;
            at.expected.end == end && at.arrivals == 1 && !is_free
        };
        if !ends.any(is_first) {
            return;
        }
        let is_fork = |gear: usize| plan.gears[gear] == GearPlan::Fork;
        let is_parallel = |gear: usize| matches!(plan.gears[gear], GearPlan::Work { parallel: 2.., .. });
        let way = Way {
            feed,
            end,
            is_odd: passes(end, is_fork).then_some(n % 2 == 1),
            key: passes(end, is_parallel).then_some(key),
        };
        let highest = self.ways.entry(way).or_insert(n);
        if *highest > n {
            let detail = format!("g{feed} #{n} came to {end} after #{highest}");
            self.violate(Rule::OrderKept, detail);
        } else {
            *highest = n;
        }
    }

    fn entry(&mut self, feed: usize, n: u32) -> &mut Entry {
        let entries = self.sent.get_mut(&feed).expect("every feed has its entries");
        &mut entries[n as usize]
    }

    /// Messages a feed has begun to send.
    pub(crate) fn begun(&self, feed: usize) -> u32 {
        self.sent.get(&feed).map_or(0, |entries| entries.len() as u32)
    }

    /// A source begins, or begins anew: the messages it sends again, in order, which are those not accepted so far.
    pub(crate) fn starts(&mut self, feed: usize, resends: bool) -> Vec<u32> {
        let mut again = Vec::new();
        let entries = self.sent.get_mut(&feed).into_iter().flatten().enumerate();
        for (n, entry) in entries.filter(|(_, entry)| entry.accepted.is_none()) {
            entry.is_given_up = !resends;
            again.extend(resends.then_some(n as u32));
        }
        again
    }

    /// Whether accepted messages of a feed have not come to all their ends.
    pub(crate) fn is_any_open(&self, feed: usize) -> bool {
        let mut entries = self.sent.get(&feed).into_iter().flatten();
        entries.any(|entry| entry.accepted.is_some() && !entry.is_complete())
    }

    /// Whether some messages may still be under way that nothing is owed to.
    pub(crate) fn is_any_given_up(&self) -> bool {
        self.sent.values().flatten().any(|entry| entry.is_given_up)
    }

    /// Whether every source has sent all it has, and all that is owed has come to its ends.
    pub(crate) fn is_all_done(&self, plan: &Plan) -> bool {
        let is_sent = |(feed, entries): (&usize, &Vec<Entry>)| {
            let all = plan.feed(*feed).map_or(0, |feed| feed.messages);
            let is_answered = |entry: &Entry| entry.accepted.is_some() || entry.is_given_up;
            entries.len() == all as usize && entries.iter().all(is_answered)
        };
        self.sent.iter().all(is_sent) && self.missing(Owed::at_the_end).is_none()
    }

    /// A message that must come to an end and has not: the first, and how many more there are.
    pub(crate) fn missing(&self, is_owed: impl Fn(&Owed) -> bool) -> Option<(String, usize)> {
        let mut missing = self.sent.iter().flat_map(|(feed, entries)| {
            let is_owed = &is_owed;
            entries.iter().enumerate().flat_map(move |(n, entry)| {
                let absent = entry.ends.iter().filter(|end| end.arrivals == 0 && !end.expected.is_optional);
                absent
                    .filter(move |end| is_owed(&Owed::new(entry, end, self.life)))
                    .map(move |end| format!("g{feed} #{n} is not at {}", end.expected.end))
            })
        });
        let first = missing.next()?;
        Some((first, missing.count()))
    }

    /// After a clean drain nothing of what has ended is delivered again, and all else that was accepted is safe.
    pub(crate) fn drained_clean(&mut self, plan: &Plan) {
        let (life, disturbances) = (self.life, self.disturbances);
        let is_line_ill = self.is_line_ill;
        for entry in self.sent.values_mut().flatten() {
            entry.is_settled |= entry.accepted == Some(life);
            // What waited for the world at one end comes again to all of them.
            if !entry.is_complete() || self.may_wait {
                continue;
            }
            let is_undisturbed = entry.disturbances_before == disturbances;
            // A second copy may wait in a journal.
            let is_done = |end: &&mut EndEntry| match end.expected.journals {
                0 => end.arrivals > 0,
                // It was there, and what said so may have been lost.
                _ if is_line_ill && end.expected.end.is_at_peer(plan) => false,
                _ => is_undisturbed && end.arrivals >= entry.emissions,
            };
            for end in entry.ends.iter_mut().filter(is_done) {
                end.emissions_closed = entry.emissions;
            }
        }
    }
}

impl Entry {
    fn is_complete(&self) -> bool {
        self.ends.iter().all(|end| end.arrivals > 0 || end.expected.is_optional)
    }
}

/// What is owed to a message: facts that decide whether it must come to an end.
pub(crate) struct Owed {
    /// It was accepted in the life that now ends.
    is_accepted_now: bool,
    /// It was said to be safe.
    is_settled: bool,
    is_excused: bool,
    /// Journals on the way.
    journals: u32,
}

impl Owed {
    /// Once all work is done: what was accepted in this life, and what an earlier one had made safe.
    pub(crate) fn at_the_end(&self) -> bool {
        self.is_accepted_now || self.is_settled && !self.is_excused
    }

    /// After a drain that left nothing: what was accepted in this life and rests on no disk.
    pub(crate) fn after_drain(&self) -> bool {
        self.is_accepted_now && self.journals == 0
    }

    fn new(entry: &Entry, end: &EndEntry, life: u32) -> Owed {
        Owed {
            is_accepted_now: entry.accepted == Some(life),
            is_settled: entry.is_settled,
            is_excused: end.is_excused,
            journals: end.expected.journals,
        }
    }
}

/// Whether such a gear is on the way: one that always marks what it passes on, or fails it.
fn passes(end: End, is_such: impl Fn(usize) -> bool) -> bool {
    let (trail, last) = match end {
        End::Arrived { failed_at, trail, .. } => (trail, failed_at),
        End::Dead { gear, trail, .. } => (trail, Some(gear)),
    };
    last.is_some_and(&is_such) || trail.backwards().any(is_such)
}
