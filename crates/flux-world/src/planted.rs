//! Bugs on purpose: each breaks one rule of the engine, so that it can be shown that the simulation sees it.
//!
//! Only a build with the feature `planted` has them, and there only the one that the thread has chosen. In any other build
//! the question is the constant `false`, and nothing of it is left.

#[cfg(feature = "planted")]
thread_local! {
    static CHOSEN: std::cell::Cell<Option<&'static str>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug on this thread, or none.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<&'static str>) {
    CHOSEN.set(bug);
}

/// Whether this bug is planted here.
#[cfg(feature = "planted")]
pub fn planted(bug: &str) -> bool {
    CHOSEN.get() == Some(bug)
}

/// Whether this bug is planted here: never.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn planted(_bug: &str) -> bool {
    false
}
