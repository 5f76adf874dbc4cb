//! Reads records back from disk, in order, across segments; never serves one whose checks do not hold.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flux_world::Disk;

use crate::error::{Damage, DamageKind, FormatError};
use crate::keys::{Keys, Seal};
use crate::record::{Header, Kind};
use crate::scan::{Found, Raw, Scan};
use crate::segment::{SegmentHeader, path_of};
use crate::shared::Segment;
use crate::survey::gap_records;

/// Records that are looked at for one that a key opens.
const TRIED_MAX: usize = 100;

/// A record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the journal: the next one's is higher by one.
    pub sequence: u64,
    /// When it was appended, in nanoseconds since 1970-01-01 UTC: the time at which its group began to gather, and never
    /// before the record in front of it.
    pub time_ns: i64,
    /// What was appended. A slice of what was read at once: keep it for long and you keep that.
    pub body: Bytes,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    Records(Vec<Record>),
    /// Records that a repair moved aside: all before this sequence.
    GapUntil(u64),
}

/// What opens the records of a segment. One that says nothing of its key is asked whether it may be this one.
pub(crate) fn seal_of(
    disk: &Disk,
    path: &Path,
    segment: &SegmentHeader,
    keys: &Keys,
) -> Result<Option<Seal>, FormatError> {
    let seal = keys.seal_of(segment, path)?;
    if let (Some(seal), 0) = (&seal, segment.key_check)
        && !may_open(&mut Scan::open(disk, path)?, seal)?
    {
        return Err(FormatError::OtherKey { file: path.to_owned(), key_id: segment.key_id });
    }
    Ok(seal)
}

/// Whether a seal opens one of the first whole records, or there is none to try.
fn may_open(scan: &mut Scan, seal: &Seal) -> Result<bool, FormatError> {
    let mut tried = 0;
    for _ in 0..TRIED_MAX {
        match scan.next()? {
            Found::Record(raw) if raw.header.kind == Kind::Data => {
                let Header { body_bytes, sequence, .. } = raw.header;
                if seal.open(&raw.record, body_bytes as usize, sequence).is_some() {
                    return Ok(true);
                }
                tried += 1;
            }
            Found::Record(_) | Found::Body(_) => {}
            Found::Nothing | Found::End => break,
        }
    }
    Ok(tried == 0)
}

#[derive(Debug)]
pub(crate) struct Reader {
    disk: Disk,
    directory: PathBuf,
    keys: Keys,
    scan: Option<(Scan, Option<Seal>)>,
    /// The sequence of the next record the walk comes to.
    expected: u64,
    /// What was met on the way and is still to be told.
    met: VecDeque<Met>,
}

#[derive(Clone, Debug)]
enum Met {
    Gap { until: u64 },
    Damage { damage: Damage, until: u64 },
}

impl Met {
    fn until(&self) -> u64 {
        match self {
            Met::Gap { until } | Met::Damage { until, .. } => *until,
        }
    }
}

impl Reader {
    pub(crate) fn new(disk: Disk, directory: PathBuf, keys: Keys) -> Self {
        Self { disk, directory, keys, scan: None, expected: 0, met: VecDeque::new() }
    }

    /// Records from `from` on and before `limit`, at most `records_max`; what is damaged is an error until a later `from`
    /// says that it is given up. `find` knows the segment of a sequence.
    pub(crate) fn read(
        &mut self,
        from: u64,
        limit: u64,
        records_max: usize,
        find: &dyn Fn(u64) -> Option<Segment>,
    ) -> Result<Next, FormatError> {
        self.met.retain(|met| met.until() > from);
        let mut records = Vec::new();
        while self.met.is_empty() && records.len() < records_max {
            let wanted = from + records.len() as u64;
            let Some(segment) = find(wanted).filter(|_| wanted < limit) else { break };
            self.stand_in(&segment, wanted)?;
            if !self.step(&segment, wanted, &mut records)? {
                break;
            }
        }
        match self.met.front() {
            Some(met) if records.is_empty() => match met {
                Met::Gap { until } => Ok(Next::GapUntil(*until)),
                Met::Damage { damage, .. } => Err(damage.clone().into()),
            },
            _ => Ok(Next::Records(records)),
        }
    }

    /// Has the walk stand in this segment, not behind what is wanted.
    fn stand_in(&mut self, segment: &Segment, wanted: u64) -> Result<(), FormatError> {
        let is_here = self.scan.as_ref().is_some_and(|(scan, _)| scan.header.id == segment.id);
        if !is_here || self.expected > wanted {
            let path = path_of(&self.directory, segment.id);
            let scan = Scan::open(&self.disk, &path)?;
            let seal = seal_of(&self.disk, &path, &scan.header, &self.keys)?;
            self.scan = Some((scan, seal));
            self.expected = segment.base_sequence;
        }
        if let (Some((scan, _)), Some(end)) = (&mut self.scan, segment.end) {
            scan.end = end;
        }
        Ok(())
    }

    /// One step of the walk; false when there is nothing more for now.
    fn step(
        &mut self,
        segment: &Segment,
        wanted: u64,
        records: &mut Vec<Record>,
    ) -> Result<bool, FormatError> {
        let (scan, seal) = self.scan.as_mut().expect("the walk stands in a segment");
        let offset = scan.offset;
        let kind = match scan.next()? {
            Found::Record(raw) if raw.header.kind == Kind::Gap => {
                self.expected = raw.header.sequence + gap_records(&raw.body()).unwrap_or(0);
                self.meet(Met::Gap { until: self.expected }, wanted);
                return Ok(true);
            }
            Found::Record(raw) if raw.header.kind != Kind::Data => return Ok(true),
            Found::Record(raw) if raw.header.sequence == self.expected => {
                let record = (self.expected >= wanted).then(|| unsealed(&raw, seal.as_ref()));
                match record {
                    None => {}
                    Some(Some(record)) => records.push(record),
                    Some(None) => return self.damage(offset, DamageKind::Seal, segment, wanted),
                }
                self.expected += 1;
                return Ok(true);
            }
            Found::Record(raw) => {
                // What is missing before it is told first; then the walk comes to it again.
                scan.offset = raw.offset;
                DamageKind::Hole
            }
            Found::Body(header) if header.kind != Kind::Data => return Ok(true),
            Found::Body(_) => DamageKind::Body,
            Found::Nothing => {
                scan.find_next()?;
                DamageKind::Head
            }
            Found::End if segment.end.is_some() && self.expected >= segment.sequence_next => {
                return Ok(false);
            }
            Found::End => DamageKind::Hole,
        };
        self.damage(offset, kind, segment, wanted)
    }

    /// Notes damage that begins where the walk was, and moves on to the next record that is whole.
    fn damage(
        &mut self,
        offset: u64,
        kind: DamageKind,
        segment: &Segment,
        wanted: u64,
    ) -> Result<bool, FormatError> {
        let (scan, _) = self.scan.as_mut().expect("the walk stands in a segment");
        let first = self.expected;
        let until = match kind {
            DamageKind::Seal => first + 1,
            _ => next_data(scan, first)?.unwrap_or(segment.sequence_next).max(first + 1),
        };
        let damage = Damage {
            file: scan.path.clone(),
            offset,
            bytes: scan.offset.saturating_sub(offset),
            first,
            records: until - first,
            kind,
        };
        self.expected = until;
        self.meet(Met::Damage { damage, until }, wanted);
        Ok(true)
    }

    fn meet(&mut self, met: Met, wanted: u64) {
        if met.until() > wanted {
            self.met.push_back(met);
        }
    }
}

/// Moves to the next whole data record that is expected or later; its sequence.
fn next_data(scan: &mut Scan, expected: u64) -> Result<Option<u64>, FormatError> {
    loop {
        let offset = scan.offset;
        match scan.next()? {
            Found::Record(raw) if raw.header.sequence >= expected && raw.header.kind != Kind::Cursor => {
                // The walk comes to it again.
                scan.offset = offset;
                return Ok(Some(raw.header.sequence));
            }
            Found::Record(_) | Found::Body(_) => {}
            Found::Nothing => {
                if !scan.find_next()?.0 {
                    return Ok(None);
                }
            }
            Found::End => return Ok(None),
        }
    }
}

/// The record with its plain body; `None` when its seal does not open.
fn unsealed(raw: &Raw, seal: Option<&Seal>) -> Option<Record> {
    let body = match seal {
        None => raw.body(),
        Some(seal) => seal.open(&raw.record, raw.header.body_bytes as usize, raw.header.sequence)?.into(),
    };
    Some(Record { sequence: raw.header.sequence, time_ns: raw.header.time_ns, body })
}
