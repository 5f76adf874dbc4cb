//! What a journal's callers, its consumers and its writer share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use flux_world::disk::Bell;
use flux_world::{Clock, Disk};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::config::{Ack, Config};
use crate::cursor::Cursor;
use crate::error::{AppendError, Full};
use crate::keys::Keys;
use crate::recent::Recent;
use crate::record::{self, Header, Kind, TAG_BYTES};

/// Handed around behind an `Arc`. No lock in it is held while the disk is waited for.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) directory: PathBuf,
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) disk: Disk,
    pub(crate) clock: Clock,
    pub(crate) gather: Mutex<Gather>,
    /// Whether a record is acknowledged when the operating system has it: the level, which may change.
    pub(crate) acks_early: AtomicBool,
    /// All records before this one are acknowledged, and may be read.
    pub(crate) acked: AtomicU64,
    /// All records before this one are on disk.
    pub(crate) synced: AtomicU64,
    /// Rung when a watermark moved, or when none will any more.
    pub(crate) progress: Notify,
    /// Rung when there may be room again for who waits to append.
    pub(crate) room: Notify,
    pub(crate) recent: Mutex<Recent>,
    pub(crate) segments: Mutex<Segments>,
    pub(crate) consumers: Mutex<Consumers>,
    /// Whether a cursor moved since the last were written.
    pub(crate) has_moved: AtomicBool,
    pub(crate) bell: OnceLock<Bell>,
    pub(crate) counters: Counters,
}

/// What waits to be written: records without their checks, back to back.
#[derive(Debug)]
pub(crate) struct Gather {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sequence_next: u64,
    pub(crate) records: u64,
    /// Calls that put them here.
    pub(crate) appends: u64,
    /// When the first of them came, never before any earlier record.
    pub(crate) time_ns: i64,
    /// Why the group before these cannot be written now.
    pub(crate) full: Option<Full>,
    pub(crate) end: Option<End>,
    /// Whether somebody waits for all records to be on disk, whatever the acknowledgement.
    pub(crate) wants_sync: bool,
}

/// Why nothing more is taken.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Closed,
    Failed(String),
}

/// The files of a journal, oldest first. The last is the one that is written to.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    pub(crate) list: Vec<Segment>,
    /// Whether the writer has written its last.
    pub(crate) is_finished: bool,
}

/// A segment as readers need to know it.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) id: u64,
    pub(crate) base_sequence: u64,
    /// Behind its last acknowledged record.
    pub(crate) sequence_next: u64,
    /// Where its acknowledged records end; none when it is sealed and all of it may be read.
    pub(crate) end: Option<u64>,
    pub(crate) bytes: u64,
    pub(crate) time_last_ns: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Consumers {
    pub(crate) by_name: BTreeMap<String, Arc<Standing>>,
    /// Names to be written as forgotten.
    pub(crate) forgotten: BTreeSet<String>,
}

/// Where a consumer stands.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    pub(crate) cursor: Mutex<Cursor>,
    /// Whether the cursor moved since it was written.
    pub(crate) has_moved: AtomicBool,
    pub(crate) is_in_use: AtomicBool,
    /// Rung when the low mark moved.
    pub(crate) settled: Notify,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) groups: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) dropped_by_age: AtomicU64,
    pub(crate) dropped_by_size: AtomicU64,
}

impl Shared {
    /// Gathers the records of one call, all or none. The batch they make survives a crash as a whole or not at all.
    pub(crate) fn push<'a>(
        &self,
        bodies: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    ) -> Result<std::ops::Range<u64>, AppendError> {
        let tag_bytes = if self.keys.id_to_write() == 0 { 0 } else { TAG_BYTES };
        let body_bytes_max = self.config.body_bytes_max();
        let lengths = bodies.clone().map(|body| body.len() + tag_bytes);
        let need = lengths.clone().map(record::record_bytes).sum::<usize>();
        let longest = lengths.max().unwrap_or(0);
        if longest > body_bytes_max || need > self.config.gather_bytes_max {
            let (bytes, bytes_max) = if longest > body_bytes_max {
                (longest, body_bytes_max)
            } else {
                (need, self.config.gather_bytes_max)
            };
            return Err(AppendError::TooLong { bytes, bytes_max });
        }
        let mut gather = self.gather.lock();
        gather.may_take(need, self)?;
        let was_empty = gather.records == 0;
        if was_empty {
            gather.time_ns = gather.time_ns.max(self.clock.unix_ns());
        }
        let first = gather.sequence_next;
        let mut left = bodies.len();
        for body in bodies {
            left -= 1;
            let mut header =
                Header::new(Kind::Data, body.len() + tag_bytes, gather.sequence_next, gather.time_ns);
            header.goes_on = left > 0;
            record::push(&mut gather.bytes, header, body);
            gather.sequence_next += 1;
            gather.records += 1;
        }
        gather.appends += 1;
        let sequences = first..gather.sequence_next;
        drop(gather);
        if was_empty {
            self.ring();
        }
        Ok(sequences)
    }

    pub(crate) fn ring(&self) {
        if let Some(bell) = self.bell.get() {
            bell.ring();
        }
    }

    /// Takes no more, for this reason unless there was one before.
    pub(crate) fn end(&self, end: End) {
        self.gather.lock().end.get_or_insert(end);
        self.room.notify_waiters();
        self.ring();
    }

    /// The level of acknowledgement now.
    pub(crate) fn ack(&self) -> Ack {
        if self.acks_early.load(Ordering::Acquire) { Ack::Os } else { Ack::Disk }
    }

    /// All before it may be read.
    pub(crate) fn acked(&self) -> u64 {
        self.acked.load(Ordering::Acquire)
    }

    /// The watermark a level of acknowledgement waits for.
    pub(crate) fn watermark(&self, ack: Ack) -> u64 {
        match ack {
            Ack::Disk => self.synced.load(Ordering::Acquire),
            Ack::Os => self.acked(),
        }
    }

    /// Waits until all records before `until` are acknowledged at this level.
    pub(crate) async fn wait(&self, until: u64, ack: Ack) -> Result<(), AppendError> {
        loop {
            let progress = self.progress.notified();
            if self.watermark(ack) >= until {
                return Ok(());
            }
            if self.segments.lock().is_finished {
                // The writer's last word may have come between the two looks.
                return if self.watermark(ack) >= until { Ok(()) } else { Err(self.ended()) };
            }
            progress.await;
        }
    }

    /// Why nothing more is taken.
    pub(crate) fn ended(&self) -> AppendError {
        match &self.gather.lock().end {
            Some(End::Failed(reason)) => {
                AppendError::Failed { directory: self.directory.clone(), reason: reason.clone() }
            }
            Some(End::Closed) | None => AppendError::Closed,
        }
    }

    /// The oldest record some consumer has not settled; none when there is no consumer.
    pub(crate) fn low(&self) -> Option<u64> {
        self.consumers.lock().by_name.values().map(|standing| standing.cursor.lock().low()).min()
    }
}

impl Gather {
    /// Nothing gathered; what comes goes on from there.
    pub(crate) fn from(sequence: u64, time_ns: i64) -> Self {
        Self {
            bytes: Vec::new(),
            sequence_next: sequence,
            records: 0,
            appends: 0,
            time_ns,
            full: None,
            end: None,
            wants_sync: false,
        }
    }

    fn may_take(&self, need: usize, shared: &Shared) -> Result<(), AppendError> {
        let full = |full| Err(AppendError::Full { full, waited: std::time::Duration::ZERO });
        match (&self.end, self.full) {
            (Some(End::Closed), _) => Err(AppendError::Closed),
            (Some(End::Failed(reason)), _) => {
                Err(AppendError::Failed { directory: shared.directory.clone(), reason: reason.clone() })
            }
            (None, Some(reason)) => full(reason),
            (None, None) if self.bytes.len() + need > shared.config.gather_bytes_max => full(Full::Gather),
            (None, None) => Ok(()),
        }
    }
}
