//! The scenario a plan runs, as a user would write it, and the circuit it compiles to.

use std::fmt::Write as _;

use flux_scenario::{
    Catalog, Circuit, Fuse, load,
    settings::{DeadLetterPlace, RackSettings, Store},
    units,
};

use crate::far_end;
use crate::plan::{GearPlan, Knobs, Plan, Promise};

/// A version of the plan as a scenario.
pub fn text(plan: &Plan, version: usize) -> String {
    let version = &plan.versions[version];
    let mut text = String::from("meta: {name: simulated, version: 1.0.0}\ngears:\n");
    for (place, gear) in plan.gears.iter().enumerate().filter(|(place, _)| !version.without.contains(place)) {
        let is_revised = version.revised.contains(&place);
        let line = line(plan, gear, is_revised);
        let mut config = Vec::new();
        if is_revised && line.is_none() {
            config.push("revision: 1");
        }
        if let Some(broken) = version.broken.filter(|broken| broken.gear == place) {
            config.push(if broken.is_late { "fails_at: start" } else { "fails_at: init" });
        }
        let (kind, parallel) = match gear {
            GearPlan::Feed(_) => ("feed", 1),
            GearPlan::Caller(_) => ("caller", 1),
            GearPlan::Fork => ("fork", 1),
            GearPlan::Shelf => ("shelf", 1),
            GearPlan::Server(_) | GearPlan::Peer => ("io_tcp", 1),
            GearPlan::Work { marks, parallel } => {
                config.push(if *marks { "marks: true" } else { "marks: false" });
                ("work", *parallel)
            }
        };
        config.extend(line.as_deref());
        let config = config.join(", ");
        let mut rest = format!("type: {kind}, config: {{{config}}}");
        if parallel > 1 {
            let parallel = version.parallel.unwrap_or(parallel);
            rest.push_str(&format!(", parallel: {parallel}, partition_by: meta.key"));
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  - {{name: g{place}, {rest}}}");
    }
    text.push_str("wires:\n");
    for wire in plan.wires_in(version) {
        let lane = wire.durable.map_or_else(String::new, |Promise { is_os, dedupe }| {
            let ack = if is_os { "os" } else { "disk" };
            format!(", lane: durable, ack: {ack}, dedupe: {dedupe}")
        });
        let _ = writeln!(text, "  - {{from: g{}.{}, to: g{}.in{lane}}}", wire.from, wire.port, wire.to);
    }
    text
}

/// The configuration of a gear with a line to the outside; when it is revised, its connections cannot go on.
fn line(plan: &Plan, gear: &GearPlan, is_revised: bool) -> Option<String> {
    let common = "framing: length_prefix2, write_timeout: 2s, idle_timeout: 3s";
    match gear {
        GearPlan::Server(_) => {
            let (port, text) = (far_end::PORT, if is_revised { "ok" } else { "+" });
            Some(format!("mode: server, bind: ':{port}', acknowledge: '{text}', {common}"))
        }
        GearPlan::Peer => {
            let (connect, timeout) = (far_end::ADDRESS, if is_revised { 2 } else { 1 });
            let kept = plan.knobs.queue_messages;
            Some(format!(
                "mode: client, connect: '{connect}', await_acknowledgement: true, max_queued_messages: {kept}, \
                 connect_timeout: {timeout}s, reconnect_wait: 50ms, reconnect_wait_max: 500ms, {common}"
            ))
        }
        GearPlan::Feed(_)
        | GearPlan::Caller(_)
        | GearPlan::Work { .. }
        | GearPlan::Fork
        | GearPlan::Shelf => None,
    }
}

/// The circuit of a version.
///
/// # Errors
/// What `check` says of the scenario.
pub(crate) fn circuit(plan: &Plan, version: usize, catalog: &Catalog) -> Result<Circuit, String> {
    let fuse = if plan.versions[version].fuse { Fuse::On } else { Fuse::Off };
    let compiled = load("simulated.yaml", &text(plan, version)).compile(None, catalog, fuse);
    compiled.map_err(|report| report.render(false))
}

/// How a plan's rack keeps messages on disk.
pub(crate) fn store(knobs: &Knobs) -> Store {
    let mut store = Store { segment_bytes: kib(knobs.segment_kib), ..Store::default() };
    if let Some(journal_kib) = knobs.journal_kib {
        store.bytes_max = kib(journal_kib);
    }
    store.window_messages = knobs.window_messages.try_into().unwrap_or(store.window_messages);
    store
}

fn kib(kib: u32) -> units::ByteSize {
    units::ByteSize(u64::from(kib) << 10)
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
    settings.dead_letters =
        if knobs.has_letters_on_disk { DeadLetterPlace::Disk } else { DeadLetterPlace::Memory };
    settings.drain_timeout = ms(knobs.drain_ms);
    settings.process_timeout = ms(1_000);
    settings
}
