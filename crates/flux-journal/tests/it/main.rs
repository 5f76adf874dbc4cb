//! The journal from outside: on the simulated disk with every fault, and on the real one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod basics;
mod crash;
mod damage;
mod full;
mod fuzz_segment;
mod golden;
mod missing;
mod sealed;
mod setup;
