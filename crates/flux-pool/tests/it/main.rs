//! The pool from outside: on the simulated world where time matters, on real sockets where reality does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backpressure;
mod closing;
mod detaching;
mod dialing;
mod framing;
mod fuzz_framing;
mod kit;
mod listening;
mod message_transport;
mod real;
mod replay;
mod sending;
mod session;
mod tls;
