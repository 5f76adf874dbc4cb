//! The built-in native gears, a folder each.
//!
//! Invariant: a gear here reaches the outside only through its [`flux_gear::GearContext`] and the peer pool.

pub mod coat_check;
pub mod codec_iso8583;
pub mod conductor;
mod correlation;
mod departures;
mod endpoint;
mod expiry;
pub mod generate;
pub mod io_iso8583;
pub mod io_tcp;
pub mod log;
mod moving_table;
pub mod null;
mod return_address;
#[cfg(test)]
mod slow_storage;

use flux_gear::Registry;

/// Every kind of gear built into this crate.
pub fn builtin() -> Registry {
    Registry::new()
        .with::<coat_check::CoatCheck>()
        .with::<codec_iso8583::CodecIso8583>()
        .with::<conductor::Conductor>()
        .with::<generate::Generate>()
        .with::<io_iso8583::IoIso8583>()
        .with::<io_tcp::IoTcp>()
        .with::<log::Log>()
        .with::<null::Null>()
}
