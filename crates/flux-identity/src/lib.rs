//! What a Rack and a Mixer say to know one another: tokens, the request to enrol and its answer, the signed passport, heartbeats.
//!
//! ```text
//! Rack                                          Mixer
//!  | keys made here, never sent                  |
//!  |-- EnrolmentRequest, signed --- HTTPS ------>|  the CA is pinned by the token, or by its fingerprint
//!  |<- Answer: certificate, bus identity,        |
//!  |   SignedPassport with its part only --------|
//!  |== Heartbeat ========= bus ================>|  which orders it obeys
//!  |<= OrdersChanged ============== bus =================|  that there are others: it asks for its passport again
//! ```
//!
//! Pure: nothing here reads a clock, a file or a socket.

mod answer;
pub mod limits;
mod orders;
mod release;
mod request;
mod scope;
mod signed_passport;
mod token;
mod view;

pub use answer::{Answer, BusIdentity, Enrolled, Heartbeat};
pub use orders::{Duty, LogLevel, Orders, OrdersChanged, Part};
pub use release::{
    Activation, Difference, Page, PushOutcome, Pushed, RackPlan, RackSync, Release, ReleaseName, Sync,
    SyncCounts, Tag, Topology, tag_pattern,
};
pub use request::{EnrolmentRequest, Nonce};
pub use scope::Scope;
pub use signed_passport::SignedPassport;
pub use token::{Token, TokenHash, TokenKind, fingerprint_of, parse_fingerprint};
pub use view::{Flaw, Liveness, Problem, RackState, RackView, Racks, Role, name_schema};

use flux_bus::{Error, Name};

/// Takes the name of a Rack if it is one: a [`Name`], short enough that what is called after it has a name too.
///
/// # Errors
/// [`Error::Invalid`], with the rule.
pub fn rack_name(text: &str) -> Result<Name, Error> {
    if text.len() > limits::RACK_NAME_BYTES_MAX {
        let bytes_max = limits::RACK_NAME_BYTES_MAX;
        return Err(Error::Invalid(format!("the name of a rack has at most {bytes_max} bytes")));
    }
    Name::new(text)
}
