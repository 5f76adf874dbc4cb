//! The Mixer: who belongs to the fleet, by what each is known, and the HTTP API by which people and Racks ask it.
//!
//! ```text
//! keyring     CA, cluster key, seeds of the bus: one sealed file
//! mixer       enrolment, states, revocation, heartbeats; every decision is in here, and every one is written down first
//!   registry  Racks, on disk and in memory       tokens      hashes of tokens that are good
//!   audit     who did what, signed and chained   part        the part of a scenario that is one Rack's
//!   store     scenarios and specs by name and tag   checks   whether they are any
//!   events    what happens, for who listens
//! api         routes over it
//! authority   a port: who makes identities for the bus, which only a binary names
//! ```

mod allowance;
pub mod api;
pub mod audit;
mod authority;
mod ca;
mod checks;
mod difference;
mod events;
mod freshness;
mod keyring;
pub mod limits;
mod mixer;
mod part;
mod refusal;
mod registry;
pub mod seal;
mod shelf;
mod store;
mod tokens;

pub use authority::Authority;
pub use ca::{Ca, CaError, Certified, Csr};
pub use keyring::{Keyring, KeyringError, UnlockBy};
pub use mixer::{Actor, Components, Counted, Fleet, Invite, Mixer, MixerSettings};
pub use refusal::Refusal;
pub use tokens::{Access, Invitation, Listed};
