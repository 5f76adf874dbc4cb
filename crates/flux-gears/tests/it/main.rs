//! The gears as a scenario sees them: what `check` says of their configurations, and what the book shows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod scenario;
