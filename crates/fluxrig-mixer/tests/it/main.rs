//! Real processes: a Mixer, the server that it starts, and Racks that enrol, run, are revoked, and come back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../../flux-nats/tests/it/ca.rs"]
mod ca;
mod cluster;
mod dev;
mod faults;
mod fleet;
mod house;
#[path = "../../../flux-nats/tests/it/cluster.rs"]
#[allow(dead_code, reason = "each crate uses what it needs of it")]
mod nats_cluster;
#[path = "../../../flux-nats/tests/it/operator.rs"]
mod nats_operator;
#[path = "../../../flux-nats/tests/it/server.rs"]
#[allow(dead_code, reason = "each crate uses what it needs of it")]
mod nats_server;
mod orders;
mod releases;
mod renewal;
mod schemathesis;
mod tutorial;
mod watching;
