//! Keys that have no word on the bus, for as long as what was issued to them would be good.

use std::collections::BTreeMap;

use flux_bus::{Bus, Error, Key};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Fleet, Mixer};
use crate::refusal::Refusal;
use crate::registry::Record;
use crate::shelf::Shelf;

/// What is said where the bus is not told.
const NOT_OURS: &str = "it is done here, and the bus is not told, for somebody else runs it: whoever does has to take the rack off it, or \
    what the rack was given stays good there until it expires";

/// Since when a key is void.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Void {
    since_unix_s: u64,
    expires_unix_ms: u64,
}

/// All of them: kept, and in memory.
#[derive(Debug)]
pub(crate) struct Revocations {
    shelf: Shelf<Void>,
    void: RwLock<BTreeMap<String, Void>>,
    /// Whether the bus could not be told of all of it.
    untold: watch::Sender<bool>,
}

impl Revocations {
    pub(crate) async fn open(bus: &dyn Bus) -> Result<Revocations, Error> {
        let shelf: Shelf<Void> = Shelf::open(bus, "revocations").await?;
        let listed = shelf.list().await?.into_iter();
        let void = listed.map(|(key, void, _)| (key.as_str().to_owned(), void)).collect();
        Ok(Revocations { shelf, void: RwLock::new(void), untold: watch::Sender::new(false) })
    }

    /// What the bus is to be told.
    pub(crate) fn all(&self) -> BTreeMap<String, u64> {
        self.void.read().iter().map(|(key, void)| (key.clone(), void.since_unix_s)).collect()
    }

    pub(crate) fn is_void(&self, key: &str) -> bool {
        self.void.read().contains_key(key)
    }

    async fn add(&self, key: &str, void: Void) -> Result<(), Refusal> {
        let place = Key::new(key)?;
        let expected = self.shelf.get(&place).await?.map(|(_, revision)| revision);
        self.shelf.put(place, &void, expected).await?;
        self.void.write().insert(key.to_owned(), void);
        Ok(())
    }

    async fn lift(&self, key: &str) -> Result<(), Refusal> {
        let place = Key::new(key)?;
        if let Some((_, revision)) = self.shelf.get(&place).await? {
            self.shelf.remove(place, revision).await?;
        }
        self.void.write().remove(key);
        Ok(())
    }
}

impl Mixer {
    /// What a server has to know when it starts.
    pub fn revoked(&self) -> BTreeMap<String, u64> {
        self.revocations.all()
    }

    /// Takes the word on the bus from everything that was issued to a Rack.
    pub(super) async fn make_void(&self, record: &Record) -> Result<(), Refusal> {
        let now = self.world.clock.unix_ms();
        for (key, expires_unix_ms) in &record.bus_keys {
            let void = Void { since_unix_s: now / 1_000, expires_unix_ms: *expires_unix_ms };
            self.revocations.add(key, void).await?;
        }
        let fleet = self.fleet();
        if fleet.is_some_and(|Fleet { authority, .. }| !authority.is_some_and(|by| by.may_revoke())) {
            tracing::warn!(rack = %record.name, "{NOT_OURS}");
            return Err(Refusal::Unavailable(NOT_OURS.into()));
        }
        self.tell_revocations().await
    }

    /// What was cut off when the Mixer ended is done, and what has expired meanwhile is forgotten, before a server is told.
    pub(super) async fn void_again(&self) -> Result<(), Refusal> {
        for record in self.registry.barred() {
            let keys = record.bus_keys.keys();
            if !keys.clone().all(|key| self.revocations.is_void(key)) {
                self.make_void(&record).await?;
            }
        }
        self.forget_expired().await
    }

    /// Gives it back.
    pub(super) async fn make_good(&self, record: &Record) -> Result<(), Refusal> {
        for key in record.bus_keys.keys() {
            self.revocations.lift(key).await?;
        }
        self.tell_revocations().await
    }

    /// Forgets what has expired by itself.
    pub(super) async fn forget_expired(&self) -> Result<(), Refusal> {
        let now = self.world.clock.unix_ms();
        let void = self.revocations.void.read().clone();
        let expired: Vec<&String> =
            void.iter().filter(|(_, void)| void.expires_unix_ms < now).map(|(key, _)| key).collect();
        for key in &expired {
            self.revocations.lift(key).await?;
        }
        if expired.is_empty() { Ok(()) } else { self.tell_revocations().await }
    }

    /// Until there is something that the bus could not be told.
    pub(super) async fn untold(&self) {
        let mut untold = self.revocations.untold.subscribe();
        // It ends with the Mixer, which whoever waits here holds.
        let _ = untold.wait_for(|untold| *untold).await;
    }

    pub(super) async fn tell_revocations(&self) -> Result<(), Refusal> {
        let authority = self.fleet().and_then(|fleet| fleet.authority).filter(|by| by.may_revoke());
        let Some(authority) = authority else { return Ok(()) };
        let told = authority.revoke(self.revocations.all()).await;
        self.revocations.untold.send_replace(told.is_err());
        told.map_err(|why| {
            tracing::error!(%why, "the server is not told who is revoked; it is tried again");
            let why = "it is kept, and the bus does not know yet; it is told as soon as it answers";
            Refusal::Unavailable(why.into())
        })
    }
}
