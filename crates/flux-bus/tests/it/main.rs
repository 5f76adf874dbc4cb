//! The embedded bus: the suite of all buses, and what holds only of one that is on journals.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod crash;
mod suite;
