//! The binary from outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod alone;
mod blobl;
mod certificate;
mod coat_check;
mod commands;
mod degrade;
mod demo;
mod durable;
mod durable_tickets;
mod effectively_once;
mod example;
mod input;
mod iso8583;
mod journal;
mod last_good;
mod line;
mod mesh;
mod mesh_faults;
mod mesh_identity;
#[path = "../../../flux-nats/tests/it/ca.rs"]
mod nats_ca;
#[path = "../../../flux-nats/tests/it/cluster.rs"]
mod nats_cluster;
#[path = "../../../flux-nats/tests/it/operator.rs"]
#[allow(dead_code, reason = "each crate uses what it needs of it")]
mod nats_operator;
#[path = "../../../flux-nats/tests/it/server.rs"]
#[allow(dead_code, reason = "each crate uses what it needs of it")]
mod nats_server;
mod patience;
mod peers;
mod process;
mod readme;
mod reload;
mod reload_sessions;
mod run;
mod secrets;
mod streams;
mod switch;
mod take_over;
