//! Every limit of a mesh wire, by name.

use std::time::Duration;

/// Longest body of a message on the bus, where the bus allows as much.
pub const PACK_BYTES_MAX: usize = 128 << 10;

/// Shortest body a bus must carry to carry packs.
pub const PACK_BYTES_MIN: usize = 1 << 10;

/// Records of a pack.
pub const PACK_RECORDS_MAX: usize = 1_024;

/// Longest record: the longest body of a journal.
pub const RECORD_BYTES_MAX: usize = flux_journal::limits::BODY_BYTES_MAX;

/// Packs whose storing is under way at a time.
pub const STORES_MAX: usize = 16;

/// Packs a receiver holds that came before their turn.
pub const STASH_PACKS_MAX: usize = 2 * STORES_MAX;

/// What the stream of a wire holds.
pub const STREAM_BYTES_MAX: u64 = 64 << 20;

/// What is sent beyond what the receiver has: the stream has room for it, with what the server adds, and for some of it twice.
pub const WINDOW_BYTES_MAX: usize = 40 << 20;

/// A record that has waited for so long is of a backlog, which makes way for what is live.
pub const BACKLOG_AGE: Duration = Duration::from_secs(5);

/// The longest rest between two bursts of a backlog.
pub const REST_MAX: Duration = Duration::from_millis(100);

/// Packs fetched at a time.
pub const FETCH_PACKS_MAX: usize = 32;

/// Packs fetched at a time where the bus answers within [`NEAR`]: what is asked for next is not long in coming, and other wires
/// are not kept waiting for long.
pub const FETCH_PACKS_NEAR: usize = 4;

/// A bus that gives a few packs within this is near.
pub const NEAR: Duration = Duration::from_millis(20);

/// How long a delivery is on loan.
pub const LEASE: Duration = Duration::from_secs(30);

/// For how long the bus knows that a pack is stored a second time.
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// How often a receiver that has nothing to do says what it has.
pub const REPORT_EVERY: Duration = Duration::from_secs(2);

/// How long a receiver may miss what it was sent and have nothing to do, before it is sent again.
pub const STALL: Duration = Duration::from_secs(3);

/// How long nobody may answer before the bus is looked at: whether it still has what it stored.
pub const CHECK_EVERY: Duration = Duration::from_secs(15);

/// Reports that may wait.
pub const REPORTS_MAX: usize = 64;

/// Waits after a failure grow from this to the other.
pub const RETRY_BASE: Duration = Duration::from_millis(250);
/// The longest wait after a failure.
pub const RETRY_MAX: Duration = Duration::from_secs(5);

/// Sequences are below: adding to one never overflows, whatever a pack says.
pub(crate) const SEQUENCE_MAX: u64 = 1 << 62;

const _: () = assert!(WINDOW_BYTES_MAX as u64 + (16 << 20) < STREAM_BYTES_MAX);
const _: () = assert!(STALL.as_millis() > REPORT_EVERY.as_millis());
const _: () =
    assert!(PACK_BYTES_MIN < PACK_BYTES_MAX && PACK_BYTES_MAX <= flux_bus::limits::MESSAGE_BYTES_MAX);
