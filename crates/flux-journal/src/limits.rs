//! Every limit of a journal, by name.

use crate::record::{HEADER_BYTES, TAG_BYTES};

/// Longest body of a record: its length has three bytes on disk, and a sealed body ends with a tag.
pub const BODY_BYTES_MAX: usize = (1 << 24) - 1 - TAG_BYTES;

/// Smallest segment a journal may be told to make.
pub const SEGMENT_BYTES_MIN: u64 = 64 * 1024;

/// Largest segment a journal may be told to make: a record names a place in its segment by four bytes.
pub const SEGMENT_BYTES_MAX: u64 = 2 << 30;

/// Consumers a journal may have: each has a record in the head of every segment.
pub const CONSUMERS_MAX: usize = 64;

/// Longest name of a consumer.
pub const NAME_BYTES_MAX: usize = 64;

/// Widest window of records a consumer may have out at a time.
pub const WINDOW_RECORDS_MAX: u32 = 1 << 16;

/// Sequences of records and ids of segments are below, and what follows the last record is below twice that: adding to one
/// never overflows, whatever a file says.
pub(crate) const SEQUENCE_MAX: u64 = 1 << 62;

/// Bytes read from a segment at a time; one longer record is read whole.
pub(crate) const READ_BLOCK_BYTES: usize = 256 * 1024;

/// Problems of one segment that are reported one by one; the rest is counted.
pub(crate) const DAMAGES_MAX: usize = 1_000;

const _: () = assert!(SEGMENT_BYTES_MIN as usize > 4 * (NAME_BYTES_MAX + HEADER_BYTES));
const _: () = assert!(WINDOW_RECORDS_MAX / 8 < u16::MAX as u32, "a window's bits are counted by two bytes");
