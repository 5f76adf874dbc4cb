//! Laws that hold for any scenario, and for any text.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod catalog;
mod fuzz_edition;
mod fuzz_text;
mod round_trip;
