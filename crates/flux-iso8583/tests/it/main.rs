//! What the crate promises, seen from outside.

#![allow(clippy::unwrap_used)] // helpers of tests are tests too

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
