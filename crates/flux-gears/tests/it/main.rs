//! The gears from outside: what `check` says of their configurations, and I/O gears over real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod acknowledge;
mod certificates;
mod io_iso8583;
mod io_tcp;
mod kit;
mod proxy;
mod scenario;
mod timing;
mod tls;
