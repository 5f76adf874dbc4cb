//! Every limit of a bus, by name.

use std::time::Duration;

/// Longest name of a stream, a consumer or a bucket: a journal's consumer has it with a prefix.
pub const NAME_BYTES_MAX: usize = 60;

/// Longest key of a bucket.
pub const KEY_BYTES_MAX: usize = 240;

/// Longest id of a message.
pub const ID_BYTES_MAX: usize = 240;

/// Longest subject or pattern.
pub const SUBJECT_BYTES_MAX: usize = 240;

/// Tokens a subject or pattern may have.
pub const SUBJECT_TOKENS_MAX: usize = 24;

/// Patterns a stream may have.
pub const STREAM_SUBJECTS_MAX: usize = 64;

/// Headers a message may have.
pub const HEADERS_MAX: usize = 32;

/// Names and values of all headers of a message together.
pub const HEADERS_BYTES_MAX: usize = 4_096;

/// Longest body of a message, and value of an entry, whatever else allows more.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Longest object.
pub const OBJECT_BYTES_MAX: usize = 64 << 20;

/// Messages one fetch may ask for.
pub const FETCH_MESSAGES_MAX: usize = 1_024;

/// Messages a consumer may have out.
pub const UNACKED_MESSAGES_MAX: u32 = 8_192;

/// Ids that an embedded stream remembers: more within its window, and it takes no further ones.
pub const IDS_MAX: usize = 1 << 20;

/// Removals a bucket remembers, for watches that go on from before them; one that is further behind lists anew.
pub const REMOVALS_MAX: usize = 4_096;

/// How long an operation may take before its outcome is given up as unknown.
pub const OPERATION_DEADLINE: Duration = Duration::from_secs(10);

/// Attempts at a message a policy may allow.
pub const ATTEMPTS_MAX: u32 = 1_000;

const _: () = assert!(UNACKED_MESSAGES_MAX < flux_journal::limits::WINDOW_RECORDS_MAX);
const _: () = assert!(NAME_BYTES_MAX + 4 <= flux_journal::limits::NAME_BYTES_MAX);
