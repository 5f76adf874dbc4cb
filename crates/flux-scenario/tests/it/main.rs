//! Laws that hold for any scenario, and for any text.

mod catalog;
mod fuzz_text;
mod round_trip;
