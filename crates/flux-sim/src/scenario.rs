//! The scenario a plan runs, as a user would write it, and the circuit it compiles to.

use std::fmt::Write as _;

use flux_scenario::{Catalog, Circuit, Fuse, load, settings::RackSettings, units};

use crate::plan::{GearPlan, Knobs, Plan};

/// The plan's gears and wires as a scenario.
pub fn text(plan: &Plan) -> String {
    let mut text = String::from("meta: {name: simulated, version: 1.0.0}\ngears:\n");
    for (place, gear) in plan.gears.iter().enumerate() {
        let rest = match gear {
            GearPlan::Feed(_) => "type: feed".into(),
            GearPlan::Caller(_) => "type: caller".into(),
            GearPlan::Fork => "type: fork".into(),
            GearPlan::Shelf => "type: shelf".into(),
            GearPlan::Work { marks, parallel: 1 } => format!("type: work, config: {{marks: {marks}}}"),
            GearPlan::Work { marks, parallel } => {
                format!(
                    "type: work, config: {{marks: {marks}}}, parallel: {parallel}, partition_by: meta.key"
                )
            }
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  - {{name: g{place}, {rest}}}");
    }
    text.push_str("wires:\n");
    for wire in &plan.wires {
        let lane = if wire.is_durable { ", lane: durable" } else { "" };
        let _ = writeln!(text, "  - {{from: g{}.{}, to: g{}.in{lane}}}", wire.from, wire.port, wire.to);
    }
    text
}

/// The circuit of a plan.
///
/// # Errors
/// What `check` says of the scenario.
pub(crate) fn circuit(plan: &Plan, catalog: &Catalog) -> Result<Circuit, String> {
    let fuse = if plan.knobs.fuse { Fuse::On } else { Fuse::Off };
    let compiled = load("simulated.yaml", &text(plan)).compile(None, catalog, fuse);
    compiled.map_err(|report| report.render(false))
}

/// The settings of a plan's rack.
pub(crate) fn settings(knobs: &Knobs) -> RackSettings {
    let ms = |ms: u32| units::Duration(std::time::Duration::from_millis(ms.into()));
    let mut settings = RackSettings::default();
    settings.lane_queue_size = knobs.queue_messages.try_into().unwrap_or(settings.lane_queue_size);
    settings.batch_messages_max = knobs.batch_messages.try_into().unwrap_or(settings.batch_messages_max);
    settings.retry.attempts = knobs.attempts;
    settings.retry.backoff = ms(2);
    settings.retry.backoff_max = ms(20);
    settings.error_restart.backoff = ms(5);
    settings.error_restart.backoff_max = ms(50);
    settings.dead_letters_max = knobs.dead_letters;
    settings.drain_timeout = ms(knobs.drain_ms);
    settings.process_timeout = ms(1_000);
    settings
}
