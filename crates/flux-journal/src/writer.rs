//! The one that writes: takes what was gathered, puts it on disk as one group, tells everybody, and takes the next.
//!
//! While the disk syncs one group the next one gathers, so that many callers share a sync and nobody waits for a timer. Only
//! when callers were just answered, which will append again, it waits for them a moment without sleeping: a fraction of a sync.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use flux_world::disk::{DiskLock, Rest, Work};
use flux_world::{Entropy, Instant, planted};

use crate::config::{Ack, WhenFull};
use crate::cursor;
use crate::error::Full;
use crate::open_segment::{OpenSegment, stall};
use crate::recent::Block;
use crate::record::{self, Header, Kind, TAG_BYTES};
use crate::roll::Roll;
use crate::segment::path_of;
use crate::shared::{End, Segment, Shared};

/// How often a journal that is full looks for room by itself.
const FULL_RETRY: Duration = Duration::from_millis(100);
/// How often a journal that is not written to looks whether its file is where it was.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often records are looked at for their age.
const AGE_CHECK: Duration = Duration::from_secs(1);
/// The longest wait for callers who were just answered, as a part of a sync and at most.
const LINGER_PART: u32 = 8;
const LINGER_MAX: Duration = Duration::from_micros(500);
/// The longest wait for anybody before the writer sleeps: about what falling asleep and being woken would cost.
const WAKEFUL_PART: u32 = 2;
const WAKEFUL_MAX: Duration = Duration::from_micros(25);

/// Owns the files that are written.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    _lock: DiskLock,
    entropy: Entropy,
    open: OpenSegment,
    roll: Roll,
    group: Option<Group>,
    /// A buffer to gather in next.
    spare: Vec<u8>,
    /// Behind the last record handed to the operating system, and the last on disk.
    written_until: u64,
    synced_until: u64,
    synced_at: Instant,
    looked_at: Instant,
    /// How long a sync takes, smoothed.
    sync_time: Duration,
    appends_before: u64,
    /// When the cursors that moved have to be on disk.
    cursors_due: Option<Instant>,
    wants_sync: bool,
    full: Option<Full>,
    is_finished: bool,
}

/// Records that go to disk together.
#[derive(Debug)]
struct Group {
    bytes: Vec<u8>,
    first: u64,
    records: u64,
    time_ns: i64,
    is_written: bool,
}

/// Why a group was not written.
#[derive(Debug)]
pub(crate) enum Stall {
    /// There will be room some time.
    Full(Full),
    /// Nothing can be written any more.
    Failed(String),
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        lock: DiskLock,
        entropy: Entropy,
        open: OpenSegment,
        roll: Roll,
    ) -> Self {
        let next = open.sequence_next;
        Self {
            synced_at: shared.clock.now(),
            looked_at: shared.clock.now(),
            shared,
            _lock: lock,
            entropy,
            open,
            roll,
            group: None,
            spare: Vec::new(),
            written_until: next,
            synced_until: next,
            sync_time: Duration::ZERO,
            appends_before: 0,
            cursors_due: None,
            wants_sync: false,
            full: None,
            is_finished: false,
        }
    }

    /// Waits for callers who were just answered and will append again.
    fn linger(&mut self) {
        let expected = std::mem::take(&mut self.appends_before);
        if expected < 2 {
            return;
        }
        self.stay_awake_for(expected, (self.sync_time / LINGER_PART).min(LINGER_MAX));
    }

    /// Whether so many calls have appended, at the latest after this time.
    fn stay_awake_for(&self, appends: u64, time: Duration) -> bool {
        let until = self.shared.clock.now() + time;
        loop {
            if self.shared.gather.lock().appends >= appends {
                return true;
            }
            if self.shared.clock.now() >= until {
                return false;
            }
            std::thread::yield_now();
        }
    }

    /// Takes what was gathered, unless an earlier group still waits for room. Returns whether the journal is closing.
    fn take_group(&mut self) -> bool {
        let mut gather = self.shared.gather.lock();
        self.wants_sync |= std::mem::take(&mut gather.wants_sync);
        let is_closing = gather.end.is_some();
        if self.group.is_some() || gather.records == 0 {
            return is_closing;
        }
        let bytes = std::mem::replace(&mut gather.bytes, std::mem::take(&mut self.spare));
        let records = std::mem::take(&mut gather.records);
        self.appends_before = std::mem::take(&mut gather.appends);
        self.group = Some(Group {
            bytes,
            first: gather.sequence_next - records,
            records,
            time_ns: gather.time_ns,
            is_written: false,
        });
        is_closing
    }

    fn step(&mut self, was_full: bool) -> Result<(), Stall> {
        let is_closing = self.take_group();
        // What waits for room on the disk may be waiting for just this.
        if self.group.is_none() || was_full {
            self.trim()?;
        }
        let now = self.shared.clock.now();
        let are_cursors_due = self.cursors_due.is_some_and(|due| due <= now);
        if self.group.is_some() || are_cursors_due || is_closing {
            self.write_group(is_closing)?;
            self.cursors_due = None;
        }
        let is_sync_due = match self.shared.ack() {
            Ack::Disk => self.open.is_dirty(),
            Ack::Os => {
                let is_late = now - self.synced_at >= self.shared.config.sync_every;
                self.open.is_dirty() && (is_late || self.wants_sync || is_closing)
            }
        };
        if is_sync_due {
            self.sync()?;
        }
        if now >= self.looked_at + LOOK_EVERY {
            self.look()?;
        }
        self.wants_sync = false;
        if is_closing {
            self.open.seal(self.written_until)?;
            self.is_finished = true;
        }
        Ok(())
    }

    /// Writes the group with the cursors that moved; with the mark of an orderly end when it is the last.
    fn write_group(&mut self, is_last: bool) -> Result<(), Stall> {
        let mut group = self.group.take().unwrap_or(Group {
            bytes: Vec::new(),
            first: self.written_until,
            records: 0,
            time_ns: self.open.time_last_ns,
            is_written: false,
        });
        let records_bytes = group.bytes.len();
        let result = self.write(&mut group, is_last);
        match result {
            Ok(()) => group.is_written = true,
            // Another attempt says anew what the cursors are.
            Err(_) => group.bytes.truncate(records_bytes),
        }
        self.group = Some(group).filter(|group| group.records > 0);
        result
    }

    fn write(&mut self, group: &mut Group, is_last: bool) -> Result<(), Stall> {
        let next = group.first + group.records;
        let is_forgotten = is_last && planted("cursor_forgotten_at_close");
        let moved = match self.shared.has_moved.swap(false, Ordering::AcqRel) && !is_forgotten {
            true => self.push_cursors(&mut group.bytes, next, group.time_ns),
            false => Vec::new(),
        };
        if is_last {
            record::push(&mut group.bytes, Header::new(Kind::End, 0, next, group.time_ns), &[]);
        }
        if group.bytes.is_empty() {
            return Ok(());
        }
        let written = self.write_at_end(group);
        self.note_cursors(&moved, written.is_ok());
        written?;
        self.written_until = next;
        self.open.sequence_next = next;
        self.open.time_last_ns = group.time_ns;
        self.shared.counters.groups.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn write_at_end(&mut self, group: &mut Group) -> Result<(), Stall> {
        let need = group.bytes.len() as u64;
        if self.open.offset + need > self.shared.config.segment_bytes && self.open.has_records() {
            self.rotate()?;
        }
        let sealed = self.open.finish(&mut group.bytes);
        self.open.append(&self.shared, &mut self.roll, sealed.as_deref().unwrap_or(&group.bytes))
    }

    /// Appends a record for each cursor that moved, and for each name to be forgotten. Returns their names.
    fn push_cursors(&self, into: &mut Vec<u8>, sequence: u64, time_ns: i64) -> Vec<String> {
        let consumers = self.shared.consumers.lock();
        let standing = consumers.by_name.iter();
        let moved = standing.filter(|(_, standing)| standing.has_moved.swap(false, Ordering::AcqRel));
        let moved = moved.map(|(name, standing)| (name, Some(standing.cursor.lock().clone())));
        let all: Vec<_> = moved.chain(consumers.forgotten.iter().map(|name| (name, None))).collect();
        let mut body = Vec::new();
        for (name, cursor) in &all {
            body.clear();
            cursor::encode(name, cursor.as_ref(), &mut body);
            record::push(into, Header::new(Kind::Cursor, body.len(), sequence, time_ns), &body);
        }
        all.into_iter().map(|(name, _)| name.clone()).collect()
    }

    /// Cursors that were written need not be again; those that were not, must.
    fn note_cursors(&self, names: &[String], are_written: bool) {
        let mut consumers = self.shared.consumers.lock();
        for name in names {
            if are_written {
                consumers.forgotten.remove(name);
            } else if let Some(standing) = consumers.by_name.get(name) {
                standing.has_moved.store(true, Ordering::Release);
            }
        }
        if !are_written && !names.is_empty() {
            self.shared.has_moved.store(true, Ordering::Release);
        }
    }

    /// Seals the segment and begins the next.
    fn rotate(&mut self) -> Result<(), Stall> {
        self.make_room()?;
        self.trim()?;
        self.sync()?;
        self.open.seal(self.written_until)?;
        let next = self.open.next(&self.shared, &mut self.roll, &self.entropy)?;
        let mut segments = self.shared.segments.lock();
        if let Some(sealed) = segments.list.last_mut() {
            *sealed = self.open.as_sealed();
        }
        segments.list.push(next.as_open());
        drop(segments);
        self.open = next;
        Ok(())
    }

    /// Makes room for one more segment, or says that there is none.
    fn make_room(&mut self) -> Result<(), Stall> {
        let config = &self.shared.config;
        let (segment_bytes, bytes_max, when_full) =
            (config.segment_bytes, config.bytes_max, config.when_full);
        loop {
            let used: u64 = {
                let segments = self.shared.segments.lock();
                let sealed = segments.list.split_last().map_or(&[][..], |(_, sealed)| sealed);
                sealed.iter().map(|segment| segment.bytes).sum()
            };
            if used + self.open.offset + segment_bytes <= bytes_max {
                return Ok(());
            }
            let is_trimmed = match self.trimmable() {
                Some(_) => self.trim()?,
                None if when_full == WhenFull::DropOldest => self.drop_oldest()?,
                None => false,
            };
            if !is_trimmed {
                return Err(Stall::Full(Full::Journal { bytes_max }));
            }
        }
    }

    /// The oldest segment, if nobody needs it: all consumers have settled it, or its time is up.
    fn trimmable(&self) -> Option<(Segment, bool)> {
        let oldest = self.oldest_sealed()?;
        let is_empty = oldest.base_sequence == oldest.sequence_next;
        let is_settled =
            planted("trimmed_unread") || self.shared.low().is_some_and(|low| low >= oldest.sequence_next);
        if is_empty || is_settled {
            return Some((oldest, true));
        }
        let age_max_ns = i64::try_from(self.shared.config.age_max?.as_nanos()).unwrap_or(i64::MAX);
        let age_ns = self.shared.clock.unix_ns().saturating_sub(oldest.time_last_ns);
        (age_ns > age_max_ns).then_some((oldest, false))
    }

    /// Removes the oldest segment if nobody needs it. One at a time: a large file takes the disk a while.
    fn trim(&mut self) -> Result<bool, Stall> {
        let Some((oldest, is_settled)) = self.trimmable() else { return Ok(false) };
        if !is_settled {
            let unread = self.unread(&oldest);
            self.shared.counters.dropped_by_age.fetch_add(unread, Ordering::Relaxed);
        }
        self.remove(&oldest)?;
        Ok(true)
    }

    /// Removes the oldest sealed segment, read or not.
    fn drop_oldest(&mut self) -> Result<bool, Stall> {
        let Some(oldest) = self.oldest_sealed() else { return Ok(false) };
        let unread = self.unread(&oldest);
        self.shared.counters.dropped_by_size.fetch_add(unread, Ordering::Relaxed);
        self.remove(&oldest)?;
        Ok(true)
    }

    /// The oldest segment that can be done without. Until the open one is made, the last before it says where the journal goes
    /// on.
    fn oldest_sealed(&self) -> Option<Segment> {
        let segments = self.shared.segments.lock();
        let (_, sealed) = segments.list.split_last()?;
        let is_spare = self.open.is_made() || sealed.len() > 1;
        sealed.first().filter(|_| is_spare).cloned()
    }

    /// Records of a segment that some consumer has not settled; all when there is no consumer.
    fn unread(&self, segment: &Segment) -> u64 {
        let low = self.shared.low().unwrap_or(segment.base_sequence).max(segment.base_sequence);
        segment.sequence_next.saturating_sub(low)
    }

    fn remove(&mut self, segment: &Segment) -> Result<(), Stall> {
        let path = path_of(&self.shared.directory, segment.id);
        let noted = self.roll.begin_with(segment.id + 1);
        noted.map_err(|error| stall(&path, error))?;
        // Readers look in the list first: it goes from there before it goes from the disk.
        self.shared.segments.lock().list.retain(|other| other.id != segment.id);
        self.shared.disk.remove(&path).map_err(|error| Stall::Failed(format!("{}: {error}", path.display())))
    }

    fn sync(&mut self) -> Result<(), Stall> {
        let began = self.shared.clock.now();
        self.open.sync()?;
        // On disk is only what can be found there.
        self.look()?;
        self.synced_at = self.shared.clock.now();
        self.sync_time = (self.sync_time * 7 + (self.synced_at - began)) / 8;
        self.synced_until = self.written_until;
        self.shared.counters.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn look(&mut self) -> Result<(), Stall> {
        self.looked_at = self.shared.clock.now();
        self.open.look()
    }

    /// Keeps the group that was written in memory, for consumers that keep up.
    fn publish(&mut self, group: Group) {
        let (first, next) = (group.first, group.first + group.records);
        // A buffer that grew once is not kept for a short group.
        let is_tight = group.bytes.len() * 2 >= group.bytes.capacity();
        let records = if is_tight {
            Bytes::from(group.bytes)
        } else {
            let records = Bytes::copy_from_slice(&group.bytes);
            self.spare = group.bytes;
            self.spare.clear();
            records
        };
        let tag_bytes = if self.open.seal.is_some() { TAG_BYTES } else { 0 };
        let block = Block { first, next, records, tag_bytes };
        let spare = self.shared.recent.lock().push(block, self.shared.config.recent_bytes_max);
        if self.spare.capacity() == 0 {
            self.spare = spare.unwrap_or_default();
            self.spare.clear();
        }
    }

    /// Moves the watermarks.
    fn acknowledge(&self) {
        let acked = match self.shared.ack() {
            // What was acknowledged at the other level stays so.
            Ack::Disk => self.synced_until.max(self.shared.acked()),
            Ack::Os => self.written_until,
        };
        {
            let mut segments = self.shared.segments.lock();
            segments.is_finished = self.is_finished;
            if let Some(open) = segments.list.last_mut() {
                *open = self.open.as_open();
            }
        }
        self.shared.synced.store(self.synced_until, Ordering::Release);
        self.shared.acked.store(acked, Ordering::Release);
        self.shared.progress.notify_waiters();
    }

    fn rest(&mut self) -> Rest {
        if self.is_finished {
            return Rest::ForGood;
        }
        let now = self.shared.clock.now();
        let config = &self.shared.config;
        if self.shared.has_moved.load(Ordering::Acquire) {
            self.cursors_due.get_or_insert(now + config.cursor_delay);
        }
        if self.full.is_some() {
            return Rest::For(FULL_RETRY);
        }
        let has_more = {
            let gather = self.shared.gather.lock();
            gather.records > 0 || gather.end.is_some() || gather.wants_sync
        };
        if has_more || self.trimmable().is_some() {
            return Rest::None;
        }
        let is_wakeful = self.appends_before > 0;
        if is_wakeful && self.stay_awake_for(1, (self.sync_time / WAKEFUL_PART).min(WAKEFUL_MAX)) {
            return Rest::None;
        }
        let is_late = self.shared.ack() == Ack::Os && self.open.is_dirty();
        let sync_due = is_late.then(|| self.synced_at + config.sync_every);
        let age_due = config.age_max.map(|_| now + AGE_CHECK);
        let due = [self.cursors_due, sync_due, age_due].into_iter().flatten();
        let due = due.fold(self.looked_at + LOOK_EVERY, Instant::min);
        Rest::For(due.saturating_duration_since(now))
    }
}

impl Work for Writer {
    fn work(&mut self) {
        self.linger();
        let was_full = self.full.take().is_some();
        match self.step(was_full) {
            Ok(()) => {}
            Err(Stall::Full(full)) => self.full = Some(full),
            Err(Stall::Failed(reason)) => {
                self.shared.end(End::Failed(reason));
                self.is_finished = true;
            }
        }
        if let Some(full) = self.full
            && let Some(end) = &mut self.shared.gather.lock().end
        {
            *end = End::Failed(full.to_string());
            self.is_finished = true;
        }
    }

    fn report(&mut self) -> Rest {
        if let Some(group) = self.group.take_if(|group| group.is_written) {
            self.publish(group);
        }
        self.acknowledge();
        self.shared.gather.lock().full = self.full;
        if self.full.is_none() {
            self.shared.room.notify_waiters();
        }
        self.rest()
    }

    fn give_up(&mut self) {
        self.shared.end(End::Failed("its writer panicked".to_owned()));
        self.shared.segments.lock().is_finished = true;
        self.shared.progress.notify_waiters();
    }
}
