//! The Racks a Mixer knows: kept on disk, listed from memory, and whether each is heard of.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flux_bus::{Bus, Error, Key, Name, Revision};
use flux_identity::{Duty, Heartbeat, Liveness, LogLevel, Orders, RackState, RackView, Scope};
use flux_scenario::edition::ContentHash;
use flux_scenario::passport::PublicKey;
use flux_world::{Clock, Instant};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::allowance::Allowance;
use crate::checks::Offer;
use crate::limits::{HEARTBEATS_BURST, PENDING_MAX, RACKS_MAX};
use crate::refusal::Refusal;
use crate::shelf::Shelf;

/// How often a change is tried again that somebody else was in the way of.
const CHANGE_ATTEMPTS_MAX: usize = 16;

/// A Rack, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) name: Name,
    pub(crate) state: RackState,
    /// Who it is.
    pub(crate) key: PublicKey,
    pub(crate) labels: BTreeMap<String, String>,
    /// From where it asked last.
    #[serde(default)]
    pub(crate) address: Option<String>,
    pub(crate) program: String,
    pub(crate) kinds: Vec<String>,
    pub(crate) first_seen_unix_ms: u64,
    pub(crate) certificate_expires_unix_ms: Option<u64>,
    pub(crate) passport_number: u64,
    #[serde(default)]
    pub(crate) duty: Duty,
    #[serde(default)]
    pub(crate) log_level: Option<LogLevel>,
    #[serde(default)]
    pub(crate) shutdowns: u64,
    /// What it was given for the bus and is still good: key, and until when.
    pub(crate) bus_keys: BTreeMap<String, u64>,
}

impl Record {
    /// The digest of its orders, where that of its part is known.
    pub(crate) fn orders_digest(&self, part: Option<ContentHash>) -> ContentHash {
        Orders::digest_with(self.duty, self.log_level, self.shutdowns, part)
    }
}

/// What was heard of a Rack last.
#[derive(Clone, Debug)]
struct Heard {
    at: Instant,
    unix_ms: u64,
    heartbeat: Heartbeat,
    /// What was last told of it.
    told: Liveness,
    /// How much more of it is heard.
    allowance: Allowance,
}

/// Which Racks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) state: Option<RackState>,
    pub(crate) liveness: Option<Liveness>,
    /// Labels it has, with these values.
    pub(crate) labels: BTreeMap<String, String>,
    /// Those in this scope alone.
    pub(crate) scope: Scope,
    /// Behind this name.
    pub(crate) after: Option<Name>,
    pub(crate) limit: usize,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Registry {
    shelf: Shelf<Record>,
    clock: Clock,
    heartbeat: Duration,
    racks: RwLock<BTreeMap<Name, (Record, Revision)>>,
    heard: RwLock<BTreeMap<Name, Heard>>,
    /// How often somebody came, went, or had other labels or another state.
    changes: AtomicU64,
}

impl Registry {
    pub(crate) async fn open(bus: &dyn Bus, clock: Clock, heartbeat: Duration) -> Result<Registry, Error> {
        let shelf: Shelf<Record> = Shelf::open(bus, "racks").await?;
        let listed = shelf.list().await?.into_iter();
        let racks = listed.map(|(_, record, revision)| (record.name.clone(), (record, revision))).collect();
        let (racks, heard, changes) = (RwLock::new(racks), RwLock::default(), AtomicU64::new(1));
        Ok(Registry { shelf, clock, heartbeat, racks, heard, changes })
    }

    /// A number that is another one when who belongs, and with which labels, may be.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(crate) fn get(&self, rack: &Name) -> Option<Record> {
        self.racks.read().get(rack).map(|(record, _)| record.clone())
    }

    /// Those that wait for approval since before a time.
    pub(crate) fn pending_since_before(&self, unix_ms: u64) -> Vec<Name> {
        let racks = self.racks.read();
        let waits =
            |record: &Record| record.state == RackState::Pending && record.first_seen_unix_ms < unix_ms;
        racks.values().filter(|(record, _)| waits(record)).map(|(record, _)| record.name.clone()).collect()
    }

    /// Takes in a Rack that is new.
    pub(crate) async fn add(&self, record: Record) -> Result<(), Refusal> {
        {
            let racks = self.racks.read();
            let pending = racks.values().filter(|(record, _)| record.state == RackState::Pending).count();
            if racks.len() >= RACKS_MAX || (record.state == RackState::Pending && pending >= PENDING_MAX) {
                return Err(Refusal::TooMany("there are as many racks as there may be".into()));
            }
        }
        match self.shelf.put(key(&record.name)?, &record, None).await {
            Ok(revision) => {
                self.show(record, revision);
                Ok(())
            }
            Err(Error::Revision(_)) => {
                Err(Refusal::Conflict("somebody else enrolled under that name just now".into()))
            }
            Err(why) => Err(why.into()),
        }
    }

    /// Changes a Rack as `change` says of how it stands, and returns how it is then.
    pub(crate) async fn change(
        &self,
        rack: &Name,
        change: impl Fn(&mut Record) -> Result<(), Refusal>,
    ) -> Result<Record, Refusal> {
        for _ in 0..CHANGE_ATTEMPTS_MAX {
            let found = self.racks.read().get(rack).cloned();
            let (mut record, revision) = found.ok_or_else(|| Refusal::Missing(format!("rack {rack}")))?;
            change(&mut record)?;
            match self.shelf.put(key(rack)?, &record, Some(revision)).await {
                Ok(revision) => {
                    self.show(record.clone(), revision);
                    return Ok(record);
                }
                // Whoever was first shows it as soon as it knows that it is kept.
                Err(Error::Revision(_)) => tokio::task::yield_now().await,
                Err(why) => return Err(why.into()),
            }
        }
        Err(Refusal::Conflict(format!("rack {rack} changes all the time; try again")))
    }

    /// Forgets a Rack.
    pub(crate) async fn remove(&self, rack: &Name) -> Result<(), Refusal> {
        let found = self.racks.read().get(rack).cloned();
        let (_, revision) = found.ok_or_else(|| Refusal::Missing(format!("rack {rack}")))?;
        match self.shelf.remove(key(rack)?, revision).await {
            Ok(()) => {
                self.racks.write().remove(rack);
                self.changes.fetch_add(1, Ordering::Release);
                self.heard.write().remove(rack);
                Ok(())
            }
            Err(Error::Revision(_)) => {
                Err(Refusal::Conflict(format!("rack {rack} changed just now; try again")))
            }
            Err(why) => Err(why.into()),
        }
    }

    /// A heartbeat came. Whether the Rack says that it obeys others than before; none where it is not heard: a Rack that is not
    /// active, or that says more than there is to say.
    pub(crate) fn hear(&self, rack: &Name, heartbeat: Heartbeat) -> Option<bool> {
        let is_active =
            self.racks.read().get(rack).is_some_and(|(record, _)| record.state == RackState::Active);
        if !is_active {
            return None;
        }
        let (at, unix_ms, orders) = (self.clock.now(), self.clock.unix_ms(), heartbeat.orders);
        let mut heard = self.heard.write();
        let before = heard.get(rack);
        let told = before.map_or(Liveness::Offline, |heard| heard.told);
        let is_other = before.is_none_or(|before| before.heartbeat.orders != orders);
        let mut allowance =
            before.map_or_else(|| Allowance::new(HEARTBEATS_BURST, 2, at), |heard| heard.allowance);
        if !allowance.take(at) {
            return None;
        }
        heard.insert(rack.clone(), Heard { at, unix_ms, heartbeat, told, allowance });
        Some(is_other)
    }

    /// The Racks that are heard of otherwise than when this was asked last.
    pub(crate) fn turned(&self) -> Vec<(Name, Liveness)> {
        let (racks, mut heard, now) = (self.racks.read(), self.heard.write(), self.clock.now());
        let mut turned = Vec::new();
        for (name, heard) in heard.iter_mut() {
            let Some((record, _)) = racks.get(name) else { continue };
            let liveness = self.liveness(record, Some(heard), now);
            if liveness != heard.told {
                heard.told = liveness;
                turned.push((name.clone(), liveness));
            }
        }
        turned
    }

    /// Each Rack by name, whether it is heard of, and the orders that it said last that it obeys.
    pub(crate) fn survey(&self, mut see: impl FnMut(&Record, Liveness, Option<ContentHash>)) {
        let (racks, heard, now) = (self.racks.read(), self.heard.read(), self.clock.now());
        for (name, (record, _)) in racks.iter() {
            let heard = heard.get(name);
            see(record, self.liveness(record, heard, now), heard.and_then(|heard| heard.heartbeat.orders));
        }
    }

    /// The Racks that belong, with their labels.
    pub(crate) fn members(&self) -> Vec<(Name, BTreeMap<String, String>)> {
        let racks = self.racks.read();
        let belongs = |record: &Record| matches!(record.state, RackState::Active | RackState::Suspended);
        let members = racks.values().filter(|(record, _)| belongs(record));
        members.map(|(record, _)| (record.name.clone(), record.labels.clone())).collect()
    }

    /// The Racks that have no word on the bus, though they were given one.
    pub(crate) fn barred(&self) -> Vec<Record> {
        let racks = self.racks.read();
        let is_barred = |record: &Record| matches!(record.state, RackState::Suspended | RackState::Revoked);
        racks.values().map(|(record, _)| record).filter(|record| is_barred(record)).cloned().collect()
    }

    /// What each active Rack says that it has.
    pub(crate) fn offers(&self) -> Vec<Offer> {
        let racks = self.racks.read();
        let active = racks.values().filter(|(record, _)| record.state == RackState::Active);
        let offer = |(record, _): &(Record, Revision)| Offer {
            rack: record.name.clone(),
            labels: record.labels.clone(),
            kinds: record.kinds.iter().cloned().collect(),
        };
        active.map(offer).collect()
    }

    /// A page of Racks, and how many match in all.
    pub(crate) fn list(&self, wanted: &Wanted) -> (Vec<RackView>, usize) {
        let (racks, heard, now) = (self.racks.read(), self.heard.read(), self.clock.now());
        let is_wanted = |record: &Record, liveness| {
            wanted.state.is_none_or(|state| state == record.state)
                && wanted.liveness.is_none_or(|wanted| wanted == liveness)
                && wanted.scope.covers(&record.labels)
                && wanted.labels.iter().all(|(key, value)| record.labels.get(key) == Some(value))
        };
        let (mut page, mut total) = (Vec::new(), 0);
        for (name, (record, _)) in racks.iter() {
            let heard = heard.get(name);
            let liveness = self.liveness(record, heard, now);
            if is_wanted(record, liveness) {
                total += 1;
                let is_behind = wanted.after.as_ref().is_none_or(|after| name > after);
                if is_behind && page.len() < wanted.limit {
                    page.push(view(record, heard, liveness));
                }
            }
        }
        (page, total)
    }

    /// One Rack.
    pub(crate) fn view(&self, rack: &Name) -> Option<RackView> {
        let (racks, heard) = (self.racks.read(), self.heard.read());
        let (record, _) = racks.get(rack)?;
        let heard = heard.get(rack);
        Some(view(record, heard, self.liveness(record, heard, self.clock.now())))
    }

    /// Online while no heartbeat is missing, late for the next three, then offline.
    fn liveness(&self, record: &Record, heard: Option<&Heard>, now: Instant) -> Liveness {
        let since = heard.map(|heard| now.saturating_duration_since(heard.at));
        match since {
            Some(since) if record.state == RackState::Active && since <= 2 * self.heartbeat => {
                Liveness::Online
            }
            Some(since) if record.state == RackState::Active && since <= 5 * self.heartbeat => Liveness::Late,
            Some(_) | None => Liveness::Offline,
        }
    }

    fn show(&self, record: Record, revision: Revision) {
        let mut racks = self.racks.write();
        let shown = racks.get(&record.name);
        if shown.is_none_or(|(_, shown)| *shown < revision) {
            let is_other =
                shown.is_none_or(|(shown, _)| shown.state != record.state || shown.labels != record.labels);
            racks.insert(record.name.clone(), (record, revision));
            self.changes.fetch_add(u64::from(is_other), Ordering::Release);
        }
    }
}

fn view(record: &Record, heard: Option<&Heard>, liveness: Liveness) -> RackView {
    RackView {
        name: record.name.clone(),
        state: record.state,
        liveness,
        labels: record.labels.clone(),
        fingerprint: record.key.fingerprint(),
        address: record.address.clone(),
        program: heard.map_or(&record.program, |heard| &heard.heartbeat.program).clone(),
        kinds: record.kinds.clone(),
        first_seen_unix_ms: record.first_seen_unix_ms,
        last_seen_unix_ms: heard.map(|heard| heard.unix_ms),
        certificate_expires_unix_ms: record.certificate_expires_unix_ms,
        passport_number: record.passport_number,
        passport_number_actual: heard.map(|heard| heard.heartbeat.passport_number),
        duty: record.duty,
        log_level: record.log_level,
        uptime_ms: heard.map(|heard| heard.heartbeat.uptime_ms),
        gears: heard.map(|heard| heard.heartbeat.gears),
        alarms: heard.map(|heard| heard.heartbeat.alarms),
    }
}

fn key(rack: &Name) -> Result<Key, Refusal> {
    Key::new(rack.as_str()).map_err(Refusal::from)
}

#[cfg(test)]
mod tests {
    use flux_bus::EmbeddedBus;
    use flux_journal::Keys;
    use flux_world::World;

    use super::*;

    const HEARTBEAT: Duration = Duration::from_secs(10);

    fn record(name: &str, state: RackState) -> Record {
        Record {
            name: Name::new(name).unwrap(),
            state,
            key: PublicKey([1; 32]),
            labels: BTreeMap::from([("site".into(), name[..1].into())]),
            address: None,
            program: "0.1.0".into(),
            kinds: Vec::new(),
            first_seen_unix_ms: 1,
            certificate_expires_unix_ms: None,
            passport_number: 0,
            duty: Duty::default(),
            log_level: None,
            shutdowns: 0,
            bus_keys: BTreeMap::new(),
        }
    }

    async fn registry(directory: &std::path::Path) -> (EmbeddedBus, Registry) {
        let world = World::real();
        let bus =
            EmbeddedBus::open(&world, directory, flux_bus::Settings::default(), Keys::none()).await.unwrap();
        let registry = Registry::open(&bus, world.clock, HEARTBEAT).await.unwrap();
        (bus, registry)
    }

    fn names(registry: &Registry, wanted: &Wanted) -> (Vec<String>, usize) {
        let (page, total) = registry.list(wanted);
        (page.iter().map(|view| view.name.to_string()).collect(), total)
    }

    #[tokio::test]
    async fn racks_are_listed_by_page_and_by_what_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let (bus, registry) = registry(directory.path()).await;
        for name in ["n1", "s1", "n2", "s2", "n3"] {
            registry.add(record(name, RackState::Active)).await.unwrap();
        }
        let taken = registry.add(record("n1", RackState::Active)).await;
        assert!(matches!(taken, Err(Refusal::Conflict(_))));
        let suspended = Name::new("s2").unwrap();
        registry
            .change(&suspended, |record| {
                record.state = RackState::Suspended;
                Ok(())
            })
            .await
            .unwrap();
        let page = |after: Option<&str>| Wanted {
            after: after.map(|name| Name::new(name).unwrap()),
            limit: 2,
            ..Wanted::default()
        };
        assert_eq!(names(&registry, &page(None)), (vec!["n1".into(), "n2".into()], 5));
        assert_eq!(names(&registry, &page(Some("n2"))), (vec!["n3".into(), "s1".into()], 5));
        assert_eq!(names(&registry, &page(Some("s1"))), (vec!["s2".into()], 5));
        let south = BTreeMap::from([("site".to_owned(), "s".to_owned())]);
        let wanted = Wanted { labels: south, state: Some(RackState::Active), limit: 9, ..Wanted::default() };
        assert_eq!(names(&registry, &wanted), (vec!["s1".into()], 1));
        drop(registry);
        let again = Registry::open(&bus, World::real().clock, HEARTBEAT).await.unwrap();
        assert_eq!(again.get(&suspended).unwrap().state, RackState::Suspended, "it is kept");
        again.remove(&suspended).await.unwrap();
        assert!(again.get(&suspended).is_none());
        assert!(matches!(again.remove(&suspended).await, Err(Refusal::Missing(_))));
    }

    #[tokio::test]
    async fn changes_at_once_are_all_made() {
        let directory = tempfile::tempdir().unwrap();
        let (_bus, registry) = registry(directory.path()).await;
        registry.add(record("n1", RackState::Active)).await.unwrap();
        let name = Name::new("n1").unwrap();
        let count = || {
            registry.change(&name, |record| {
                record.passport_number += 1;
                Ok(())
            })
        };
        let (one, two, three) = tokio::join!(count(), count(), count());
        assert!([one, two, three].iter().all(Result::is_ok));
        assert_eq!(registry.get(&name).unwrap().passport_number, 3);
    }

    #[tokio::test]
    async fn who_is_silent_is_late_and_then_offline() {
        let directory = tempfile::tempdir().unwrap();
        let (_bus, registry) = registry(directory.path()).await;
        registry.add(record("n1", RackState::Active)).await.unwrap();
        let name = Name::new("n1").unwrap();
        let liveness = || registry.view(&name).unwrap().liveness;
        assert_eq!(liveness(), Liveness::Offline, "never heard of");
        tokio::time::pause();
        registry.hear(&name, Heartbeat { gears: 3, ..Heartbeat::default() });
        assert_eq!((liveness(), registry.view(&name).unwrap().gears), (Liveness::Online, Some(3)));
        for (after, want) in
            [(20, Liveness::Online), (1, Liveness::Late), (29, Liveness::Late), (1, Liveness::Offline)]
        {
            tokio::time::advance(Duration::from_secs(after)).await;
            assert_eq!(liveness(), want);
        }
        tokio::time::resume();
        registry
            .change(&name, |record| {
                record.state = RackState::Suspended;
                Ok(())
            })
            .await
            .unwrap();
        registry.hear(&name, Heartbeat::default());
        assert_eq!(liveness(), Liveness::Offline, "of one that is suspended nothing is heard");
    }
}
