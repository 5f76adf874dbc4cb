//! Another version of the scenario goes live, or the old one goes on and it is said why.

use std::collections::BTreeMap;

use flux_rack::Remains;
use flux_scenario::{Circuit, Settings, plan, plan::Step, settings::STATE_DIR};
use flux_world::Instant;
use serde_json::{Value as Json, json};

use super::{Running, reading::Wanted};
use crate::{
    alarms::Alarm,
    control::Answer,
    plan::Plan,
    reload::{Outcome, ReloadReport},
    state_dir::{self, StateDir},
};

impl Running {
    /// Becomes what was read, or says what that would change.
    pub(super) async fn go_over(&mut self, wanted: Wanted, read: Result<Plan, String>) {
        let Wanted { because, is_dry_run, remains, orders, answer } = wanted;
        let report = match read {
            Ok(new) if is_dry_run => self.compare(&new),
            Ok(new) => self.become_another(new, remains).await,
            Err(why) => self.refused(why),
        };
        if !is_dry_run {
            self.note_outcome(because, &report).await;
        }
        if let Some(orders) = orders {
            self.note_obedience(orders, report.outcome == Outcome::Refused);
        }
        if let Some(answer) = answer {
            let told = serde_json::to_value(report);
            // Whoever asked may have left.
            let _ = answer.send(told.map_or_else(|why| Answer::Error(why.to_string()), Answer::Ok));
        }
    }

    async fn note_outcome(&mut self, because: &str, report: &ReloadReport) {
        let ReloadReport { outcome, why, paused_us, .. } = report;
        match why {
            Some(why) => tracing::error!(because, why, "reload refused; the old version goes on"),
            None => tracing::info!(because, ?outcome, paused_us, "reload"),
        }
        self.alarms.set(Alarm::Reload, why.clone());
        self.is_to_keep |= matches!(outcome, Outcome::Reloaded | Outcome::Unchanged);
        self.keep().await;
    }

    async fn become_another(&mut self, new: Plan, remains: Remains) -> ReloadReport {
        let mut report = self.compare(&new);
        let mut contents = self.plan.files.contents();
        contents.extend(new.files.contents());
        if let (Some(circuit), Some(steps)) = (new.circuit.clone(), &report.plan) {
            if steps.is_empty() {
                report.outcome = Outcome::Unchanged;
                contents = new.files.contents();
                self.plan = new;
            } else {
                if let Err(why) = self.take_state_dir(&circuit).and(Box::pin(self.join_bus(&circuit)).await) {
                    report.outcome = Outcome::Refused;
                    report.why = Some(format!("{why:#}"));
                    return report;
                }
                let old = self.files.replace(new.files.clone());
                match self.rack.reload(circuit, remains).await {
                    Ok(done) => {
                        report.outcome = Outcome::Reloaded;
                        report.paused_us = u64::try_from(done.paused.as_micros()).unwrap_or(u64::MAX);
                        contents = new.files.contents();
                        note_changes(&mut self.since, &done.plan, self.plan.world.clock.now());
                        self.plan = new;
                    }
                    Err(why) => {
                        self.files.replace(old);
                        report.outcome = Outcome::Refused;
                        report.why = Some(format!("{}: {why}", new.place(why.gear())));
                    }
                }
            }
        }
        if let Some(watch) = &self.watch {
            watch.know(contents);
        }
        report
    }

    /// Where the rack had nothing to keep on disk until now, and so no directory for it.
    fn take_state_dir(&mut self, circuit: &Circuit) -> anyhow::Result<()> {
        if self.state_dir.is_none() && state_dir::is_needed(circuit) {
            self.state_dir = Some(StateDir::take(&self.plan.world.disk, STATE_DIR.as_ref())?);
        }
        Ok(())
    }

    /// Where the rack had no wire to another one until now, and so no bus.
    async fn join_bus(&mut self, circuit: &Circuit) -> anyhow::Result<()> {
        if self.way.is_none() {
            self.way = self.bus.way(&self.plan.world, circuit).await?;
            self.rack.join(self.way.as_ref().map(|way| way.line.clone()));
        }
        Ok(())
    }

    /// What a version changes, before anything is done about it.
    fn compare(&self, new: &Plan) -> ReloadReport {
        let steps = self.plan.circuit.as_ref().zip(new.circuit.as_ref()).map(|(old, new)| plan(old, new));
        let why = steps.is_none().then(|| new.errors());
        let mut settings_later = Vec::new();
        if new.settings != self.settings {
            settings_later = differing_sections(&self.settings, &new.settings);
        }
        ReloadReport {
            outcome: if steps.is_some() { Outcome::Planned } else { Outcome::Refused },
            scenario: new.name().into(),
            plan: steps,
            why,
            issues: new.to_json()["issues"].take(),
            diagnostics: new.render_plain(),
            settings_later,
            held: new
                .circuit
                .as_ref()
                .map_or_else(Vec::new, |circuit| self.rack.held_by_wires_not_in(circuit)),
            paused_us: 0,
        }
    }

    fn refused(&self, why: String) -> ReloadReport {
        ReloadReport {
            outcome: Outcome::Refused,
            scenario: self.plan.name().into(),
            plan: None,
            why: Some(why),
            issues: json!([]),
            diagnostics: String::new(),
            settings_later: Vec::new(),
            held: Vec::new(),
            paused_us: 0,
        }
    }
}

/// Since when each gear is what it is.
fn note_changes(since: &mut BTreeMap<String, Instant>, plan: &flux_scenario::Plan, now: Instant) {
    for step in &plan.gears {
        match step.step {
            Step::Keep => {}
            Step::Add | Step::Replace => {
                since.insert(step.gear.clone(), now);
            }
            Step::Remove => {
                since.remove(&step.gear);
            }
        }
    }
}

fn differing_sections(old: &Settings, new: &Settings) -> Vec<String> {
    let sections = |settings| serde_json::to_value(settings).unwrap_or_default();
    let (old, new) = (sections(old), sections(new));
    let sections = new.as_object().into_iter().flatten();
    let differing: Vec<String> = sections
        .filter(|(name, is): &(&String, &Json)| old[*name] != **is)
        .map(|(name, _)| format!("[{name}]"))
        .collect();
    // A secret is equal to every other once it is hidden.
    if differing.is_empty() { vec!["a secret".into()] } else { differing }
}
