//! Tells what a segment holds, and damage from a torn tail.
//!
//! A crash may leave anything of what was not synced: parts of it, in any order. So behind the last good record there may be
//! bytes that are no record, and even good records behind those. All of it is a *torn tail*, nobody was told that it is
//! safe, and it is cut off. But every record says how much of the file was on disk when it was written. A place that does not
//! hold a record, although a later record says that it was on disk, is *damage*: nothing is cut, and nothing there is served.
//!
//! A segment that is not the last was synced before the next was made: there all is damage. So it is when the journal was
//! closed in order, because of the record that says so. The last group before a crash has no later record to vouch for it;
//! damage to it looks like a torn tail.

use std::collections::BTreeMap;

use crate::cursor::{self, Cursor};
use crate::error::{Damage, DamageKind, FormatError};
use crate::limits::DAMAGES_MAX;
use crate::record::{Header, Kind};
use crate::scan::{Found, Raw, Scan};

/// What is behind a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Nothing: it may have a torn tail.
    Nothing,
    /// A segment that begins with this sequence.
    Segment(u64),
    /// A segment that cannot be read: this one is complete all the same.
    Unknown,
}

/// The end of a last segment that a crash left unfinished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Where it begins.
    pub offset: u64,
    /// Up to its last byte that is not zero.
    pub bytes: u64,
}

/// What a segment holds.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) base_sequence: u64,
    /// Data records that are whole.
    pub(crate) records: u64,
    /// Records a repair moved aside.
    pub(crate) records_gone: u64,
    /// The sequence behind the last record.
    pub(crate) sequence_next: u64,
    /// Where records end.
    pub(crate) end: u64,
    pub(crate) torn: Option<TornTail>,
    pub(crate) damages: Vec<Damage>,
    /// Damages beyond those listed.
    pub(crate) damages_more: u64,
    pub(crate) cursors: BTreeMap<String, Cursor>,
    /// The time of the last data record; that of the segment when there is none.
    pub(crate) time_last_ns: i64,
}

/// A place in the walk.
#[derive(Clone, Copy, Debug)]
struct Mark {
    offset: u64,
    sequence: u64,
    records: u64,
}

/// The walk: what was seen so far, and what is only suspected to be damage.
struct Walk {
    survey: Survey,
    suspects: Vec<Damage>,
    /// Where to cut if the suspect of the same place is the begin of a torn tail.
    marks: Vec<Mark>,
    /// How much of the file was on disk once, as its records say.
    synced_bytes: u64,
    /// Where the batch began that is not complete.
    batch: Option<Mark>,
}

/// Walks through a segment.
pub(crate) fn survey(scan: &mut Scan, behind: Behind) -> Result<Survey, FormatError> {
    let mut walk = Walk::new(scan);
    loop {
        let before = walk.mark(scan.offset);
        match scan.next()? {
            Found::End => break,
            Found::Record(raw) => walk.record(scan, &raw, before),
            Found::Body(header) => walk.body(scan, &header, before),
            Found::Nothing => {
                let kind = scan.kind_here()?;
                let (is_found, nonzero_until) = scan.find_next()?;
                if !is_found {
                    walk.tail(scan, before, nonzero_until, kind);
                    break;
                }
                walk.suspect(scan, before, kind, scan.offset - before.offset);
            }
        }
    }
    Ok(walk.judge(scan, behind))
}

impl Survey {
    /// Records that should be here and are not.
    pub(crate) fn records_lost(&self) -> u64 {
        (self.sequence_next - self.base_sequence).saturating_sub(self.records + self.records_gone)
    }
}

impl Walk {
    fn new(scan: &Scan) -> Self {
        let base_sequence = scan.header.base_sequence;
        let survey = Survey {
            base_sequence,
            records: 0,
            records_gone: 0,
            sequence_next: base_sequence,
            end: scan.offset,
            torn: None,
            damages: Vec::new(),
            damages_more: 0,
            cursors: BTreeMap::new(),
            time_last_ns: scan.header.created_ns,
        };
        Self { survey, suspects: Vec::new(), marks: Vec::new(), synced_bytes: 0, batch: None }
    }

    fn mark(&self, offset: u64) -> Mark {
        Mark { offset, sequence: self.survey.sequence_next, records: self.survey.records }
    }

    fn record(&mut self, scan: &Scan, raw: &Raw, before: Mark) {
        let header = &raw.header;
        self.synced_bytes = self.synced_bytes.max(header.synced_bytes.into());
        self.survey.end = scan.offset;
        self.catch_up(scan, header, before);
        match header.kind {
            Kind::Data if header.sequence < self.survey.sequence_next => {
                self.suspect(scan, before, DamageKind::Hole, header.record_bytes() as u64);
            }
            Kind::Data => {
                if header.time_ns < self.survey.time_last_ns {
                    let damage = self.damage(scan, before, DamageKind::Time, header.record_bytes() as u64);
                    self.report(damage);
                }
                self.survey.time_last_ns = self.survey.time_last_ns.max(header.time_ns);
                self.survey.sequence_next += 1;
                self.survey.records += 1;
                self.batch = header.goes_on.then(|| self.batch.unwrap_or(before));
            }
            Kind::Cursor => match cursor::decode(&raw.body()) {
                Some((name, Some(cursor))) => drop(self.survey.cursors.insert(name, cursor)),
                Some((name, None)) => drop(self.survey.cursors.remove(&name)),
                None => self.suspect(scan, before, DamageKind::Body, header.record_bytes() as u64),
            },
            Kind::Gap => match gap_records(&raw.body()) {
                Some(records) => {
                    self.survey.sequence_next = header.sequence + records;
                    self.survey.records_gone += records;
                }
                None => self.suspect(scan, before, DamageKind::Body, header.record_bytes() as u64),
            },
            Kind::End => {}
        }
    }

    /// A record whose body is not whole: its head says how it would have counted.
    fn body(&mut self, scan: &Scan, header: &Header, before: Mark) {
        self.synced_bytes = self.synced_bytes.max(header.synced_bytes.into());
        self.survey.end = scan.offset;
        self.catch_up(scan, header, before);
        self.suspect(scan, before, DamageKind::Body, header.record_bytes() as u64);
        if header.kind == Kind::Data && header.sequence == self.survey.sequence_next {
            self.survey.sequence_next += 1;
            self.end_suspect();
            self.batch = header.goes_on.then(|| self.batch.unwrap_or(before));
        }
    }

    /// Records between what is expected and this one are suspected to be missing.
    fn catch_up(&mut self, scan: &Scan, header: &Header, before: Mark) {
        if header.sequence <= self.survey.sequence_next {
            return;
        }
        let is_behind_a_suspect = self.suspects.last().is_some_and(|last| {
            last.offset + last.bytes == before.offset && last.first == self.survey.sequence_next
        });
        if !is_behind_a_suspect {
            self.suspect(scan, before, DamageKind::Hole, 0);
        }
        self.survey.sequence_next = header.sequence;
        self.batch = None;
        self.end_suspect();
    }

    /// The last suspect takes away all records up to the one that is expected now.
    fn end_suspect(&mut self) {
        if let Some(last) = self.suspects.last_mut() {
            last.records = self.survey.sequence_next.saturating_sub(last.first);
        }
    }

    fn suspect(&mut self, scan: &Scan, before: Mark, kind: DamageKind, bytes: u64) {
        let damage = self.damage(scan, before, kind, bytes);
        if self.suspects.len() < DAMAGES_MAX {
            self.suspects.push(damage);
            // A batch that was begun goes with it.
            self.marks.push(self.batch.unwrap_or(before));
        } else {
            self.survey.damages_more += 1;
        }
    }

    /// What is behind the last record: nothing when it is zeros.
    fn tail(&mut self, scan: &Scan, before: Mark, nonzero_until: u64, kind: DamageKind) {
        if nonzero_until > before.offset {
            self.suspect(scan, before, kind, nonzero_until - before.offset);
        }
    }

    fn damage(&self, scan: &Scan, at: Mark, kind: DamageKind, bytes: u64) -> Damage {
        Damage {
            file: scan.path.clone(),
            offset: at.offset,
            bytes,
            first: self.survey.sequence_next,
            records: 0,
            kind,
        }
    }

    fn report(&mut self, damage: Damage) {
        if self.survey.damages.len() < DAMAGES_MAX {
            self.survey.damages.push(damage);
        } else {
            self.survey.damages_more += 1;
        }
    }

    /// Decides what the suspects are.
    fn judge(mut self, scan: &Scan, behind: Behind) -> Survey {
        if behind == Behind::Nothing {
            self.cut(scan);
        }
        for suspect in std::mem::take(&mut self.suspects) {
            self.report(suspect);
        }
        if let Behind::Segment(base_sequence) = behind {
            self.compare_with_next(scan, base_sequence);
        }
        self.survey.damages.sort_by_key(|damage| damage.offset);
        self.survey
    }

    /// Cuts the torn tail: from the first suspect that no record vouches for, or from a batch that is not complete.
    fn cut(&mut self, scan: &Scan) {
        let torn_at = self.suspects.iter().position(|suspect| suspect.offset >= self.synced_bytes);
        let nonzero_until =
            self.suspects.last().map_or(0, |last| last.offset + last.bytes).max(self.survey.end);
        let suspect = torn_at.map(|at| self.marks[at]);
        let batch = self.batch.filter(|batch| suspect.is_none_or(|suspect| batch.offset < suspect.offset));
        let Some(mark) = batch.or(suspect) else { return };
        if let Some(at) = torn_at {
            self.suspects.truncate(at);
        }
        self.survey.damages.retain(|damage| damage.offset < mark.offset);
        self.survey.torn =
            Some(TornTail { offset: mark.offset, bytes: nonzero_until.min(scan.end) - mark.offset });
        (self.survey.sequence_next, self.survey.records, self.survey.end) =
            (mark.sequence, mark.records, mark.offset);
    }

    /// Records that the next segment says were here.
    fn compare_with_next(&mut self, scan: &Scan, base_sequence: u64) {
        let missing = base_sequence.saturating_sub(self.survey.sequence_next);
        if missing == 0 && base_sequence == self.survey.sequence_next {
            return;
        }
        let at = self.mark(self.survey.end);
        match self.survey.damages.last_mut() {
            Some(last) if last.offset >= self.survey.end => last.records += missing,
            _ => {
                let damage = self.damage(scan, at, DamageKind::Hole, 0);
                self.report(Damage { records: missing, ..damage });
            }
        }
        self.survey.sequence_next = base_sequence;
    }
}

/// How many records a gap stands for.
pub(crate) fn gap_records(body: &[u8]) -> Option<u64> {
    let records = u64::from_le_bytes(body.try_into().ok()?);
    (records < 1 << 32).then_some(records)
}
