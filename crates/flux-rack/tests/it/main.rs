//! The rack from outside: order, back-pressure, faults, restarts, drain, fused and unfused alike.

mod drain;
mod faults;
mod flow;
mod fused;
mod gears;
mod harness;
