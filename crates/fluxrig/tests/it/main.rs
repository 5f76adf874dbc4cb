//! The binary from outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod peers;
