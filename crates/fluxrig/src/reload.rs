//! What came of a reload, as data for scripts and as text for people.

use std::fmt;

use flux_rack::Left;
use flux_scenario::Plan;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The answer to a reload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReloadReport {
    pub(crate) outcome: Outcome,
    /// The file it was read from.
    pub(crate) scenario: String,
    /// What changes, gear by gear and wire by wire; none where the new version cannot be planned.
    pub(crate) plan: Option<Plan>,
    /// Why it was refused.
    pub(crate) why: Option<String>,
    /// What there is to say of the new version, as `fluxrig check --json` says it.
    pub(crate) issues: Json,
    /// The same for people.
    pub(crate) diagnostics: String,
    /// Sections of the settings that changed: they take effect when the rack is started again.
    pub(crate) settings_later: Vec<String>,
    /// What waited on durable wires that go, before anything was done about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) held: Vec<Left>,
    /// How long gears that the change concerns stood still.
    pub(crate) paused_us: u64,
}

/// What runs after a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The new version.
    Reloaded,
    /// What ran before: the new version is the same.
    Unchanged,
    /// What ran before: it was only asked what would happen.
    Planned,
    /// What ran before: the new version cannot run.
    Refused,
}

impl fmt::Display for ReloadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostics)?;
        if let Some(plan) = &self.plan {
            write!(f, "{plan}")?;
        }
        if !self.settings_later.is_empty() {
            let sections = self.settings_later.join(", ");
            writeln!(f, "settings changed in {sections}: they take effect when the rack is started again")?;
        }
        for left in &self.held {
            writeln!(f, "{left}, which goes: they are delivered first, or left on disk with --leave")?;
        }
        match self.outcome {
            Outcome::Reloaded => {
                let ms = self.paused_us as f64 / 1_000.0;
                writeln!(f, "{} is live; what it changes stood still for {ms:.1} ms", self.scenario)
            }
            Outcome::Unchanged => writeln!(f, "nothing changed"),
            Outcome::Planned => writeln!(f, "only planned: nothing was moved"),
            Outcome::Refused => {
                let why = self.why.as_deref().unwrap_or_default();
                writeln!(f, "refused, the old version goes on: {why}")
            }
        }
    }
}
