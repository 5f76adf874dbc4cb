//! The coat check: what must not travel, or must not be lost, stays here until the answer comes.
//!
//! ```text
//!   in_store ───> key ─> hang up, unless the hook is taken ─> (safe) ─> out_store
//!   in_restore ─> key ─> fetch, if it is there ─────────────> (safe) ─> out_restore
//!   the clock ─────────> time is up: tell, then throw away ───────────> out_timeout
//! ```
//!
//! One gear is one bucket, with both sides and the clock: nothing has to be told that two of them are the same, and nobody
//! can forget the one who watches the time.

mod coat;
mod config;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use flux_gear::{
    Category, Descriptor, Drain, Emitter, Fault, FluxMsg, Gear, GearContext, InPort, Legacy, OutPort, Outbox,
    Parcel, Saved, Step, Table, Terminus, Value,
    storage::{Bounds, Entry},
};
use tokio_util::sync::CancellationToken;

use crate::{
    correlation::Correlation,
    departures::{Departures, Gate},
    expiry::{Expiry, Teller},
    moving_table,
};
use coat::Tailor;

pub use config::{Bucket, Config, Merge, Normalize, OnMissing, OnOccupied};

/// The coat check.
pub struct CoatCheck {
    ctx: GearContext,
    ports: Ports,
    bucket: Bucket,
    bounds: Bounds,
    ttl: Duration,
    on_occupied: OnOccupied,
    on_missing: OnMissing,
    store_key: Correlation,
    restore_key: Correlation,
    tailor: Arc<Tailor>,
    /// What outlives this gear in a live reload; from `start` on.
    room: Option<Room>,
    /// The coats that another process had in memory, until `start`.
    moved_in: Value,
    /// Ends what this gear started.
    closing: CancellationToken,
    /// The key of the message in hand; a field so that its buffer is reused.
    key: Vec<u8>,
}

struct Ports {
    store: InPort,
    stored: OutPort,
    restored: OutPort,
    timeout: OutPort,
    error: OutPort,
}

/// The coats, and what is on its way because of them.
#[derive(Clone)]
struct Room {
    bucket: Bucket,
    coats: Table,
    departures: Arc<Departures>,
    expiry: Arc<Expiry>,
}

/// The name of the table in the rack's storage.
const TABLE: &str = "coats";

impl Gear for CoatCheck {
    const KIND: &'static str = "coat_check";
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            Category::Logic,
            "keeps values of a message while it travels, and puts them back into its answer",
        )
        .terminus(Terminus::Opaque)
        .input("in_store", "messages that leave something here")
        .input("in_restore", "answers to them")
        .output_and_source("out_store", "the messages, without what they left")
        .output_and_source("out_restore", "the answers, with what was left")
        .source("out_timeout", "one event for each coat that nobody fetched in time")
        .output_and_source("error", "messages and answers that cannot be dealt with")
    }

    fn init(config: Config, ctx: &GearContext) -> Result<CoatCheck, Fault> {
        let problem = |why: &str| Fault::fatal(why).reason("config");
        if config.key.is_empty() {
            return Err(problem("`key` must not be empty"));
        }
        if !config.restore_key.is_empty() && config.restore_key.len() != config.key.len() {
            return Err(problem("`restore_key` must name as many values as `key`"));
        }
        if config.ttl.0.is_zero() {
            return Err(problem("`ttl` leaves no time for an answer"));
        }
        if config.values.is_empty() && !config.return_address {
            return Err(problem("nothing is kept: name `values`, or leave `return_address` on"));
        }
        if let Some(key) =
            config.values.iter().find(|key| ["flux_id", "trace_id", "src_id"].contains(&key.as_str()))
        {
            return Err(problem(&format!(
                "`{key}` cannot be parked: name a path of data or metadata, or `payload`"
            )));
        }
        let restore_key = if config.restore_key.is_empty() { &config.key } else { &config.restore_key };
        Ok(CoatCheck {
            ports: Ports {
                store: ctx.input("in_store")?,
                stored: ctx.output("out_store")?,
                restored: ctx.output("out_restore")?,
                timeout: ctx.output("out_timeout")?,
                error: ctx.output("error")?,
            },
            bucket: config.bucket,
            bounds: Bounds {
                entries_max: config.coats_max as usize,
                bytes_max: usize::try_from(config.bytes_max.0).unwrap_or(usize::MAX),
            },
            ttl: config.ttl.0,
            on_occupied: config.on_occupied,
            on_missing: config.on_missing,
            store_key: Correlation::new(config.key.clone(), config.key_normalize),
            restore_key: Correlation::new(restore_key.clone(), config.key_normalize),
            tailor: Arc::new(Tailor::new(&config, ctx.name())),
            room: None,
            moved_in: Value::Null,
            closing: CancellationToken::new(),
            key: Vec::new(),
            ctx: ctx.clone(),
        })
    }

    async fn start(&mut self, emit: Emitter) -> Result<(), Fault> {
        let room = match self.room.take() {
            Some(room) => room,
            None => self.open().await?,
        };
        let gate = Gate { emit: emit.clone(), error: self.ports.error, gear: self.ctx.name().into() };
        self.ctx.spawn(room.departures.clone().run(gate, self.closing.clone()));
        let teller = Teller {
            emit,
            port: self.ports.timeout,
            gear: self.ctx.name().into(),
            clock: self.ctx.world().clock,
            judge: self.tailor.clone(),
        };
        self.ctx.spawn(room.expiry.clone().run(room.coats.clone(), teller, self.closing.clone()));
        self.room = Some(room);
        Ok(())
    }

    fn process(&mut self, port: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        let Some(room) = self.room.clone() else {
            return Err(Fault::fatal("the gear is not started"));
        };
        if room.departures.is_full() {
            return Err(Fault::transient("the disk does not keep up").reason("store_busy"));
        }
        if port == self.ports.store {
            self.store(&room, msg, out)?
        } else {
            self.restore(&room, msg, out)?
        }
        Ok(Step::Done)
    }

    fn drain(&mut self) -> Drain {
        match &self.room {
            Some(room) => {
                let room = room.clone();
                Box::pin(async move {
                    room.departures.idle().await;
                    room.expiry.idle().await;
                })
            }
            None => Box::pin(async {}),
        }
    }

    fn hand_over(&mut self) -> Option<Legacy> {
        let room = self.room.take()?;
        std::mem::take(&mut self.closing).cancel();
        Some(Box::new(room))
    }

    fn pause(&mut self, _: Duration) -> Drain {
        self.drain()
    }

    async fn move_out(self) -> Parcel {
        self.closing.cancel();
        let in_memory = self.room.filter(|room| room.bucket == Bucket::Memory);
        let state = in_memory.map(|room| moving_table::pack(&room.coats, self.ctx.world().clock));
        Parcel { state: state.unwrap_or_default(), ..Parcel::default() }
    }

    fn move_in(&mut self, parcel: Parcel) -> Result<(), Fault> {
        self.moved_in = parcel.state;
        Ok(())
    }

    fn take_over(&mut self, legacy: Legacy) -> Option<Legacy> {
        match legacy.downcast::<Room>() {
            // Coats do not move between memory and disk: those in memory would be said to be safe.
            Ok(room) if room.bucket == self.bucket => {
                room.coats.set_bounds(self.bounds);
                self.room = Some(*room);
                None
            }
            Ok(room) => Some(room),
            Err(other) => Some(other),
        }
    }

    async fn stop(self) {
        let Some(room) = &self.room else { return };
        let (in_hand, coats) = (room.departures.in_hand(), room.coats.len());
        self.ctx.discarded("not_safe_yet", in_hand as u64);
        if self.bucket == Bucket::Memory && coats > 0 {
            tracing::warn!(gear = self.ctx.name(), coats, "coats in memory go with the gear");
        }
    }
}

impl CoatCheck {
    async fn open(&self) -> Result<Room, Fault> {
        let coats = match self.bucket {
            Bucket::Memory => Table::in_memory(self.bounds, self.ctx.world().clock),
            Bucket::Local => self.ctx.table(TABLE, self.bounds).await?,
        };
        let lost = moving_table::unpack(&self.moved_in, &coats, self.ctx.world().clock);
        if lost > 0 {
            tracing::error!(gear = self.ctx.name(), lost, "coats of another process find no place here");
        }
        let kept = coats.len();
        if kept > 0 {
            tracing::info!(gear = self.ctx.name(), coats = kept, "coats from before are still here");
        }
        Ok(Room { bucket: self.bucket, coats, departures: Arc::default(), expiry: Arc::default() })
    }

    fn store(&mut self, room: &Room, msg: &FluxMsg, out: &mut Outbox) -> Result<(), Fault> {
        self.store_key.write(msg, &mut self.key)?;
        let there = room.coats.get(&self.key);
        let hangs_up = match &there {
            None => true,
            Some(entry) => self.may_take_the_place_of(entry, msg)?,
        };
        let (coat, outbound) = self.tailor.park(msg, &self.ctx)?;
        let saved = match hangs_up {
            true => {
                let saved = room.coats.put(&self.key, coat::fold(&coat)?, Some(self.ttl))?;
                room.expiry.look_at(self.ctx.world().clock.now() + self.ttl);
                saved
            }
            false => Saved::already(),
        };
        if saved.is_safe() && room.departures.is_empty() {
            match self.tailor.leaves_as_it_is() {
                true => out.forward(self.ports.stored),
                false => out.emit(self.ports.stored, outbound),
            }
        } else {
            room.departures.push(saved, self.ports.stored, outbound);
        }
        Ok(())
    }

    /// Whether the coat of a message is hung up where another hangs; else the message goes on without.
    fn may_take_the_place_of(&self, there: &Entry, msg: &FluxMsg) -> Result<bool, Fault> {
        if is_over(there, &self.ctx) {
            return Err(
                Fault::transient("the coat under this key is just being thrown away").reason("key_occupied")
            );
        }
        if coat::unfold(&there.value)?.cause == Some(msg.id) {
            return Ok(false);
        }
        match self.on_occupied {
            OnOccupied::Reject => {
                Err(Fault::invalid("the coat of another message hangs under this key").reason("key_occupied"))
            }
            OnOccupied::Replace => Ok(true),
            OnOccupied::Keep => Ok(false),
        }
    }

    fn restore(&mut self, room: &Room, answer: &FluxMsg, out: &mut Outbox) -> Result<(), Fault> {
        self.restore_key.write(answer, &mut self.key)?;
        // One whose time is up is the clock's: its event may have left.
        let there = room.coats.get(&self.key).filter(|entry| !is_over(entry, &self.ctx));
        let (saved, restored) = match (there, self.on_missing) {
            (Some(entry), _) => {
                let coat = coat::unfold(&entry.value)?;
                let fetched = room.coats.delete(&self.key)?;
                let (_, saved) =
                    fetched.expect("only the clock removes coats besides, and not before their time is up");
                (saved, self.tailor.restore(answer, coat))
            }
            (None, OnMissing::Error) => {
                return Err(Fault::invalid("no coat hangs under the key of this answer").reason("no_coat"));
            }
            (None, OnMissing::Drop) => return Ok(()),
            (None, OnMissing::Forward) => (Saved::already(), answer.clone()),
        };
        if saved.is_safe() && room.departures.is_empty() {
            out.emit(self.ports.restored, restored);
        } else {
            room.departures.push(saved, self.ports.restored, restored);
        }
        Ok(())
    }
}

fn is_over(entry: &Entry, ctx: &GearContext) -> bool {
    entry.ends_at.is_some_and(|ends| ends <= ctx.world().clock.now())
}
