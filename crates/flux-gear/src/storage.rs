//! What a gear keeps beyond its process: keyed state ([`Table`]) and what is still to be done ([`Log`]).
//!
//! The host implements it on disk, [`crate::mock`] in memory. A change is made at once and is safe when its [`Saved`] says
//! so: what must not happen before (a request that leaves, an answer that is given) waits for it.

mod entries;
mod error;
mod log;
mod memory;
mod saved;
mod table;

use std::{future::Future, pin::Pin};

pub use entries::{Bounds, Entries, Kept};
pub use error::StorageError;
pub use log::{Backlog, Log, LogStore, Records};
pub use memory::StorageInMemory;
pub use saved::{Pledge, Saved};
pub use table::{Change, Entry, Ledger, Occupied, Table, WeakTable};

/// Opens what gears keep. Implemented by the host; a gear asks its context ([`crate::GearContext::table`]).
pub trait Storage: Send + Sync {
    /// The table of that name of a gear, with what it held. While it is open, who asks again gets the same one.
    fn table<'a>(&'a self, gear: &'a str, name: &'a str, bounds: Bounds) -> Opening<'a, Table>;

    /// The log of that name of a gear, and the one who reads it, from the oldest record that is not settled.
    fn log<'a>(&'a self, gear: &'a str, name: &'a str) -> Opening<'a, (Log, Backlog)>;
}

/// What is being opened.
pub type Opening<'a, T> = Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + 'a>>;
