//! Whatever lies where the keyring should lie: it is opened or refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fuzz_seal;
