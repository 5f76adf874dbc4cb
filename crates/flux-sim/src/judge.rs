//! What the oracle asks at the end of a life: is everything where it must be, and do the counters say so.

use std::time::Duration;

use flux_rack::{Discarded, DrainReport, RackStats, WireStats};

use crate::gears;
use crate::house::House;
use crate::ledger::Owed;
use crate::plan::GearPlan;
use crate::rules::Rule;

/// Longest time a rack may take beyond its drain deadline to stop its gears.
const STOPS_WITHIN: Duration = Duration::from_secs(4);

/// Nothing moves any more, and not all is done.
pub(crate) fn stuck(house: &mut House, stats: &RackStats) {
    match house.ledger.missing(Owed::at_the_end) {
        // Nothing is under way that could still bring it.
        Some((first, more)) if stats.wires.iter().all(|wire| waiting_on(wire) == 0) => {
            house.ledger.violate(Rule::NothingLost, format!("{first}, and {more} more"));
        }
        _ => {
            let waiting = stats.wires.iter().filter(|wire| waiting_on(wire) > 0);
            let waiting: Vec<String> = waiting
                .map(|wire| {
                    let stuck = wire.durable.as_ref().and_then(|durable| durable.stuck.as_deref());
                    format!("{} on {} {}", waiting_on(wire), wire.name, stuck.unwrap_or_default())
                })
                .collect();
            house.ledger.violate(Rule::Progress, format!("nothing moves; waiting: {}", waiting.join(", ")));
        }
    }
}

fn waiting_on(wire: &WireStats) -> u64 {
    (wire.depth as u64).max(wire.durable.as_ref().map_or(0, |durable| durable.unsettled))
}

/// All work of a life is done and the rack is at rest: its counters must say what the gears were called for.
pub(crate) fn finished(house: &mut House, stats: &RackStats) {
    if house.ledger.is_any_given_up() {
        // What is still under way is counted at a time of its own.
        return;
    }
    for stats in &stats.gears {
        // What a peer took says nothing of the attempts.
        let is_counted = |gear: &usize| !house.plan.is_optional(*gear) && house.plan.peer() != Some(*gear);
        let Some(gear) = gears::place(&stats.name).filter(is_counted) else { continue };
        let calls = house.calls[gear];
        let seen = [
            ("processed and retried", stats.processed + stats.retried, calls.entered),
            ("faults", stats.invalid + stats.transient + stats.fatal, calls.failed),
            ("dead letters", stats.dead_lettered, calls.dead),
        ];
        // A journal that failed has some letters twice.
        let seen = if house.ledger.has_failures() { &seen[..2] } else { &seen[..] };
        for &(what, counted, happened) in seen {
            if counted != happened {
                let detail = format!("g{gear}: {counted} {what} counted, {happened} seen");
                house.ledger.violate(Rule::CountersAgree, detail);
            }
        }
    }
}

/// The rack was drained; so many dead letters were still in its memory.
pub(crate) fn drained(house: &mut House, report: &DrainReport, letters: u64) {
    let deadline = Duration::from_millis(house.plan.knobs.drain_ms.into());
    if report.took > deadline + STOPS_WITHIN {
        let detail = format!("it took {:?} of {deadline:?}, left: {}", report.took, left(report));
        house.ledger.violate(Rule::DrainInTime, detail);
    }
    if report.took < deadline && !report.left.is_empty() {
        house.ledger.violate(Rule::DrainClean, format!("left: {}", left(report)));
    }
    // A caller that fails over an answer after it was drained is down when the rack stops; at the deadline any gear may be.
    let is_late = report.took >= deadline;
    let is_down =
        |discarded: &&Discarded| discarded.reason == "down" && (is_late || is_caller(house, &discarded.gear));
    // No disk had room for it.
    let is_lost = |discarded: &&Discarded| discarded.reason == "not_on_disk";
    let given_up = report.discarded.iter().filter(|it| is_down(it) || is_lost(it)).count();
    let discarded = report.discarded.iter().filter(|it| !is_down(it) && !is_lost(it));
    let discarded: u64 = discarded.map(|discarded| discarded.messages).sum();
    if discarded != letters {
        let detail = format!("{letters} dead letters were left, the drain named {:?}", report.discarded);
        house.ledger.violate(Rule::CountersAgree, detail);
    }
    if !report.left.is_empty() || given_up > 0 {
        house.ledger.disturbed();
        return;
    }
    house.coverage.saw("clean_drain");
    if let Some((first, more)) = house.ledger.missing(Owed::after_drain) {
        house.ledger.violate(Rule::NothingLost, format!("after a clean drain {first}, and {more} more"));
    }
    let plan = house.plan.clone();
    house.ledger.drained_clean(&plan);
}

fn left(report: &DrainReport) -> String {
    report.left.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn is_caller(house: &House, gear: &str) -> bool {
    gears::place(gear).is_some_and(|place| matches!(house.plan.gears[place], GearPlan::Caller(_)))
}
