//! Which scenario the fleet is to run, what of it each Rack is to run, and which of them do.

use std::collections::BTreeMap;
use std::sync::Arc;

use flux_bus::{Bus, Error, Key, Message, Name, Revision, Subject, subject};
use flux_identity::{
    Activation, Liveness, Part, RackState, RackSync, Role, Scope, Sync, SyncCounts, Topology,
};
use flux_scenario::edition::ContentHash;
use flux_scenario::{Scenario, load};
use parking_lot::{Mutex, RwLock};

use super::releases::names;
use super::{Actor, Fleet, Mixer, Push, Sort};
use crate::checks;
use crate::events::Of;
use crate::part;
use crate::refusal::Refusal;
use crate::registry::Record;
use crate::shelf::Shelf;

/// The entry that says which scenario is active.
const ENTRY: &str = "scenario";
/// What a Rack is told when there is something new for it, on `flux.ctrl.<rack>.part`.
const PART: &str = "part";

/// The scenario that is active: kept, and in memory.
#[derive(Debug)]
pub(crate) struct Active {
    shelf: Shelf<Activation>,
    running: RwLock<Option<Arc<Running>>>,
}

/// What a Rack is to run, by the labels it had when that was worked out.
type Desired = (BTreeMap<String, String>, Option<ContentHash>);

#[derive(Debug)]
struct Running {
    revision: Revision,
    activation: Activation,
    scenario: Scenario,
    /// What is worked out already.
    desired: Mutex<BTreeMap<Name, Desired>>,
}

impl Active {
    pub(crate) async fn open(bus: &dyn Bus) -> Result<Active, Error> {
        Ok(Active { shelf: Shelf::open(bus, "active").await?, running: RwLock::default() })
    }

    /// What is active, and what tells it from what was and will be.
    pub(crate) fn now(&self) -> Option<(String, Activation)> {
        let running = self.running.read();
        running.as_ref().map(|running| (running.etag(), running.activation.clone()))
    }

    /// The part of a Rack.
    pub(crate) fn part(&self, rack: &Name, labels: &BTreeMap<String, String>) -> Option<Part> {
        let running = self.running.read().clone()?;
        part::of(&running.scenario, rack, labels)
    }

    /// The digest of the part of a Rack.
    fn desired(&self, rack: &Name, labels: &BTreeMap<String, String>) -> Option<ContentHash> {
        let running = self.running.read().clone()?;
        if let Some((of, digest)) = running.desired.lock().get(rack)
            && of == labels
        {
            return *digest;
        }
        let digest = part::of(&running.scenario, rack, labels).map(|part| part.digest());
        running.desired.lock().insert(rack.clone(), (labels.clone(), digest));
        digest
    }

    /// Whoever is later wins, in the order in which it was kept.
    fn show(&self, running: Running) {
        let mut shown = self.running.write();
        if shown.as_ref().is_none_or(|shown| shown.revision < running.revision) {
            *shown = Some(Arc::new(running));
        }
    }

    fn changed(&self) -> Refusal {
        let now = self.now();
        let etag = now.as_ref().map_or_else(|| NONE.to_owned(), |(etag, _)| etag.clone());
        let current = now.map(|(_, activation)| activation);
        Refusal::Changed {
            etag,
            current: Box::new(serde_json::to_value(current).expect("an activation is JSON")),
        }
    }
}

/// What nothing active is told by.
pub(crate) const NONE: &str = "none";

impl Running {
    fn etag(&self) -> String {
        self.revision.to_string()
    }
}

impl Mixer {
    /// Goes on with the scenario that was active.
    pub(super) async fn resume(&self) -> Result<(), Refusal> {
        let Some((activation, revision)) = self.active.shelf.get(&entry()).await? else { return Ok(()) };
        let release = self.scenarios.get(&activation.name, &activation.tag.to_string())?;
        let scenario = load(checks::SCENARIO, &self.scenarios.text(&release).await?).scenario;
        self.active.show(Running { revision, activation, scenario, desired: Mutex::default() });
        Ok(())
    }

    /// Keeps a scenario, and activates it where none is: what a Mixer begins with.
    ///
    /// # Errors
    /// When it cannot be run, with everything that is wrong with it; and when another text has its name and tag.
    pub async fn start_with(&self, text: Vec<u8>) -> Result<(), Refusal> {
        let actor = Actor { who: "mixer".into(), role: Role::Admin, scope: Scope::default() };
        let push = Push { sort: Sort::Scenario, text, note: "startup".into(), is_dry_run: false };
        let release = self.push(&actor, push).await?.release;
        if self.active.now().is_none() {
            self.activate_scenario(&actor, &release.name, &release.tag.to_string(), None, false).await?;
        }
        Ok(())
    }

    /// What is active, and what tells it from what was and will be.
    pub(crate) fn active(&self) -> Option<(String, Activation)> {
        self.active.now()
    }

    /// Has the fleet run a release; in a dry run, says whether it would. `expected` is what told the active one from others when
    /// whoever asks looked at it.
    pub(crate) async fn activate_scenario(
        &self,
        actor: &Actor,
        name: &Name,
        tag: &str,
        expected: Option<&str>,
        is_dry_run: bool,
    ) -> Result<(String, Activation), Refusal> {
        let release = self.scenarios.get(name, tag)?;
        // What Racks offer may be another than when it was pushed.
        let text = self.scenarios.text(&release).await?;
        let (_, scenario, _) = self.checked_scenario(text).await?;
        let now = self.active.running.read().as_ref().map(|running| running.revision);
        let etag = now.map_or_else(|| NONE.to_owned(), |revision| revision.to_string());
        if expected.is_some_and(|expected| expected != etag && !(expected == "*" && now.is_some())) {
            return Err(self.active.changed());
        }
        let about = format!("{}:{}", release.name, release.tag);
        let digest = release.digest.to_string();
        let activation = Activation {
            name: release.name,
            tag: release.tag,
            digest: release.digest,
            activated_unix_ms: self.world.clock.unix_ms(),
            activated_by: actor.who.clone(),
        };
        if is_dry_run {
            return Ok((etag, activation));
        }
        self.done(actor, "scenario.activate", &about, &digest).await?;
        let revision = match self.active.shelf.put(entry(), &activation, now).await {
            Ok(revision) => revision,
            Err(Error::Revision(_)) => return Err(self.active.changed()),
            Err(why) => return Err(why.into()),
        };
        let running =
            Running { revision, activation: activation.clone(), scenario, desired: Mutex::default() };
        let etag = running.etag();
        self.active.show(running);
        self.tell("scenario.activated", &about);
        self.tell_parts().await;
        Ok((etag, activation))
    }

    /// A page of the fleet, and how all of it stands, as far as it is in a scope: Racks that are not enrolled are in none.
    pub(crate) fn topology(&self, scope: &Scope, after: Option<&Name>, limit: usize) -> Topology {
        let scenario = self.active.now().map(|(_, activation)| activation);
        let running = self.active.running.read().clone().filter(|_| scope.is_whole());
        let mut missing = running.map(|running| names(&running.scenario)).unwrap_or_default();
        let (mut counts, mut racks, mut next) = (SyncCounts::default(), Vec::new(), None);
        self.registry.survey(|record, liveness, actual| {
            if !scope.covers(&record.labels) {
                return;
            }
            let is_active = record.state == RackState::Active;
            let desired = self.active.desired(&record.name, &record.labels).filter(|_| is_active);
            let sync = sync_of(desired, actual, liveness);
            if is_active {
                counts.add(sync);
                missing.remove(&record.name);
            }
            if after.is_none_or(|after| record.name > *after) {
                match racks.len() < limit {
                    true => racks.push(RackSync {
                        name: record.name.clone(),
                        state: record.state,
                        liveness,
                        labels: record.labels.clone(),
                        sync,
                        desired,
                        actual,
                    }),
                    false => next = racks.last().map(|rack: &RackSync| rack.name.to_string()),
                }
            }
        });
        let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
        let is_synced = scenario.is_some().then(|| counts.behind + counts.unknown == 0 && missing.is_empty());
        Topology { mixer: self.settings.name.clone(), scenario, counts, missing, is_synced, racks, next }
    }

    /// Tells each Rack that has something else that there is something new for it.
    async fn tell_parts(&self) {
        let mut behind = Vec::new();
        self.registry.survey(|record, _, actual| {
            if record.state == RackState::Active
                && self.active.desired(&record.name, &record.labels) != actual
            {
                behind.push(record.name.clone());
            }
        });
        for rack in behind {
            self.tell_part(&rack).await;
        }
    }

    /// A hint, which may be lost: a Rack that says with its next heartbeat that it still has something else is told again. What is
    /// new it gets where it gets all that is its own, by asking to renew.
    pub(super) async fn tell_part(&self, rack: &Name) {
        let Some(Fleet { bus, .. }) = self.fleet() else { return };
        let told = async {
            let to = Subject::of(subject::CONTROL, rack, &Name::new(PART)?);
            bus.publish(Message::new(to, Vec::new())).await
        };
        if let Err(why) = told.await {
            tracing::debug!(%rack, %why, "a rack is not told now that there is something new for it");
        }
    }

    /// Whether a Rack says that it has something else than it is to have.
    pub(super) fn is_behind(&self, rack: &Name, actual: Option<ContentHash>) -> bool {
        let record = self.registry.get(rack).filter(|record| record.state == RackState::Active);
        actual.is_some() && record.is_some_and(|record| self.active.desired(rack, &record.labels) != actual)
    }

    pub(super) fn tell(&self, what: &str, about: &str) {
        let rack = Name::new(about).ok().filter(|_| what.starts_with("rack."));
        match rack.and_then(|rack| self.registry.get(&rack)) {
            Some(record) => self.tell_of(&record, what),
            None => {
                let of = if what == "scenario.activated" { Of::Everybody } else { Of::Fleet };
                self.events.tell(self.world.clock.unix_ms(), what, about, of);
            }
        }
    }

    pub(super) fn tell_of(&self, rack: &Record, what: &str) {
        let of = Of::Rack(rack.labels.clone());
        self.events.tell(self.world.clock.unix_ms(), what, rack.name.as_str(), of);
    }
}

/// Nothing is said to be as it should be that nobody said of itself, lately.
fn sync_of(desired: Option<ContentHash>, actual: Option<ContentHash>, liveness: Liveness) -> Sync {
    match (desired, actual) {
        (None, None) => Sync::Idle,
        (_, Some(_)) if liveness == Liveness::Offline => Sync::Unknown,
        (Some(_), None) => Sync::Unknown,
        (desired, actual) if desired == actual => Sync::Synced,
        (_, Some(_)) => Sync::Behind,
    }
}

fn entry() -> Key {
    Key::new(ENTRY).expect("a word is a key")
}
