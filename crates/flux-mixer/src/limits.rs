//! Every limit of a Mixer, by name.

use std::time::Duration;

/// Racks a Mixer knows.
pub const RACKS_MAX: usize = 50_000;

/// Racks that wait for approval: anybody may ask.
pub const PENDING_MAX: usize = 1_000;

/// How long a Rack may wait for approval before it is forgotten, and may ask anew.
pub const PENDING_AGE_MAX: Duration = Duration::from_hours(24);

/// Tokens of each kind.
pub const TOKENS_MAX: usize = 10_000;

/// How long an enrolment token may be good.
pub const INVITATION_MAX: Duration = Duration::from_hours(7 * 24);

/// How far the clock of a Rack may be off; nonces are known for twice that.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_mins(5);

/// Nonces that are known at a time.
pub const NONCES_MAX: usize = 65_536;

/// Racks on a page.
pub const PAGE_MAX: usize = 1_000;

/// Longest body of a request.
pub const BODY_BYTES_MAX: usize = 128 << 10;

/// Longest scenario.
pub const SCENARIO_BYTES_MAX: usize = 1 << 20;

/// Connections to the API at a time.
pub const CONNECTIONS_MAX: usize = 1_024;

/// Within this a connection shows its identity, and sends the head of each request.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// How long a request may take.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// Requests an address may make that show no token: so many at once, and one more each second for each of them that is over.
pub const UNKNOWN_BURST: u32 = 60;

/// Addresses that are counted at a time.
pub const ADDRESSES_MAX: usize = 4_096;

/// Refusals that are written down: so many at once, and one more each second. The rest is counted.
pub const REFUSALS_BURST: u32 = 200;

/// Heartbeats that may wait to be taken in.
pub const HEARTBEATS_QUEUED_MAX: usize = 16_384;
