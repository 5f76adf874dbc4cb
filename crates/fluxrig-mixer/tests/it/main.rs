//! Real processes: a Mixer, the server that it starts, and Racks that enrol, run, are revoked, and come back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod dev;
mod fleet;
mod house;
mod orders;
mod releases;
mod renewal;
mod schemathesis;
mod watching;
