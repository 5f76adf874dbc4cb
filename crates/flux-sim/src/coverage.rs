//! How many runs saw what: a fault that never happens proves nothing.

use std::collections::BTreeMap;

use crate::plan::{GearPlan, LifeEnd, Plan, Trouble};

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

    /// What can be told from the plan.
    pub(crate) fn planned(&mut self, plan: &Plan) {
        let is_any = |is: fn(&GearPlan) -> bool| plan.gears.iter().any(is);
        let facts = [
            ("fused", plan.knobs.fuse),
            ("unfused", !plan.knobs.fuse),
            ("partitioned_gear", is_any(|gear| matches!(gear, GearPlan::Work { parallel: 2.., .. }))),
            ("conversation", is_any(|gear| matches!(gear, GearPlan::Caller(_)))),
            ("durable_wire", plan.wires.iter().any(|wire| wire.is_durable)),
            ("error_port", plan.wires.iter().any(|wire| wire.port == "error")),
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
