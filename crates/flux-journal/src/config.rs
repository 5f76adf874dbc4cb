//! The settings of a journal.

use std::time::Duration;

use crate::error::OpenError;
use crate::limits::{BODY_BYTES_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, WINDOW_RECORDS_MAX};
use crate::record::{TAG_BYTES, record_bytes};

/// When a receipt resolves, and a record may be read by consumers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ack {
    /// When the disk has it: it survives the loss of power.
    #[default]
    Disk,
    /// When the operating system has it: it survives the end of the process. It is on disk within `sync_every`.
    Os,
}

/// What happens to a record for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The sender waits, up to `append_deadline`.
    #[default]
    Block,
    /// At `bytes_max` the oldest segments go, read or not, and are counted in [`Stats`](crate::Stats). A full disk blocks.
    DropOldest,
}

/// The settings of a journal. Keys are passed beside them.
#[derive(Clone, Debug)]
pub struct Config {
    /// When a receipt resolves.
    pub ack: Ack,
    /// When a segment has this length a new one begins. Trimming removes whole segments.
    pub segment_bytes: u64,
    /// All segments together; at least two segments.
    pub bytes_max: u64,
    /// What happens at `bytes_max`.
    pub when_full: WhenFull,
    /// A segment whose last record is older goes, read or not, and is counted in [`Stats`](crate::Stats); none: never.
    pub age_max: Option<Duration>,
    /// How long an append waits for room.
    pub append_deadline: Duration,
    /// What may wait to be written while the disk is busy; also the longest batch.
    pub gather_bytes_max: usize,
    /// What was written last and is kept in memory, so that consumers that keep up never read the disk.
    pub recent_bytes_max: usize,
    /// Records a consumer may have out: from the oldest unsettled one to the newest given out.
    pub window_records: u32,
    /// With nothing appended, how long a settled record waits to be remembered on disk. Appends take it along.
    pub cursor_delay: Duration,
    /// With [`Ack::Os`], how long a record waits to be on disk.
    pub sync_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ack: Ack::Disk,
            segment_bytes: 64 << 20,
            bytes_max: 4 << 30,
            when_full: WhenFull::Block,
            age_max: None,
            append_deadline: Duration::from_secs(5),
            gather_bytes_max: 4 << 20,
            recent_bytes_max: 8 << 20,
            window_records: 8_192,
            cursor_delay: Duration::from_millis(100),
            sync_every: Duration::from_secs(1),
        }
    }
}

impl Config {
    /// The longest body of a record with these settings.
    pub fn body_bytes_max(&self) -> usize {
        let overhead = record_bytes(TAG_BYTES);
        BODY_BYTES_MAX.min(self.gather_bytes_max.saturating_sub(overhead))
    }

    pub(crate) fn validate(&self) -> Result<(), OpenError> {
        let refuse = |setting, reason: String| Err(OpenError::Config { setting, reason });
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            let reason =
                format!("{}: between {SEGMENT_BYTES_MIN} and {SEGMENT_BYTES_MAX}", self.segment_bytes);
            return refuse("segment_bytes", reason);
        }
        if self.bytes_max < 2 * self.segment_bytes {
            let reason = format!("{}: at least two segments, {}", self.bytes_max, 2 * self.segment_bytes);
            return refuse("bytes_max", reason);
        }
        if self.gather_bytes_max < 4_096 || self.gather_bytes_max as u64 > self.segment_bytes / 2 {
            let reason = format!("{}: from 4096 to half a segment", self.gather_bytes_max);
            return refuse("gather_bytes_max", reason);
        }
        if !(1..=WINDOW_RECORDS_MAX).contains(&self.window_records) {
            return refuse(
                "window_records",
                format!("{}: from 1 to {WINDOW_RECORDS_MAX}", self.window_records),
            );
        }
        Ok(())
    }
}
