//! The gears of a simulated rack: each does what the plan says of its place, and tells the house.

mod caller;
mod feed;
mod fork;
mod shelf;
mod work;

use flux_gear::{Fault, FluxMsg, GearContext, Registry};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::plan::Trouble;

/// The kinds a simulated rack is made of.
pub(crate) fn registry() -> Registry {
    Registry::new()
        .with::<feed::Feed>()
        .with::<caller::Caller>()
        .with::<work::Work>()
        .with::<fork::Fork>()
        .with::<shelf::Shelf>()
        .with::<flux_gears::io_tcp::IoTcp>()
}

/// A gear's place in the plan, told by its name.
pub(crate) fn place(name: &str) -> Option<usize> {
    name.strip_prefix('g')?.parse().ok()
}

/// The configuration of a gear that is no source.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whether it puts its mark on what it passes on.
    #[serde(default)]
    marks: bool,
    /// Changes nothing but that the gear is another.
    #[serde(default, rename = "revision")]
    _revision: u32,
    /// Where it fails.
    #[serde(default)]
    fails_at: Option<FailsAt>,
}

#[derive(Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FailsAt {
    Init,
    Start,
}

/// Fails where a gear is told to.
fn pass(stage: FailsAt, fails_at: Option<FailsAt>) -> Result<(), Fault> {
    if fails_at == Some(stage) { Err(Fault::fatal("as ordered")) } else { Ok(()) }
}

fn place_of(ctx: &GearContext) -> Result<usize, Fault> {
    place(ctx.name()).ok_or_else(|| Fault::fatal("a gear of a simulation is named by its place"))
}

/// The gear whose error port a message came by.
pub(crate) fn failed_at(msg: &FluxMsg) -> Option<usize> {
    msg.metadata.get(flux_gear::keys::ERROR_GEAR).and_then(place)
}

/// Fails as ordered; a wait is left to the caller.
fn fail(trouble: Trouble) -> Result<(), Fault> {
    match trouble {
        Trouble::Invalid => Err(Fault::invalid("as ordered").reason("ordered")),
        Trouble::Transient(_) | Trouble::TransientAlways => Err(Fault::transient("as ordered")),
        Trouble::FatalOnce | Trouble::FatalAlways => Err(Fault::fatal("as ordered")),
        Trouble::PanicOnce | Trouble::PanicAlways => std::panic::panic_any(Ordered),
        Trouble::Wait(_) | Trouble::WaitTooLong => Ok(()),
    }
}

/// What a gear panics with when it is told to.
pub(crate) struct Ordered;
