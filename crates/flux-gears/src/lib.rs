//! The built-in native gears, a folder each.
//!
//! Invariant: a gear here reaches the outside only through its [`flux_gear::GearContext`] and the peer pool.

pub mod codec_iso8583;
pub mod conductor;
pub mod generate;
pub mod log;
pub mod null;

use flux_gear::Registry;

/// Every kind of gear built into this crate.
pub fn builtin() -> Registry {
    Registry::new()
        .with::<codec_iso8583::CodecIso8583>()
        .with::<conductor::Conductor>()
        .with::<generate::Generate>()
        .with::<log::Log>()
        .with::<null::Null>()
}
