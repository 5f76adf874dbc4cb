//! What a gear author sees: the contract, its context, the registry, a mock world and the conformance suite.
//!
//! Invariant: nothing here knows how gears are hosted. The host (`flux-rack`) implements [`Outlet`] and drives
//! [`HostedGear`]; a gear never names it.

pub mod conformance;
mod context;
mod control;
mod discards;
mod emit;
mod gear;
mod hosted;
mod ids;
mod key;
pub mod mock;
mod parcel;
mod registry;
mod secrets;
pub mod storage;

pub use flux_scenario::{
    catalog::{Category, Direction, ERROR_PORT, Emits, Manifest, PortSpec, Status, Terminus},
    units::{ByteSize, Duration},
};
pub use flux_signal::{
    Bytes, Data, Fault, FaultClass, FluxId, FluxMsg, Lease, LeaseEnd, Metadata, Text, Value, keys,
};

pub use context::{Files, GearContext, GearParts};
pub use control::{Control, ControlEvent, Link};
pub use discards::Discards;
pub use emit::{Emission, EmitError, Emitter, Outbox, Outlet, Receipt};
pub use gear::{Descriptor, Drain, Gear, Held, InPort, Legacy, OutPort, Step, Waiting};
pub use hosted::{HostedGear, Stretch};
pub use ids::IdSource;
pub use key::{Key, KeyParseError};
pub use parcel::Parcel;
pub use registry::{InitError, Registry};
pub use storage::{Saved, StorageError, Table};

/// The tutorial's code is a test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/tutorials/write-a-gear.md")]
pub struct Tutorial;
