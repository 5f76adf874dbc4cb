//! The world from outside: simulated and real.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod real;
mod sim;
