//! A gear whose sink commits the id of a message together with its effect, so that a message that comes again has none.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use flux_gear::{
    Category, Descriptor, Emitter, Fault, FluxId, FluxMsg, Gear, GearContext, InPort, Outbox, Step, Terminus,
};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension};
use schemars::JsonSchema;
use serde::Deserialize;

/// What a user writes under `config`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The database.
    path: PathBuf,
    /// How many ids are kept: at least as many messages as may be unsettled, which `store.window_messages` bounds.
    #[serde(default = "ids_max")]
    ids_max: u32,
}

fn ids_max() -> u32 {
    1_000_000
}

struct Ledger {
    config: Config,
    ctx: GearContext,
    database: Option<Arc<Mutex<Connection>>>,
}

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS done (number INTEGER PRIMARY KEY, id BLOB UNIQUE NOT NULL);
    CREATE TABLE IF NOT EXISTS account (bookings INTEGER NOT NULL, balance INTEGER NOT NULL, again INTEGER NOT NULL);
    INSERT INTO account SELECT 0, 0, 0 WHERE NOT EXISTS (SELECT * FROM account);
";

impl Gear for Ledger {
    const KIND: &'static str = "ledger";
    type Config = Config;

    // It waits for the disk, and so gets a task of its own.
    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "books amounts in a database, each once")
            .terminus(Terminus::Io)
            .input("in", "amounts")
            .waits()
    }

    fn init(config: Config, ctx: &GearContext) -> Result<Ledger, Fault> {
        Ok(Ledger { config, ctx: ctx.clone(), database: None })
    }

    async fn start(&mut self, _: Emitter) -> Result<(), Fault> {
        let database = Connection::open(&self.config.path).and_then(|database| {
            database.execute_batch(SCHEMA)?;
            Ok(database)
        });
        self.database = Some(Arc::new(Mutex::new(database.map_err(|why| Fault::fatal(why.to_string()))?)));
        Ok(())
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        let amount = str::from_utf8(&msg.payload).ok().and_then(|text| text.trim().parse::<i64>().ok());
        // The message is at fault: to the error port, or to the dead letters.
        let amount = amount.ok_or_else(|| Fault::invalid("not an amount").reason("not_an_amount"))?;
        let database = self.database.clone().ok_or_else(|| Fault::fatal("not started"))?;
        let (disk, id, ids_max) = (self.ctx.world().disk.clone(), msg.id, self.config.ids_max);
        Ok(Step::Wait(Box::pin(async move {
            let booked = disk.offload(move || book(&mut database.lock(), id, amount, ids_max)).await;
            // The world is at fault: a durable wire waits until it is over.
            booked.map_err(|why| Fault::transient(why.to_string()).reason("database"))?;
            Ok(Outbox::new())
        })))
    }
}

/// One transaction: the id, and what it stands for. Both are there after a crash, or neither.
fn book(database: &mut Connection, id: FluxId, amount: i64, ids_max: u32) -> rusqlite::Result<()> {
    let id = id.to_string();
    let booking = database.transaction()?;
    let is_done = "SELECT number FROM done WHERE id = ?1";
    if booking.query_row(is_done, [&id], |_| Ok(())).optional()?.is_some() {
        booking.execute("UPDATE account SET again = again + 1", [])?;
    } else {
        booking.execute("INSERT INTO done (id) VALUES (?1)", [&id])?;
        booking.execute("UPDATE account SET bookings = bookings + 1, balance = balance + ?1", [amount])?;
        booking.execute("DELETE FROM done WHERE number <= last_insert_rowid() - ?1", [ids_max])?;
    }
    booking.commit()
}

fn main() -> ExitCode {
    fluxrig::run(flux_gears::builtin().with::<Ledger>())
}
