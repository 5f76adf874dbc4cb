//! An append-only journal on disk: written once, read in order, trimmed from the front, trusted after a crash.
//!
//! Records are appended to segments, each with its own checks (`record.rs` and `segment.rs` draw the format). One writer on a
//! thread of its own commits what gathered while the disk was busy, so that any number of callers share a sync; a
//! [`Receipt`] resolves when its record is safe. Named [`Consumer`]s are given records in order, from memory when they keep
//! up, settle them in any order, and go on where they stood. What is settled by all is trimmed; what is not is never dropped
//! in silence: a full journal makes its senders wait. After a crash nothing that was acknowledged is lost, a torn tail is told
//! from damage (`survey.rs` says how), and no record is ever served whose checks do not hold.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use flux_journal::{Config, Journal, Keys, Start};
//!
//! # let directory = tempfile::tempdir().unwrap();
//! let world = flux_world::World::real();
//! let (journal, _found) = Journal::open(&world, directory.path(), Config::default(), Keys::none()).unwrap();
//! let mut consumer = journal.consumer("uplink", Start::Oldest).unwrap();
//! journal.append(b"0200").await.unwrap().wait().await.unwrap();
//! for record in consumer.next(64).await.unwrap().records {
//!     assert_eq!(record.body, "0200");
//!     consumer.settle(record.sequence);
//! }
//! journal.close().await.unwrap();
//! # });
//! ```

mod config;
mod consumer;
mod cursor;
mod error;
mod inspect;
mod journal;
mod keys;
pub mod limits;
mod mend;
mod open_segment;
mod reader;
mod recent;
mod record;
mod recovery;
mod repair;
mod roll;
mod scan;
mod segment;
mod shared;
mod survey;
mod writer;

pub use config::{Ack, Config, WhenFull};
pub use consumer::{Batch, Consumer, Settler};
pub use error::{AppendError, ConsumerError, Damage, DamageKind, FormatError, Full, OpenError, ReadError};
pub use inspect::{CheckReport, Dump, check, dump, sealed_segment, walk};
pub use journal::{Journal, Receipt, Start, Stats};
pub use keys::{Key, KeyFileError, Keys};
pub use reader::Record;
pub use recovery::Recovery;
pub use repair::{Moved, RepairReport, repair};
pub use roll::is_journal;
pub use survey::TornTail;
