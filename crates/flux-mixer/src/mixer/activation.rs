//! Which scenario the fleet is to run, what of it each Rack is to run, and which of them do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flux_bus::{Bus, Error, Key, Message, Name, Revision, Subject, subject};
use flux_identity::{
    Activation, Liveness, OrdersChanged, Part, RackState, RackSync, Role, Scope, Sync, SyncCounts, Topology,
};
use flux_scenario::edition::ContentHash;
use flux_scenario::{Scenario, load};
use parking_lot::{Mutex, RwLock};

use super::releases::names;
use super::{Actor, Fleet, Mixer, Push, Sort};
use crate::checks;
use crate::events::Of;
use crate::part::{self, Members};
use crate::refusal::Refusal;
use crate::registry::{Record, Registry};
use crate::shelf::Shelf;

/// The entry that says which scenario is active.
const ENTRY: &str = "scenario";
/// Where a Rack is told that there is something new for it: `flux.ctrl.<rack>.orders`.
const ORDERS: &str = "orders";

/// The scenario that is active: kept, and in memory.
#[derive(Debug)]
pub(crate) struct Active {
    shelf: Shelf<Activation>,
    running: RwLock<Option<Arc<Running>>>,
}

/// What a Rack is to run, by the labels it had when that was worked out.
type Known = (BTreeMap<String, String>, Option<ContentHash>);

#[derive(Debug)]
struct Running {
    revision: Revision,
    activation: Activation,
    scenario: Scenario,
    /// Who is in the groups that wires lead to, and at which change of the registry.
    members: Mutex<(u64, Arc<Members>)>,
    /// What is worked out already, for these members.
    parts: Mutex<BTreeMap<Name, Known>>,
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

    fn running(&self) -> Option<Arc<Running>> {
        self.running.read().clone()
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
    fn new(revision: Revision, activation: Activation, scenario: Scenario) -> Running {
        Running { revision, activation, scenario, members: Mutex::default(), parts: Mutex::default() }
    }

    /// Who is in the groups that wires lead to. It looks into the registry.
    fn members(&self, registry: &Registry) -> Arc<Members> {
        let mut known = self.members.lock();
        let changes = registry.changes();
        if known.0 != changes {
            let members = part::members(&self.scenario, || registry.members());
            if *known.1 != members {
                known.1 = Arc::new(members);
                self.parts.lock().clear();
            }
            known.0 = changes;
        }
        known.1.clone()
    }

    /// The digest of the part of a Rack.
    fn part_digest(
        &self,
        rack: &Name,
        labels: &BTreeMap<String, String>,
        members: &Members,
    ) -> Option<ContentHash> {
        if let Some((of, digest)) = self.parts.lock().get(rack)
            && of == labels
        {
            return *digest;
        }
        let digest = part::of(&self.scenario, rack, labels, members).map(|part| part.digest());
        self.parts.lock().insert(rack.clone(), (labels.clone(), digest));
        digest
    }

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
        self.active.show(Running::new(revision, activation, scenario));
        Ok(())
    }

    /// Keeps a scenario, and activates it where none is: what a Mixer begins with.
    ///
    /// # Errors
    /// When it cannot be run, with everything that is wrong with it; and when another text has its name and tag.
    pub async fn start_with(&self, text: Vec<u8>) -> Result<(), Refusal> {
        self.begin_with(text, |active| active.is_some()).await
    }

    /// Keeps a scenario, and has the fleet run it, whatever it ran.
    ///
    /// # Errors
    /// As [`Mixer::start_with`].
    pub async fn run_now(&self, text: Vec<u8>) -> Result<(), Refusal> {
        self.begin_with(text, |_| false).await
    }

    async fn begin_with(
        &self,
        text: Vec<u8>,
        stays: impl Fn(Option<&Activation>) -> bool,
    ) -> Result<(), Refusal> {
        let actor = Actor { who: "mixer".into(), role: Role::Admin, scope: Scope::default() };
        let push = Push { sort: Sort::Scenario, text, note: "startup".into(), is_dry_run: false };
        let release = self.push(&actor, push).await?.release;
        let active = self.active.now().map(|(_, activation)| activation);
        let is_it = |active: &Activation| active.name == release.name && active.tag == release.tag;
        if !stays(active.as_ref()) && !active.as_ref().is_some_and(is_it) {
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
        let running = Running::new(revision, activation.clone(), scenario);
        let etag = running.etag();
        self.active.show(running);
        self.tell("scenario.activated", &about);
        self.tell_all().await;
        Ok((etag, activation))
    }

    /// A page of the fleet, and how all of it stands, as far as it is in a scope: Racks that are not enrolled are in none.
    pub(crate) fn topology(&self, scope: &Scope, after: Option<&Name>, limit: usize) -> Topology {
        let scenario = self.active.now().map(|(_, activation)| activation);
        let desired = self.desired();
        let running = desired.running.as_ref().filter(|_| scope.is_whole());
        let mut missing = running.map(|running| names(&running.scenario)).unwrap_or_default();
        let (mut counts, mut racks, mut next) = (SyncCounts::default(), Vec::new(), None);
        self.registry.survey(|record, liveness, actual| {
            if !scope.covers(&record.labels) {
                return;
            }
            let is_active = record.state == RackState::Active;
            let part = desired.part(record).filter(|_| is_active);
            let orders = is_active.then(|| record.orders_digest(part));
            let sync = sync_of(orders, part.is_some(), actual, liveness);
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
                        desired: orders,
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

    /// Whether a Rack that is invited within a scope gets nothing of the active scenario that is not for that scope: it has none of
    /// the names there, and is in no group but by the labels of the scope.
    pub(super) fn is_within(
        &self,
        scope: &Scope,
        rack: Option<&Name>,
        labels: &BTreeMap<String, String>,
    ) -> bool {
        let Some(running) = self.active.running().filter(|_| !scope.is_whole()) else { return true };
        let groups = |labels| part::groups_of(&running.scenario, labels).collect::<BTreeSet<_>>();
        let is_named = rack.is_some_and(|rack| names(&running.scenario).contains(rack));
        !is_named && groups(labels).is_subset(&groups(scope.labels()))
    }

    /// What Racks are to run. Not to be asked for while the registry is gone through.
    pub(super) fn desired(&self) -> Desired {
        let running = self.active.running();
        let members = running.as_ref().map(|running| running.members(&self.registry)).unwrap_or_default();
        Desired { running, members }
    }

    /// Tells each Rack that obeys other orders that there are new ones for it.
    async fn tell_all(&self) {
        let (mut behind, desired) = (Vec::new(), self.desired());
        self.registry.survey(|record, _, actual| {
            let orders = desired.orders(record);
            if record.state == RackState::Active && actual != Some(orders) {
                behind.push((record.name.clone(), orders));
            }
        });
        for (rack, orders) in behind {
            self.tell_orders(&rack, orders).await;
        }
    }

    /// A hint, which may be lost: a Rack that says with its next heartbeat that it still obeys others is told again. What is
    /// new it gets where it gets all that is its own, by asking to renew.
    pub(super) async fn tell_orders(&self, rack: &Name, orders: ContentHash) {
        let Some(Fleet { bus, .. }) = self.fleet() else { return };
        let told = async {
            let to = Subject::of(subject::CONTROL, rack, &Name::new(ORDERS)?);
            let news = serde_json::to_vec(&OrdersChanged { orders }).expect("a digest is JSON");
            bus.publish(Message::new(to, news)).await
        };
        if let Err(why) = told.await {
            tracing::debug!(%rack, %why, "a rack is not told now that there is something new for it");
        }
    }

    /// The orders of a Rack that says that it obeys others.
    pub(super) fn behind(&self, rack: &Name, actual: Option<ContentHash>) -> Option<ContentHash> {
        let record = self.registry.get(rack).filter(|record| record.state == RackState::Active)?;
        let orders = self.desired().orders(&record);
        (actual != Some(orders)).then_some(orders)
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

/// What Racks are to run, at one moment.
pub(super) struct Desired {
    running: Option<Arc<Running>>,
    members: Arc<Members>,
}

impl Desired {
    /// The digest of the part of a Rack.
    fn part(&self, record: &Record) -> Option<ContentHash> {
        self.running.as_ref()?.part_digest(&record.name, &record.labels, &self.members)
    }

    /// The digest of the orders of a Rack.
    pub(super) fn orders(&self, record: &Record) -> ContentHash {
        record.orders_digest(self.part(record))
    }

    /// The part of a Rack.
    pub(super) fn whole_part(&self, rack: &Name, labels: &BTreeMap<String, String>) -> Option<Part> {
        part::of(&self.running.as_ref()?.scenario, rack, labels, &self.members)
    }
}

/// Nothing is said to be as it should be that nobody said of itself, lately.
fn sync_of(
    desired: Option<ContentHash>,
    has_part: bool,
    actual: Option<ContentHash>,
    liveness: Liveness,
) -> Sync {
    let is_gone = liveness == Liveness::Offline;
    match (desired, actual) {
        (None, _) => Sync::Idle,
        (Some(_), None) if !has_part => Sync::Idle,
        (Some(_), None) => Sync::Unknown,
        (Some(_), Some(_)) if is_gone => Sync::Unknown,
        (Some(desired), Some(actual)) if desired != actual => Sync::Behind,
        (Some(_), Some(_)) if has_part => Sync::Synced,
        (Some(_), Some(_)) => Sync::Idle,
    }
}

fn entry() -> Key {
    Key::new(ENTRY).expect("a word is a key")
}
