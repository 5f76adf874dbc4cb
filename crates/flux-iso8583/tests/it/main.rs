//! What the crate promises, seen from outside.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may unwrap as the test may")]

mod codes;
mod edit;
mod explain;
mod fixture;
mod fuzz;
mod golden;
mod json;
mod round_trip;
mod spec;
mod view;
