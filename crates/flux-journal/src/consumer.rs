//! A named reader that is told what is new, says what it has settled, and goes on from there after a restart.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::{FormatError, ReadError};
use crate::reader::{Next, Reader, Record};
use crate::recent::Block;
use crate::record::{HEADER_BYTES, Header, Kind};
use crate::shared::{Segment, Shared, Standing};

/// Reads a journal in order, from the oldest record it has not settled. One at a time has the name.
///
/// After a restart it is given again what it had not settled, and of what it had, only what was settled after its cursor was
/// last written: with the last append, or `cursor_delay` later.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    standing: Arc<Standing>,
    /// The next record to give out.
    next: u64,
    memory: Option<(Block, usize)>,
    reader: Option<Reader>,
}

/// Settles records of a consumer, from anywhere and in any order.
#[derive(Clone, Debug)]
pub struct Settler {
    shared: Arc<Shared>,
    standing: Arc<Standing>,
}

/// What a consumer is given at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Records in order; those settled before a restart are left out.
    pub records: Vec<Record>,
    /// Records before them that are gone: dropped for age or size, or moved aside by a repair.
    pub skipped: u64,
}

impl Consumer {
    pub(crate) fn new(shared: Arc<Shared>, standing: Arc<Standing>) -> Self {
        let next = standing.cursor.lock().low();
        Self { shared, standing, next, memory: None, reader: None }
    }

    /// The next records, 1 to `records_max` unless some were skipped; waits for them, and while `window_records` are out for
    /// the oldest of those to be settled. Cancelling it loses nothing. [`ReadError::Closed`] when the journal is closed and
    /// all was given out.
    pub async fn next(&mut self, records_max: usize) -> Result<Batch, ReadError> {
        let (shared, standing) = (self.shared.clone(), self.standing.clone());
        loop {
            let (progress, settled) = (shared.progress.notified(), standing.settled.notified());
            let is_finished = shared.segments.lock().is_finished;
            let acked = shared.acked();
            let skipped = self.skip_dropped();
            let limit = acked.min(standing.cursor.lock().low() + u64::from(shared.config.window_records));
            let mut batch = Batch { skipped, ..Batch::default() };
            if self.next < limit {
                match self.read(limit, records_max.max(1)).await? {
                    Next::Records(records) => batch.records = records,
                    Next::GapUntil(until) => batch.skipped += self.pass_until(until),
                }
            }
            if batch != Batch::default() {
                return Ok(batch);
            }
            if self.next < limit {
                continue;
            }
            if is_finished && self.next >= acked {
                return Err(ReadError::Closed);
            }
            tokio::select! {
                biased;
                () = progress => {}
                () = settled => {}
            }
        }
    }

    /// Settles a record: it is not given out again.
    pub fn settle(&self, sequence: u64) {
        settle(&self.shared, &self.standing, sequence);
    }

    /// Settles all records before `sequence`, whether they were given out or not.
    pub fn settle_until(&self, sequence: u64) {
        self.standing.cursor.lock().settle_until(sequence);
        note_moved(&self.shared, &self.standing);
    }

    /// A handle to settle records with, wherever they went.
    pub fn settler(&self) -> Settler {
        Settler { shared: self.shared.clone(), standing: self.standing.clone() }
    }

    /// The oldest record that is not settled.
    pub fn low(&self) -> u64 {
        self.standing.cursor.lock().low()
    }

    /// Goes back to the oldest record that is not settled, as a restart does: records that are out are given out again.
    pub fn rewind(&mut self) {
        self.next = self.low();
        self.memory = None;
    }

    /// Forgets what it found on disk, so that [`Consumer::next`] looks there again: a file may have been restored.
    pub fn look_again(&mut self) {
        self.reader = None;
    }

    /// Gives up the damaged records that [`Consumer::next`] stopped at, once all before them are settled. Returns how many.
    pub async fn skip_damage(&mut self) -> Result<u64, ReadError> {
        let until = match self.read(self.next + 1, 1).await {
            Err(FormatError::Damaged(damage)) => damage.first + damage.records,
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(0),
        };
        let standing = self.standing.clone();
        loop {
            let settled = standing.settled.notified();
            if self.low() >= self.next {
                return Ok(self.skip_until(until));
            }
            settled.await;
        }
    }

    /// Jumps over records that were dropped; how many.
    fn skip_dropped(&mut self) -> u64 {
        let oldest = self.shared.segments.lock().list.first().map_or(0, |first| first.base_sequence);
        match oldest > self.next {
            true => self.skip_until(oldest),
            false => 0,
        }
    }

    /// Goes on behind records that are not there. What is out before them is not settled by that.
    fn pass_until(&mut self, until: u64) -> u64 {
        let gap = self.next..self.next.max(until);
        let passed = gap.end - gap.start;
        self.next = gap.end;
        self.standing.cursor.lock().pass(gap);
        note_moved(&self.shared, &self.standing);
        passed
    }

    fn skip_until(&mut self, until: u64) -> u64 {
        let skipped = until.saturating_sub(self.next);
        self.next = self.next.max(until);
        self.standing.cursor.lock().settle_until(until);
        note_moved(&self.shared, &self.standing);
        skipped
    }

    async fn read(&mut self, limit: u64, records_max: usize) -> Result<Next, FormatError> {
        let mut records = match self.in_memory(limit, records_max) {
            Some(records) => records,
            None => match self.on_disk(limit, records_max).await? {
                Next::Records(records) => records,
                gap => return Ok(gap),
            },
        };
        if let Some(last) = records.last() {
            self.next = last.sequence + 1;
        }
        let cursor = self.standing.cursor.lock();
        if records.first().is_some_and(|first| first.sequence < cursor.high()) {
            records.retain(|record| !cursor.is_settled(record.sequence));
        }
        Ok(Next::Records(records))
    }

    /// From a group that is still in memory; none when the next record is not.
    fn in_memory(&mut self, limit: u64, records_max: usize) -> Option<Vec<Record>> {
        let is_here =
            self.memory.as_ref().is_some_and(|(block, _)| (block.first..block.next).contains(&self.next));
        let (block, mut at) = match self.memory.take() {
            Some(here) if is_here => here,
            _ => (self.shared.recent.lock().find(self.next)?, 0),
        };
        let mut records = Vec::new();
        while records.len() < records_max
            && let Some(head) = block.records[at..].first_chunk::<HEADER_BYTES>()
        {
            let header = Header::read(head).expect("a group in memory was written by us");
            if header.sequence >= limit {
                break;
            }
            if header.kind == Kind::Data && header.sequence >= self.next {
                let body =
                    at + HEADER_BYTES..at + HEADER_BYTES + header.body_bytes as usize - block.tag_bytes;
                let body = block.records.slice(body);
                records.push(Record { sequence: header.sequence, time_ns: header.time_ns, body });
            }
            at += header.record_bytes();
        }
        self.memory = Some((block, at));
        Some(records).filter(|records| !records.is_empty())
    }

    async fn on_disk(&mut self, limit: u64, records_max: usize) -> Result<Next, FormatError> {
        let shared = self.shared.clone();
        let (from, reader) = (self.next, self.reader.take());
        let call = move || {
            let mut reader = reader.unwrap_or_else(|| {
                Reader::new(shared.disk.clone(), shared.directory.clone(), shared.keys.clone())
            });
            let next = reader.read(from, limit, records_max, &|sequence| find_segment(&shared, sequence));
            (reader, next)
        };
        let (reader, next) = self.shared.disk.offload(call).await;
        self.reader = Some(reader);
        next
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.standing.is_in_use.store(false, Ordering::Release);
    }
}

impl Settler {
    /// Settles a record: it is not given out again. Settling one twice changes nothing.
    pub fn settle(&self, sequence: u64) {
        settle(&self.shared, &self.standing, sequence);
    }

    /// Records that are acknowledged and not settled.
    pub fn unsettled(&self) -> u64 {
        let acked = self.shared.acked();
        let cursor = self.standing.cursor.lock();
        acked.saturating_sub(cursor.low()).saturating_sub(cursor.settled_ahead())
    }
}

fn settle(shared: &Shared, standing: &Standing, sequence: u64) {
    if flux_world::planted("cursor_runs_ahead") {
        standing.cursor.lock().settle_until(sequence + 1);
    }
    if standing.cursor.lock().settle(sequence) {
        note_moved(shared, standing);
    }
}

/// Has the writer write the cursor with its next group, or soon.
fn note_moved(shared: &Shared, standing: &Standing) {
    standing.has_moved.store(true, Ordering::Release);
    if !shared.has_moved.swap(true, Ordering::AcqRel) {
        shared.ring();
    }
    standing.settled.notify_waiters();
}

fn find_segment(shared: &Shared, sequence: u64) -> Option<Segment> {
    let segments = shared.segments.lock();
    let at = segments.list.partition_point(|segment| segment.base_sequence <= sequence);
    let segment = segments.list.get(at.checked_sub(1)?)?;
    // Of several empty segments with the same base the last is the one that may hold it.
    (sequence < segment.sequence_next).then(|| segment.clone())
}
