//! The Mixer: who belongs to the fleet, what each may, and what it is told of them.

mod activation;
mod admin;
mod enrol;
mod listening;
mod ordering;
mod releases;
mod revocation;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flux_bus::{Bus, EmbeddedBus, Name};
use flux_identity::{RackView, Racks, Token};
use flux_journal::{Key, Keys};
use flux_scenario::Catalog;
use flux_scenario::hex::Hex;
use flux_world::World;
use parking_lot::{Mutex, RwLock};
use schemars::JsonSchema;
use serde::Serialize;

use crate::allowance::Allowance;
use crate::audit::{Audit, AuditError, Note, Outcome};
use crate::authority::Authority;
use crate::events::Events;
use crate::freshness::Freshness;
use crate::keyring::Keyring;
use crate::limits::REFUSALS_BURST;
use crate::refusal::Refusal;
use crate::registry::{Registry, Wanted};
use crate::store::Store;
use crate::tokens::{Access, Invitation, Tokens};

pub(crate) use activation::Active;
pub use admin::{Actor, Invite};
pub(crate) use releases::{Push, Sort};
pub(crate) use revocation::Revocations;

/// How a Mixer is set.
#[derive(Clone, Debug)]
pub struct MixerSettings {
    /// What it and its fleet are called.
    pub name: Name,
    /// Where it keeps everything.
    pub directory: PathBuf,
    /// How often a Rack is to say that it lives.
    pub heartbeat: Duration,
    /// How long the certificate of a Rack is good.
    pub certificate_lifetime: Duration,
}

/// What there is beside the settings.
#[derive(Debug)]
pub struct Components {
    /// Time, chance, disk.
    pub world: World,
    /// The keys.
    pub keyring: Arc<Keyring>,
    /// The kinds of gears that are known here.
    pub catalog: Arc<Catalog>,
    /// How this Mixer is set, as it may be shown: without a secret.
    pub shown: serde_json::Value,
}

/// The bus that Racks are on, and who decides on it; none where there is no server.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// Where Racks connect to.
    pub urls: Vec<String>,
    /// Who vouches for the servers there, PEM; none where it is the CA of the Mixer.
    pub bus_ca: Option<String>,
    /// Who makes identities on it; none where that is for whoever runs it.
    pub authority: Option<Arc<dyn Authority>>,
}

/// A Mixer.
#[derive(Debug)]
pub struct Mixer {
    world: World,
    settings: MixerSettings,
    keyring: Arc<Keyring>,
    store: EmbeddedBus,
    registry: Registry,
    revocations: Revocations,
    invitations: Tokens<Invitation>,
    access: Tokens<Access>,
    audit: Audit,
    freshness: Freshness,
    /// The bus of the fleet; set once it is there.
    fleet: RwLock<Option<Fleet>>,
    catalog: Arc<Catalog>,
    shown: serde_json::Value,
    scenarios: Store,
    specs: Store,
    active: Active,
    events: Events,
    /// Refusals that are written down; of more than these, the count.
    refusals: Mutex<Allowance>,
    counts: Counts,
}

/// What was counted since it began.
#[derive(Debug, Default)]
struct Counts {
    enrolled: AtomicU64,
    renewed: AtomicU64,
    refused: AtomicU64,
    refused_unwritten: AtomicU64,
    heartbeats: AtomicU64,
    heartbeats_unreadable: AtomicU64,
}

/// The counts as they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counted {
    /// Racks that were enrolled.
    pub enrolled: u64,
    /// Certificates that were made anew.
    pub renewed: u64,
    /// What was refused.
    pub refused: u64,
    /// Of those, how many came too fast to be written down.
    pub refused_unwritten: u64,
    /// Heartbeats that were taken in.
    pub heartbeats: u64,
    /// Those that could not be read, or did not fit.
    pub heartbeats_unreadable: u64,
}

impl Mixer {
    /// Opens what is kept in the directory, or begins it. With a token for the API where there was none, which is shown to
    /// nobody again.
    ///
    /// # Errors
    /// When it cannot be opened, and when the audit log was tampered with.
    pub async fn open(parts: Components, settings: MixerSettings) -> Result<(Mixer, Option<Token>), Refusal> {
        let Components { world, keyring, catalog, shown } = parts;
        let keys = Keys::new(vec![Key { id: 1, secret: keyring.store_key }]);
        let store = settings.directory.join("store");
        let store = EmbeddedBus::open(&world, &store, flux_bus::Settings::default(), keys.clone()).await?;
        let audit = Audit::open(&world, &settings.directory.join("audit"), keys, keyring.clone())?;
        let (clock, fingerprint) = (world.clock, keyring.ca.fingerprint());
        let mixer = Mixer {
            registry: Registry::open(&store, clock, settings.heartbeat).await?,
            scenarios: Store::open(&store, "scenario", keyring.store_key).await?,
            specs: Store::open(&store, "spec", keyring.store_key).await?,
            active: Active::open(&store).await?,
            events: Events::new(clock.unix_ms()),
            revocations: Revocations::open(&store).await?,
            invitations: Tokens::open(&store, clock, fingerprint).await?,
            access: Tokens::open(&store, clock, fingerprint).await?,
            freshness: Freshness::new(clock.unix_ms()),
            refusals: Mutex::new(Allowance::new(REFUSALS_BURST, 1, clock.now())),
            fleet: RwLock::default(),
            counts: Counts::default(),
            world,
            settings,
            keyring,
            catalog,
            shown,
            store,
            audit,
        };
        mixer.resume().await?;
        mixer.void_again().await?;
        let first = mixer.first_token().await?;
        Ok((mixer, first))
    }

    /// Says on which bus the Racks are.
    pub fn set_fleet(&self, fleet: Fleet) {
        *self.fleet.write() = Some(fleet);
    }

    /// Its settings.
    pub fn settings(&self) -> &MixerSettings {
        &self.settings
    }

    /// How it is set, as it may be shown.
    pub(crate) fn shown(&self) -> &serde_json::Value {
        &self.shown
    }

    /// The kinds of gears that are known here.
    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What happens.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// What it keeps of time and chance.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Its keys.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The audit log.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The fingerprint of its CA, as it is printed.
    pub fn fingerprint(&self) -> String {
        Hex(&self.keyring.ca.fingerprint()).to_string()
    }

    /// Where Racks connect to.
    pub fn bus_urls(&self) -> Vec<String> {
        self.fleet().map(|fleet| fleet.urls).unwrap_or_default()
    }

    /// What was counted.
    pub fn counted(&self) -> Counted {
        let Counts { enrolled, renewed, refused, refused_unwritten, heartbeats, heartbeats_unreadable } =
            &self.counts;
        let [enrolled, renewed, refused, refused_unwritten, heartbeats, heartbeats_unreadable] =
            [enrolled, renewed, refused, refused_unwritten, heartbeats, heartbeats_unreadable]
                .map(|count| count.load(Ordering::Relaxed));
        Counted { enrolled, renewed, refused, refused_unwritten, heartbeats, heartbeats_unreadable }
    }

    /// A page of Racks, of those in the scope.
    pub(crate) fn racks(&self, wanted: &Wanted) -> Racks {
        let (racks, total) = self.registry.list(wanted);
        let next = racks.last().map(|rack| rack.name.clone()).filter(|_| racks.len() == wanted.limit);
        Racks { racks, total, next }
    }

    /// One Rack.
    pub(crate) fn rack(&self, rack: &Name) -> Result<RackView, Refusal> {
        self.registry.view(rack).ok_or_else(|| Refusal::Missing(format!("rack {rack}")))
    }

    /// Puts everything on disk.
    pub async fn close(&self) {
        self.audit.close().await;
        if let Err(why) = self.store.close().await {
            tracing::error!(%why, "what the Mixer keeps may not be on disk");
        }
    }

    fn fleet(&self) -> Option<Fleet> {
        self.fleet.read().clone()
    }

    /// Writes something down, and tells whoever follows the log.
    async fn write_down(&self, note: Note<'_>) -> Result<(), AuditError> {
        let number = self.audit.note(note).await?;
        self.tell("audit.noted", &number.to_string());
        Ok(())
    }

    /// Counts a refusal and writes it down, unless they come too fast.
    pub(crate) async fn refuse(&self, who: &str, what: &str, about: &str, why: &str) {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        if !self.refusals.lock().take(self.world.clock.now()) {
            self.counts.refused_unwritten.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let note = Note { who, what, about, outcome: Outcome::Refused, detail: why };
        if let Err(error) = self.write_down(note).await {
            tracing::error!(%error, "a refusal is not written down");
        }
    }
}

/// Labels, the second winning.
fn merged(one: &BTreeMap<String, String>, two: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    one.iter().chain(two).map(|(key, value)| (key.clone(), value.clone())).collect()
}
