//! Wires between racks: an outbox, packs over the bus, an inbox, and nothing forgotten before it is there.
//!
//! ```text
//!   sending rack                          the bus                             receiving rack
//!   outbox (a journal)  -- packs ------>  flux.msg.<to>.<wire>  -- packs -->  inbox (a journal)
//!      ^ forgotten  <------ reports ----  flux.ctrl.<from>.mesh.<wire>  <---  "all before N is on disk"
//! ```
//!
//! **Nothing is lost.** A [`Sender`] forgets a record when the [`Receiver`] has said that its inbox has it on disk, and never for
//! what the bus says. Whatever the bus loses, and whatever is killed meanwhile, is sent again: a receiver takes only what goes on
//! from its [`Mark`], and says so when something else comes.
//!
//! **Nothing is twice.** The mark is a part of each record of the inbox ([`mark`](unstamped)), so it survives what they survive.
//! An outbox has an epoch, which tells it from the one before it; a record is known by epoch and sequence.
//!
//! **In order.** What a wire takes first it delivers first. Wires do not wait for each other: each has a stream, a window and
//! two tasks of its own, and reports go another way than packs.
//!
//! **Bounded.** An outbox that is full makes its senders wait, and so does an inbox; nothing is dropped, for its size or its age.
//! On the bus there is at most what [`limits`] says.

mod cbor;
mod error;
mod inlet;
pub mod limits;
mod line;
mod mark;
mod outbox;
mod outlet;
mod pace;
mod pack;
mod receiver;
mod report;
mod sender;

pub use cbor::Malformed;
pub use error::EndError;
pub use flux_bus::MeshWire;
pub use line::{Line, furnish};
pub use mark::{Mark, STAMP_BYTES, unstamped};
pub use outbox::{is_outbox, make_outbox};
pub use pack::{Content, Pack};
pub use receiver::{Letters, Receiver, ReceiverStatus};
pub use report::{Report, State};
pub use sender::{Sender, SenderStatus};
