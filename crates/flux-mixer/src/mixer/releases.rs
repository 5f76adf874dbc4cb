//! What people push, and what they get back: scenarios and specs.

use std::collections::{BTreeMap, BTreeSet};

use flux_bus::Name;
use flux_identity::{PushOutcome, Pushed, Release, Tag};
use flux_scenario::edition::ContentHash;
use flux_scenario::{Circuit, Fuse, Plan, Scenario, load, plan};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Actor, Mixer};
use crate::checks::{self, Checked};
use crate::difference::difference;
use crate::limits::{DIFFERING_PLANS_MAX, NOTE_BYTES_MAX};
use crate::part;
use crate::refusal::Refusal;
use crate::store::Store;

/// How deep specs are looked for that others build on.
const BASES_DEPTH_MAX: usize = 16;

/// Which kind of release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Scenario,
    Spec,
}

/// What is pushed.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) sort: Sort,
    pub(crate) text: Vec<u8>,
    pub(crate) note: String,
    /// It is only checked.
    pub(crate) is_dry_run: bool,
}

/// What differs between two releases of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Difference {
    /// The one before.
    from: Tag,
    /// The one after.
    to: Tag,
    /// What has to happen on Racks for which anything changes.
    plans: Vec<RackPlan>,
    /// How many more plans there are.
    plans_left_out: usize,
    /// Line by line, as `diff -u` writes it; secrets are hidden. None where too much differs.
    text: Option<String>,
}

/// What has to happen on some Racks.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct RackPlan {
    /// Those for which it is the same.
    #[schemars(with = "Vec<String>")]
    racks: Vec<Name>,
    /// Gear by gear, wire by wire.
    plan: Plan,
}

impl Sort {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Sort::Scenario => "scenario",
            Sort::Spec => "spec",
        }
    }
}

impl Mixer {
    pub(crate) fn releases(&self, sort: Sort) -> &Store {
        match sort {
            Sort::Scenario => &self.scenarios,
            Sort::Spec => &self.specs,
        }
    }

    /// Checks what is pushed, and keeps it under the name and the version that it says itself.
    pub(crate) async fn push(&self, actor: &Actor, push: Push) -> Result<Pushed, Refusal> {
        let Push { sort, text, note, is_dry_run } = push;
        if note.len() > NOTE_BYTES_MAX || note.chars().any(char::is_control) {
            return Err(Refusal::Invalid(format!("`note`: one line of at most {NOTE_BYTES_MAX} bytes")));
        }
        let (digest, bytes) = (ContentHash::of(&text), text.len() as u64);
        let (checked, text) = match sort {
            Sort::Scenario => self.checked_scenario(text).await.map(|(checked, _, text)| (checked, text))?,
            Sort::Spec => self.checked_spec(text).await?,
        };
        let Checked { name, tag, title, warnings } = checked;
        let (pushed_unix_ms, pushed_by) = (self.world.clock.unix_ms(), actor.who.clone());
        let release = Release { name, tag, digest, bytes, title, pushed_unix_ms, pushed_by, note };
        if is_dry_run {
            return Ok(Pushed { outcome: PushOutcome::Checked, release, warnings });
        }
        let (what, about) = (format!("{}.push", sort.word()), format!("{}:{}", release.name, release.tag));
        self.done(actor, &what, &about, &digest.to_string()).await?;
        let (outcome, release) = self.releases(sort).put(release, &text).await?;
        if outcome == PushOutcome::Stored {
            self.tell(&format!("{}.pushed", sort.word()), &about);
        }
        Ok(Pushed { outcome, release, warnings })
    }

    /// Checks a scenario, away from what must not wait.
    pub(super) async fn checked_scenario(
        &self,
        text: Vec<u8>,
    ) -> Result<(Checked, Scenario, Vec<u8>), Refusal> {
        let (catalog, offers) = (self.catalog.clone(), self.registry.offers());
        let check = move || (checks::scenario(&text, &catalog, &offers), text);
        let (checked, text) = self.world.disk.offload(check).await;
        let (checked, scenario) = checked.map_err(|flaws| unfit("scenario", flaws))?;
        Ok((checked, scenario, text))
    }

    /// Checks a spec with those it builds on: of the store, by `name` or `name:tag`, and those that are built in.
    async fn checked_spec(&self, text: Vec<u8>) -> Result<(Checked, Vec<u8>), Refusal> {
        let mut known = BTreeMap::new();
        for _ in 0..BASES_DEPTH_MAX {
            let mut is_more = false;
            for base in checks::bases_of(&text, &known)
                .into_iter()
                .filter(|base| !known.contains_key(base))
                .collect::<Vec<_>>()
            {
                let (name, tag) = base.split_once(':').unwrap_or((&base, "latest"));
                let found = Name::new(name).ok().and_then(|name| self.specs.get(&name, tag).ok());
                if let Some(release) = found {
                    known.insert(base.clone(), self.specs.text(&release).await?);
                    is_more = true;
                }
            }
            if !is_more {
                break;
            }
        }
        let check = move || {
            let base = |name: &str| {
                let found = known.get(name).cloned();
                found.ok_or_else(|| format!("there is no spec `{name}` in the store: push it first"))
            };
            (checks::spec(&text, &base), text)
        };
        let (checked, text) = self.world.disk.offload(check).await;
        Ok((checked.map_err(|flaws| unfit("spec", flaws))?, text))
    }

    /// Forgets a release. That of a scenario that is active stays.
    pub(crate) async fn remove_release(
        &self,
        actor: &Actor,
        sort: Sort,
        name: &Name,
        tag: &Tag,
    ) -> Result<(), Refusal> {
        let about = format!("{name}:{tag}");
        self.releases(sort).get(name, &tag.to_string())?;
        let is_active =
            self.active.now().is_some_and(|(_, active)| active.name == *name && active.tag == *tag);
        if sort == Sort::Scenario && is_active {
            return Err(Refusal::Conflict(format!("{about} is active: activate another one first")));
        }
        self.done(actor, &format!("{}.remove", sort.word()), &about, "").await?;
        self.releases(sort).remove(name, tag).await
    }

    /// What may be shown of a scenario to whoever may not know its secrets.
    pub(crate) async fn shown_scenario(&self, text: Vec<u8>) -> String {
        let catalog = self.catalog.clone();
        self.world.disk.offload(move || checks::shown(&text, &catalog)).await
    }

    /// What differs between two releases of a scenario.
    pub(crate) async fn differing(&self, name: &Name, from: &str, to: &str) -> Result<Difference, Refusal> {
        let [from, to] = [self.scenarios.get(name, from)?, self.scenarios.get(name, to)?];
        let texts = [self.scenarios.text(&from).await?, self.scenarios.text(&to).await?];
        let (catalog, offers) = (self.catalog.clone(), self.registry.offers());
        let compare = move || {
            let [old, new] =
                texts.map(|text| (load(checks::SCENARIO, &text).scenario, checks::shown(&text, &catalog)));
            let mut racks: BTreeMap<Name, BTreeMap<String, String>> =
                offers.into_iter().map(|offer| (offer.rack, offer.labels)).collect();
            for named in [&old.0, &new.0].into_iter().flat_map(names) {
                racks.entry(named).or_default();
            }
            let known = || racks.clone().into_iter().collect();
            let members = [&old.0, &new.0].map(|scenario| part::members(scenario, known));
            let text_of = |scenario: &Scenario, members, rack: &Name, labels: &BTreeMap<String, String>| {
                part::of(scenario, rack, labels, members).map(|part| part.text)
            };
            let mut alike: BTreeMap<_, Vec<Name>> = BTreeMap::new();
            for (rack, labels) in &racks {
                let old = text_of(&old.0, &members[0], rack, labels);
                alike
                    .entry((old, text_of(&new.0, &members[1], rack, labels)))
                    .or_default()
                    .push(rack.clone());
            }
            let circuit = |text: Option<String>| match text {
                Some(text) => load(checks::SCENARIO, &text).compile(None, &catalog, Fuse::Off).ok(),
                None => Some(Circuit::default()),
            };
            let plans = alike.into_iter().filter_map(|((old, new), racks)| {
                let plan = plan(&circuit(old)?, &circuit(new)?);
                (!plan.is_empty()).then_some(RackPlan { racks, plan })
            });
            let mut plans: Vec<RackPlan> = plans.collect();
            let left_out = plans.len().saturating_sub(DIFFERING_PLANS_MAX);
            plans.truncate(DIFFERING_PLANS_MAX);
            (plans, left_out, difference(&old.1, &new.1))
        };
        let (plans, plans_left_out, text) = self.world.disk.offload(compare).await;
        Ok(Difference { from: from.tag, to: to.tag, plans, plans_left_out, text })
    }
}

fn unfit(what: &str, flaws: Vec<flux_identity::Flaw>) -> Refusal {
    Refusal::Unfit(format!("the {what} cannot run: `errors` lists everything that is wrong with it"), flaws)
}

/// The single Racks that a scenario names.
pub(super) fn names(scenario: &Scenario) -> BTreeSet<Name> {
    let groups: BTreeSet<&str> =
        scenario.racks.iter().filter(|rack| rack.is_group).map(|rack| rack.name.as_str()).collect();
    let declared = scenario
        .racks
        .iter()
        .filter(|rack| !rack.is_group && !rack.is_external)
        .map(|rack| rack.name.as_str());
    let deployed =
        scenario.gears.iter().filter_map(|gear| gear.deploy.as_ref()).map(|place| place.value.as_str());
    declared
        .chain(deployed)
        .filter(|name| !groups.contains(name))
        .filter_map(|name| Name::new(name).ok())
        .collect()
}
