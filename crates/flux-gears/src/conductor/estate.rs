//! What a conductor leaves to the one in its place: tickets with their requests and leases, and what is on its way.
//!
//! The desk passes as it is. Only what the new configuration calls otherwise is renamed in it: lifetimes, destinations,
//! ports, keys.

use std::sync::Arc;

use flux_gear::{Fault, FluxMsg, Key, Legacy, OutPort, Parcel, keys};

use super::{
    Conductor, Store,
    archive::{self, Archive, Found},
    desk::Desk,
    exchange::Part,
    valet::{Known, Left, NOWHERE, Valet},
};
use crate::moving_table;

/// A conductor's legacy.
pub(super) struct Estate {
    desk: Arc<Desk>,
    archive: Option<Arc<Archive>>,
    /// The destinations, by number.
    destinations: Vec<String>,
    /// The output ports, by place.
    outputs: Vec<String>,
    correlation_key: Vec<Key>,
    secret: [u64; 2],
}

impl Conductor {
    /// Leaves everything, and is as if it had never been started.
    pub(super) fn leave(&mut self) -> Estate {
        std::mem::take(&mut self.closing).cancel();
        let fresh = Arc::new(Desk::new(Valet::new(self.settings.clone())));
        Estate {
            desk: std::mem::replace(&mut self.desk, fresh),
            archive: self.archive.take(),
            destinations: self.destinations.names().to_vec(),
            outputs: self.outputs.clone(),
            correlation_key: self.correlation.parts().to_vec(),
            secret: self.fingerprinter.secret(),
        }
    }

    /// Goes on with what another left.
    pub(super) fn inherit(&mut self, legacy: Legacy) -> Option<Legacy> {
        let estate = match legacy.downcast::<Estate>() {
            Ok(estate) => *estate,
            Err(other) => return Some(other),
        };
        let mut counter = estate.desk.counter();
        counter.is_draining = false;
        counter.valet.resettle(self.settings.clone(), |old| {
            let name = estate.destinations.get(usize::from(old));
            name.map_or(NOWHERE, |name| self.destinations.number(name))
        });
        drop(counter);
        let port = |old: OutPort| {
            let name = estate.outputs.get(old.place())?;
            self.ctx.output(name).ok()
        };
        let (gear, error) = (self.ctx.name(), self.ports.error);
        estate.desk.departures.readdress(port, |stray: &mut FluxMsg| {
            stray.metadata.set(keys::ERROR_GEAR, gear);
            stray.metadata.set(keys::ERROR_REASON, "no_destination");
            stray.metadata.set(keys::ERROR_MESSAGE, "a reload took away the port it was to leave by");
            error
        });
        let has_other_keys = estate.correlation_key != self.correlation.parts();
        (self.desk, self.archive) = (estate.desk, estate.archive);
        self.fingerprinter.set_secret(estate.secret);
        if has_other_keys {
            self.rekey();
        }
        None
    }

    /// Has tickets lie under the keys that this configuration gives them, as far as it gives them any.
    fn rekey(&self) {
        let mut moved = Vec::new();
        self.desk.counter().valet.rekey(|known, key| {
            let msg = match known {
                Known::Open(parked) => parked.request.msg(),
                Known::Closed(outcome) => &outcome.reply,
            };
            let mut new = Vec::new();
            if self.correlation.write(msg, &mut new).is_ok() {
                moved.push((std::mem::replace(key, new.clone()), new));
            }
        });
        let Some(archive) = &self.archive else { return };
        for (from, to) in moved.iter().filter(|(from, to)| from != to) {
            if let Err(why) = archive.rekey(from, to) {
                tracing::error!(gear = self.ctx.name(), error = %why, "a ticket on disk keeps its old key");
            }
        }
    }

    /// What goes over to another process: tickets in memory, written down as they would be on disk. Those on disk are there.
    pub(super) fn pack(self) -> Parcel {
        self.closing.cancel();
        if self.archive.is_some() {
            return Parcel::default();
        }
        let clock = self.ctx.world().clock;
        let table = moving_table::blank(clock);
        let archive = Archive::new(table.clone(), clock);
        let counter = self.desk.counter();
        let written = archive.secret(self.fingerprinter.secret()).map_err(Fault::from).and_then(|_| {
            counter.valet.all().try_for_each(|(key, known, destination, ends_at)| {
                let saved = match known {
                    Known::Open(parked) => {
                        let (request, name) = (parked.request.msg(), self.destinations.name(destination));
                        archive.open(key, (request, parked.fingerprint), name, ends_at)
                    }
                    Known::Closed(outcome) => {
                        let left = ends_at.saturating_duration_since(clock.now());
                        archive.close(key, (&outcome.reply, outcome.fingerprint), left)
                    }
                };
                saved.map(drop)
            })
        });
        if let Err(why) = written {
            tracing::error!(gear = self.ctx.name(), error = %why, "tickets cannot go over to another process");
        }
        Parcel { state: moving_table::pack(&table, clock), ..Parcel::default() }
    }

    /// Takes in the tickets that another process had in memory.
    fn unpack(&mut self) -> Result<(), Fault> {
        let clock = self.ctx.world().clock;
        let table = moving_table::blank(clock);
        let lost = moving_table::unpack(&std::mem::take(&mut self.moved_in), &table, clock);
        if lost > 0 {
            tracing::error!(gear = self.ctx.name(), lost, "tickets of another process are not understood");
        }
        if table.is_empty() {
            return Ok(());
        }
        let archive = Archive::new(table, clock);
        self.fingerprinter.set_secret(archive.secret(self.fingerprinter.secret())?);
        self.recover(&archive)
    }

    /// Has the tickets lie where the configuration says: on disk, with those a crash left there, or in memory alone.
    pub(super) async fn settle_in(&mut self) -> Result<(), Fault> {
        self.unpack()?;
        match (self.store, self.archive.take()) {
            (Store::LocalDurable, Some(archive)) => self.archive = Some(archive),
            (Store::LocalDurable, None) => {
                let table = self.ctx.table(archive::TABLE, self.bounds).await?;
                let archive = Archive::new(table, self.ctx.world().clock);
                self.fingerprinter.set_secret(archive.secret(self.fingerprinter.secret())?);
                self.recover(&archive)?;
                self.archive = Some(Arc::new(archive));
            }
            (Store::Memory, Some(archive)) => archive.clear()?,
            (Store::Memory, None) => {}
        }
        Ok(())
    }

    /// Brings what is in memory and what is on disk together.
    fn recover(&self, archive: &Archive) -> Result<(), Fault> {
        let now = self.ctx.world().clock.now();
        let mut counter = self.desk.counter();
        let mut recovered = Vec::new();
        for mut found in archive.tickets(self.ctx.name()) {
            if let Known::Open(parked) = &mut found.known {
                // Made anew: what the configuration takes for the same may have changed.
                let request = parked.request.msg();
                parked.fingerprint = self.fingerprinter.of(request, Part::of(request).exchange());
            }
            let destination = self.destinations.number(&found.destination);
            let Found { key, known, ends_at, .. } = found;
            recovered.push(Left { key, known, destination, ends_at });
        }
        for (key, known, destination, ends_at) in counter.valet.all() {
            recovered.retain(|other| other.key != key);
            if let Known::Open(parked) = known {
                let name = self.destinations.name(destination);
                let _ = archive.open(key, (parked.request.msg(), parked.fingerprint), name, ends_at)?;
            }
        }
        if !recovered.is_empty() {
            tracing::info!(
                gear = self.ctx.name(),
                tickets = recovered.len(),
                "tickets from before are still here"
            );
        }
        counter.valet.put_back(recovered, now);
        Ok(())
    }
}
