//! Whatever somebody sends: it is read or refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fuzz;
