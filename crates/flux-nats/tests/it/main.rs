//! The bus on real servers, the newest and an old one: the suite of all buses, and servers that are killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod away;
mod ca;
mod managed;
mod server;
mod suite;
