//! Wires between simulated machines, with the bus of a third one between them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fuzz_pack;
mod house;
mod survive;
mod wires;
