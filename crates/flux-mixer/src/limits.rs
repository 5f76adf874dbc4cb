//! Every limit of a Mixer, by name.

use std::time::Duration;

/// Most that the stream of a wire between two Racks keeps.
pub use flux_mesh::limits::STREAM_BYTES_MAX as WIRE_STREAM_BYTES_MAX;

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

/// Longest scenario or spec that is taken in.
pub const TEXT_BYTES_MAX: usize = 10 << 20;

/// Releases of scenarios, and of specs.
pub const RELEASES_MAX: usize = 10_000;

/// All texts of releases of one kind.
pub const TEXTS_BYTES_MAX: u64 = 4 << 30;

/// Longest note on a release.
pub const NOTE_BYTES_MAX: usize = 512;

/// Lines that the difference of two texts may have changed; of more it says no more than that.
pub const CHANGED_LINES_MAX: usize = 1_000;

/// Plans that the difference of two scenarios has.
pub const DIFFERING_PLANS_MAX: usize = 64;

/// Keys for the bus that a Rack may have at once. Those of all that are revoked go to the server in one message.
pub const BUS_KEYS_MAX: usize = 8;

/// Heartbeats of a Rack that are taken in at once, and more of them each second.
pub const HEARTBEATS_BURST: u32 = 10;

/// Connections to the API from one address.
pub const CONNECTIONS_OF_ADDRESS_MAX: usize = 256;

/// Requests one token may make at once.
pub const TOKEN_BURST: u32 = 1_000;

/// And so many more each second.
pub const TOKEN_REQUESTS_PER_S: u32 = 100;

/// Tokens whose requests are counted at a time.
pub const COUNTED_TOKENS_MAX: usize = 10_000;

/// Events that are remembered: who is further behind reads everything anew.
pub const EVENTS_MAX: usize = 4_096;

/// Readers of events at a time.
pub const EVENT_READERS_MAX: usize = 256;

/// After this a reader of events has to show its token again.
pub const EVENT_READER_LIFETIME: Duration = Duration::from_mins(15);

/// An answer of which nothing can be written for so long ends, and its connection with it.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// Answers that are remembered under an idempotency key.
pub const IDEMPOTENT_MAX: usize = 1_024;

/// Longest answer that is remembered.
pub const IDEMPOTENT_BYTES_MAX: usize = 64 << 10;

/// For how long an answer is remembered.
pub const IDEMPOTENT_LIFETIME: Duration = Duration::from_hours(1);
