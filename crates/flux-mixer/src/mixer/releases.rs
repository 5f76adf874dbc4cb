//! What people push, and what they get back: scenarios and specs.

use std::collections::{BTreeMap, BTreeSet};

use flux_bus::Name;
use flux_identity::{Difference, PushOutcome, Pushed, RackPlan, Release, ReleaseName, Tag};
use flux_scenario::edition::ContentHash;
use flux_scenario::{Catalog, Circuit, Fuse, Scenario, load, plan};

use super::{Actor, Mixer};
use crate::checks::{self, Checked, Offer};
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

    /// What differs between two releases, each by name and tag; of one alone, from nothing.
    pub(crate) async fn differing(
        &self,
        sort: Sort,
        from: Option<(&Name, &str)>,
        to: (&Name, &str),
    ) -> Result<Difference, Refusal> {
        let store = self.releases(sort);
        let to = store.get(to.0, to.1)?;
        let from = from.map(|(name, tag)| store.get(name, tag)).transpose()?;
        let old = match &from {
            Some(from) => store.text(from).await?,
            None => Vec::new(),
        };
        let new = store.text(&to).await?;
        let (catalog, offers) = (self.catalog.clone(), self.registry.offers());
        let compare = move || match sort {
            Sort::Scenario => {
                let mut plans = plans([&old, &new], &catalog, offers);
                let left_out = plans.len().saturating_sub(DIFFERING_PLANS_MAX);
                plans.truncate(DIFFERING_PLANS_MAX);
                let [old, new] = [old, new].map(|text| checks::shown(&text, &catalog));
                (plans, left_out, difference(&old, &new))
            }
            Sort::Spec => {
                let [old, new] = [&old, &new].map(|text| String::from_utf8_lossy(text));
                (Vec::new(), 0, difference(&old, &new))
            }
        };
        let (plans, plans_left_out, text) = self.world.disk.offload(compare).await;
        let named = |release: Release| ReleaseName { name: release.name, tag: release.tag };
        let (from, to) = (from.map(named), named(to));
        Ok(Difference { from, to, plans, plans_left_out, text })
    }
}

/// What has to happen on the Racks for which anything changes.
fn plans(texts: [&[u8]; 2], catalog: &Catalog, offers: Vec<Offer>) -> Vec<RackPlan> {
    let [old, new] = texts.map(|text| load(checks::SCENARIO, text).scenario);
    let mut racks: BTreeMap<Name, BTreeMap<String, String>> =
        offers.into_iter().map(|offer| (offer.rack, offer.labels)).collect();
    for named in [&old, &new].into_iter().flat_map(names) {
        racks.entry(named).or_default();
    }
    let both = [&old, &new]
        .map(|scenario| (scenario, part::members(scenario, || racks.clone().into_iter().collect())));
    let mut alike: BTreeMap<_, Vec<Name>> = BTreeMap::new();
    for (rack, labels) in racks {
        let parts = both
            .each_ref()
            .map(|(scenario, members)| part::of(scenario, &rack, &labels, members).map(|part| part.text));
        alike.entry(parts).or_default().push(rack);
    }
    let circuit = |text: Option<String>| match text {
        Some(text) => load(checks::SCENARIO, &text).compile(None, catalog, Fuse::Off).ok(),
        None => Some(Circuit::default()),
    };
    let plans = alike.into_iter().filter_map(|([old, new], racks)| {
        let plan = plan(&circuit(old)?, &circuit(new)?);
        (!plan.is_empty()).then_some(RackPlan { racks, plan })
    });
    plans.collect()
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
