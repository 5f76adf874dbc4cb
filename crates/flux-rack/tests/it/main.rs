//! The rack from outside: order, back-pressure, faults, restarts, drain, fused and unfused alike.
#![allow(clippy::unwrap_used, clippy::type_complexity, reason = "a test that cannot go on may panic")]

mod dead_letters;
mod drain;
mod durable;
mod durable_crash;
mod faults;
mod flow;
mod found;
mod fused;
mod gears;
mod going;
mod harness;
mod mesh;
mod patience;
mod reload;
mod storage;
mod succession;
