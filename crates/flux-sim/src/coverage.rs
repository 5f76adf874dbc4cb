//! How many runs saw what: a fault that never happens proves nothing.

use std::collections::BTreeMap;

use crate::plan::{Act, GearPlan, LifeEnd, LineFault, Plan, Promise, Trouble, Version, WirePlan};

/// What was seen, by name: in one run how often, in a sum over runs in how many of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Coverage(pub BTreeMap<&'static str, u64>);

impl Coverage {
    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(crate) fn trouble(&mut self, trouble: Trouble) {
        self.saw(match trouble {
            Trouble::Invalid => "invalid_fault",
            Trouble::Transient(_) => "transient_fault",
            Trouble::TransientAlways => "retries_run_out",
            Trouble::FatalOnce => "fatal_fault",
            Trouble::FatalAlways => "fatal_twice",
            Trouble::PanicOnce => "panic",
            Trouble::PanicAlways => "panic_twice",
            Trouble::Wait(_) => "slow_gear",
            Trouble::WaitTooLong => "process_timeout",
        });
    }

    /// What is done to the rack, or to what it stands on.
    pub(crate) fn act(&mut self, act: Act) {
        self.saw(match act {
            Act::Reload(_) => "reload",
            Act::FailSyncs(_) => "failed_sync",
            Act::Fill(_) => "full_disk",
            Act::Slow(_) => "slow_disk",
            Act::Lie => "lying_disk",
            Act::Line(LineFault::Reset) => "line_reset",
            Act::Line(LineFault::Unplug) => "line_half_open",
            Act::Line(LineFault::Part(_)) => "line_parted",
            Act::Line(LineFault::Refuse(_)) => "peer_away",
            Act::Line(LineFault::Deaf(_)) => "peer_deaf",
            Act::Line(LineFault::Slow(_)) => "line_slow",
        });
    }

    /// One version became another.
    pub(crate) fn reloaded(&mut self, from: &Version, to: &Version) {
        let facts = [
            ("reload_fuses", from.fuse != to.fuse),
            ("reload_adds_gear", !from.without.is_subset(&to.without)),
            ("reload_removes_gear", !to.without.is_subset(&from.without)),
            ("reload_replaces_gear", from.revised != to.revised),
            ("reload_makes_wire_hot", !to.hot.is_subset(&from.hot)),
            ("reload_makes_wire_durable", !from.hot.is_subset(&to.hot)),
            ("reload_changes_instances", from.parallel != to.parallel),
        ];
        facts.into_iter().filter(|(_, is)| *is).for_each(|(name, _)| self.saw(name));
    }

    /// What can be told from the plan.
    pub(crate) fn planned(&mut self, plan: &Plan) {
        let is_any = |is: fn(&GearPlan) -> bool| plan.gears.iter().any(is);
        let is_any_wire = |is: fn(&WirePlan) -> bool| plan.wires.iter().any(is);
        let promises =
            |is: fn(&Promise) -> bool| plan.wires.iter().any(|wire| wire.durable.is_some_and(|it| is(&it)));
        let facts = [
            ("fused", plan.versions.iter().any(|version| version.fuse)),
            ("unfused", plan.versions.iter().any(|version| !version.fuse)),
            ("partitioned_gear", is_any(|gear| matches!(gear, GearPlan::Work { parallel: 2.., .. }))),
            ("conversation", is_any(|gear| matches!(gear, GearPlan::Caller(_)))),
            ("peer", plan.peer().is_some()),
            ("client", is_any(|gear| matches!(gear, GearPlan::Server(_)))),
            ("durable_wire", is_any_wire(|wire| wire.durable.is_some())),
            ("durable_wire_ack_os", promises(|promise| promise.is_os)),
            ("durable_wire_dedupe", promises(|promise| promise.dedupe)),
            ("error_port", is_any_wire(|wire| wire.port == "error")),
            ("dead_letters_on_disk", plan.knobs.has_letters_on_disk),
            ("drain_under_load", plan.lives.iter().any(|life| matches!(life.end, LifeEnd::Drain { .. }))),
        ];
        facts.into_iter().filter(|(_, is)| *is).for_each(|(name, _)| self.saw(name));
    }

    /// Adds the run to a sum over runs.
    pub(crate) fn add_run(&mut self, run: &Coverage) {
        for name in run.0.keys() {
            self.saw(name);
        }
    }

    /// Adds one sum to another.
    pub(crate) fn add_sum(&mut self, other: &Coverage) {
        for (name, runs) in &other.0 {
            *self.0.entry(name).or_default() += runs;
        }
    }
}
