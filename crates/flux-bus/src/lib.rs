//! Bytes by subject and bytes by key: the seam between the house and whatever carries them.
//!
//! A [`Bus`] sends to who listens ([`Bus::publish`], [`Bus::subscribe`], [`Bus::request`]: at most once), keeps in streams what
//! must not be lost ([`Bus::store`]: at least once, de-duplicated by [`MessageId`]), lends it to durable pull [`Consumer`]s, and
//! keeps entries in [`Bucket`]s with compare-and-set and a [`Watch`] that misses nothing, and longer things in [`Objects`].
//!
//! [`EmbeddedBus`] is a bus of one process on journals, without a server. Others are leaves; every one of them runs
//! [`conformance`], which is what the seam promises, in code. What stands on the seam and is the same on every bus is here
//! too: [`Intake`] (again after a while, then to the dead letters) and [`Mirror`] (a copy of a bucket, kept by its watch).
//!
//! | said by | means | not |
//! |---|---|---|
//! | [`Bus::store`] | it is in the stream, on disk as the bus defines it | that anybody has it |
//! | [`Lease::ack`] | it does not come again | that this survives the loss of the bus's machine: then it may |
//! | [`Bucket::put`] | it is there, and nobody else was first | that a watch has told it |
//! | [`Error::Deadline`], [`Error::Away`] | perhaps | no |
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use std::time::Duration;
//! use flux_bus::{Bus, ConsumerConfig, EmbeddedBus, Message, MessageId, Name, Pattern, Retention, Settings, StreamConfig, Subject};
//! use flux_journal::Keys;
//!
//! # let directory = tempfile::tempdir().unwrap();
//! let world = flux_world::World::real();
//! let bus = EmbeddedBus::open(&world, directory.path(), Settings::default(), Keys::none()).await?;
//! let (stream, reader, all) = (Name::new("north")?, Name::new("inbox")?, Pattern::new("flux.msg.north.>")?);
//! bus.make_stream(StreamConfig::new(stream.clone(), vec![all.clone()], Retention::Queue)).await?;
//! bus.make_consumer(stream.clone(), ConsumerConfig::new(reader.clone(), all)).await?;
//!
//! let message = Message::new(Subject::new("flux.msg.north.w1")?, "0200");
//! assert!(!bus.store(MessageId::new("w1/7")?, message.clone()).await?.is_duplicate);
//! assert!(bus.store(MessageId::new("w1/7")?, message).await?.is_duplicate);
//!
//! let consumer = bus.consumer(stream, reader).await?;
//! for delivery in consumer.fetch(64, Duration::from_secs(1)).await? {
//!     assert_eq!(delivery.message.body, "0200");
//!     delivery.lease.ack().await?;
//! }
//! # Ok::<(), flux_bus::Error>(())
//! # }).unwrap();
//! ```

mod bucket;
mod bus;
mod config;
pub mod conformance;
mod embedded;
mod error;
mod grants;
mod intake;
pub mod limits;
mod mesh_wire;
mod message;
mod mirror;
mod names;
pub mod subject;

pub use bucket::{Bucket, Entry, Objects, Revision, Update, Watch};
pub use bus::{Answer, Bus, Consumer, Delivery, Lease, Stored, StreamState, Subscription, answer};
pub use config::{Begin, BucketConfig, ConsumerConfig, Retention, StreamConfig, WhenFull};
pub use embedded::{EmbeddedBus, Settings};
pub use error::Error;
pub use grants::Grants;
pub use intake::{
    Fate, HEADER_ATTEMPTS, HEADER_FROM, HEADER_REASON, HEADER_SEQUENCE, HEADER_SUBJECT, Intake, Redelivery,
};
pub use mesh_wire::MeshWire;
pub use message::{Headers, Message};
pub use mirror::Mirror;
pub use names::{Key, MessageId, Name};
pub use subject::{Pattern, Subject};
