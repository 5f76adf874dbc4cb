//! Looks at a journal without opening it to write: `check` verifies every record, `dump` shows some.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flux_world::{Disk, World};

use crate::error::{FormatError, OpenError};
use crate::keys::Keys;
use crate::reader::{Next, Reader, Record};
use crate::recovery::take_lock;
use crate::scan::Scan;
use crate::segment::SegmentHeader;
use crate::shared::Segment;
use crate::survey::{Behind, Survey, TornTail, survey};
use crate::{repair, roll, segment};

/// Records read at a time.
const WALK_RECORDS: usize = 1_024;

/// What a check found.
#[derive(Debug, Default)]
pub struct CheckReport {
    /// Segments there are.
    pub segments: u64,
    /// Their length together.
    pub bytes: u64,
    /// Whole records.
    pub records: u64,
    /// Records a repair moved aside earlier.
    pub records_gone: u64,
    /// Files that a repair replaced and kept.
    pub kept_aside: u64,
    /// The oldest record.
    pub first: u64,
    /// Behind the newest record.
    pub next: u64,
    /// Where consumers stand, by name: the oldest record each has not settled.
    pub consumers: Vec<(String, u64)>,
    /// What a crash left unfinished. The next opening cuts it; nothing that was acknowledged is in it.
    pub torn: Option<(PathBuf, TornTail)>,
    /// A process has the journal open: what it is writing now may look torn.
    pub is_in_use: bool,
    /// The clock is behind the last record by this much.
    pub clock_behind: Option<Duration>,
    /// All that is wrong, oldest segment first.
    pub problems: Vec<FormatError>,
    /// Problems beyond those listed.
    pub problems_more: u64,
}

impl CheckReport {
    /// Whether nothing is wrong. A torn tail is not wrong; a clock behind the last record is.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty() && self.clock_behind.is_none()
    }
}

/// Records as [`dump`] found them.
#[derive(Debug, Default)]
pub struct Dump {
    /// Records in order.
    pub records: Vec<Record>,
    /// What is between them and cannot be shown.
    pub problems: Vec<FormatError>,
}

/// A segment that was looked through.
pub(crate) struct Seen {
    pub(crate) path: PathBuf,
    pub(crate) survey: Result<Survey, FormatError>,
    /// The header it would have, where it is the header that is damaged and a repair can mend it.
    pub(crate) mended: Option<SegmentHeader>,
}

impl Seen {
    /// Looks through it again.
    pub(crate) fn scan(&self, disk: &Disk) -> Result<Scan, FormatError> {
        match &self.mended {
            Some(header) => Scan::with(disk, &self.path, header.clone()),
            None => Scan::open(disk, &self.path),
        }
    }
}

/// Verifies every record of the journal in `directory`; changes nothing and needs no keys. Blocks while it reads it all.
pub fn check(world: &World, directory: &Path) -> Result<CheckReport, OpenError> {
    let mut report = CheckReport { is_in_use: is_in_use(world, directory)?, ..CheckReport::default() };
    let mut time_last_ns = i64::MIN;
    for seen in survey_all(&world.disk, directory, &mut report.problems)? {
        report.segments += 1;
        let survey = match seen.survey {
            Ok(survey) => survey,
            Err(problem) => {
                report.problems.push(problem);
                continue;
            }
        };
        if report.segments == 1 {
            report.first = survey.base_sequence;
        }
        report.bytes += survey.end;
        report.records += survey.records;
        report.records_gone += survey.records_gone;
        report.next = survey.sequence_next;
        report.torn = survey.torn.map(|torn| (seen.path, torn));
        report.problems.extend(survey.damages.into_iter().map(FormatError::from));
        report.problems_more += survey.damages_more;
        report.consumers = survey.cursors.into_iter().map(|(name, cursor)| (name, cursor.low())).collect();
        time_last_ns = survey.time_last_ns;
    }
    let aside = world.disk.list(&directory.join(repair::ASIDE));
    report.kept_aside = aside.map_or(0, |files| files.len() as u64);
    // What is wrong with a file that is there may be why another seems to be missing.
    report.problems.sort_by_key(FormatError::is_of_the_roll);
    let behind_ns = time_last_ns.saturating_sub(world.clock.unix_ns());
    report.clock_behind = u64::try_from(behind_ns).ok().filter(|ns| *ns > 0).map(Duration::from_nanos);
    Ok(report)
}

/// Up to `limit` records from the sequence `from` on, plain if the keys open them. Changes nothing.
pub fn dump(
    world: &World,
    directory: &Path,
    keys: &Keys,
    from: u64,
    limit: usize,
) -> Result<Dump, OpenError> {
    let mut records = Vec::new();
    if limit == 0 {
        return Ok(Dump::default());
    }
    let problems = walk(world, directory, keys, from, &mut |record| {
        records.push(record);
        if records.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(Dump { records, problems })
}

/// Shows every record from the sequence `from` on, plain if the keys open it, until `visit` has seen enough; returns what is
/// between them and cannot be shown. Changes nothing, and blocks.
pub fn walk(
    world: &World,
    directory: &Path,
    keys: &Keys,
    from: u64,
    visit: &mut dyn FnMut(Record) -> ControlFlow<()>,
) -> Result<Vec<FormatError>, OpenError> {
    let mut problems = Vec::new();
    let segments = segments(&world.disk, directory, &mut problems)?;
    let find = |sequence: u64| {
        let at = segments.partition_point(|segment| segment.base_sequence <= sequence);
        segments.get(at.checked_sub(1)?).filter(|segment| sequence < segment.sequence_next).cloned()
    };
    let mut reader = Reader::new(world.disk.clone(), directory.to_owned(), keys.clone());
    let (mut from, until) = match (segments.first(), segments.last()) {
        (Some(first), Some(last)) => (from.max(first.base_sequence), last.sequence_next),
        _ => return Ok(problems),
    };
    while from < until {
        match reader.read(from, until, WALK_RECORDS, &find) {
            Ok(Next::Records(records)) => {
                let Some(last) = records.last() else { break };
                from = last.sequence + 1;
                for record in records {
                    if visit(record).is_break() {
                        return Ok(problems);
                    }
                }
            }
            Ok(Next::GapUntil(behind)) => from = behind,
            Err(FormatError::Damaged(damage)) => {
                from = damage.first + damage.records;
                problems.push(damage.into());
            }
            Err(error) if is_trimmed(&error) => {
                match segments.iter().find(|segment| segment.base_sequence > from) {
                    Some(behind) => from = behind.base_sequence,
                    None => break,
                }
            }
            Err(error) => {
                problems.push(error);
                break;
            }
        }
    }
    Ok(problems)
}

/// A segment of a directory that is sealed, and the key that it names. No other is looked for; what cannot be read is left
/// out, and so is a directory that is not there.
pub fn sealed_segment(disk: &Disk, directory: &Path) -> Option<(PathBuf, u32)> {
    let segments = segment::list(disk, directory).ok()?.into_iter();
    segments
        .filter_map(|(path, _)| {
            let (_, header) = SegmentHeader::open(disk, &path).ok()?;
            Some((path, header.key_id))
        })
        .find(|(_, key_id)| *key_id != 0)
}

/// Looks through all segments; a missing one is a problem of its own.
pub(crate) fn survey_all(
    disk: &Disk,
    directory: &Path,
    problems: &mut Vec<FormatError>,
) -> Result<Vec<Seen>, OpenError> {
    let paths = listed(disk, directory, problems)?;
    let scans = paths.into_iter().map(|path| (path.clone(), Scan::open(disk, &path)));
    let is_there = |scan: &Result<Scan, FormatError>| !scan.as_ref().is_err_and(is_trimmed);
    let mut scans: Vec<_> = scans.filter(|(_, scan)| is_there(scan)).collect();
    for pair in scans.windows(2) {
        if let [(_, Ok(before)), (file, Ok(scan))] = pair
            && (before.header.id + 1 != scan.header.id
                || before.header.base_sequence > scan.header.base_sequence)
        {
            let (id, base_sequence) = (scan.header.id, scan.header.base_sequence);
            problems.push(FormatError::Missing { file: file.clone(), id, base_sequence });
        }
    }
    let bases: Vec<Option<u64>> =
        scans.iter().map(|(_, scan)| scan.as_ref().ok().map(|scan| scan.header.base_sequence)).collect();
    let seen = scans.drain(..).enumerate().map(|(at, (path, scan))| {
        // Behind a segment that cannot be read there may have been anything; this one was complete.
        let behind = match bases.get(at + 1) {
            Some(Some(base_sequence)) => Behind::Segment(*base_sequence),
            Some(None) => Behind::Unknown,
            None => Behind::Nothing,
        };
        Seen { path, survey: scan.and_then(|mut scan| survey(&mut scan, behind)), mended: None }
    });
    Ok(seen.collect())
}

/// The segments there are; those that the roll names and that are not there are a problem each, and so is a roll that cannot
/// be read. Beside a rack that makes and removes some: one that was there before and after is there.
fn listed(disk: &Disk, directory: &Path, problems: &mut Vec<FormatError>) -> Result<Vec<PathBuf>, OpenError> {
    let before = roll::read(disk, directory);
    let paths = match (&before, paths(disk, directory)) {
        // All of them are gone.
        (Ok(Some(_)), Err(OpenError::Format(FormatError::Io { error, .. })))
            if error.kind() == io::ErrorKind::NotFound =>
        {
            Vec::new()
        }
        (_, paths) => paths?,
    };
    let ids: Vec<u64> = paths.iter().filter_map(|path| segment::id_of(path)).collect();
    match before.and_then(|before| Ok(before.zip(roll::read(disk, directory)?))) {
        Ok(Some((before, after))) => problems.extend(after.missing(&before, directory, &ids)),
        Ok(None) => problems.extend(roll::not_removed(disk, directory, &paths).err()),
        Err(problem) => problems.push(problem),
    }
    Ok(paths)
}

fn paths(disk: &Disk, directory: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let segments = segment::list(disk, directory)?;
    if segments.is_empty() {
        let error = io::Error::new(io::ErrorKind::NotFound, "no segment of a journal is in this directory");
        return Err(FormatError::Io { file: directory.to_owned(), error }.into());
    }
    Ok(segments.into_iter().map(|(path, _)| path).collect())
}

fn segments(
    disk: &Disk,
    directory: &Path,
    problems: &mut Vec<FormatError>,
) -> Result<Vec<Segment>, OpenError> {
    let paths = listed(disk, directory, problems)?;
    let last = paths.len().saturating_sub(1);
    let mut segments: Vec<Segment> = Vec::new();
    for (at, path) in paths.into_iter().enumerate() {
        let mut scan = match Scan::open(disk, &path) {
            Ok(scan) => scan,
            Err(problem) if is_trimmed(&problem) => continue,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let header = scan.header.clone();
        if let Some(before) = segments.last_mut() {
            before.sequence_next = header.base_sequence;
        }
        let (mut sequence_next, mut end) = (header.base_sequence, None);
        if at == last {
            let survey = survey(&mut scan, Behind::Nothing)?;
            (sequence_next, end) = (survey.sequence_next, Some(survey.end));
        }
        let (id, base_sequence, time_last_ns) = (header.id, header.base_sequence, header.created_ns);
        segments.push(Segment { id, base_sequence, sequence_next, end, bytes: 0, time_last_ns });
    }
    Ok(segments)
}

/// Whether a segment that was listed is gone since: a rack beside us needs it no more.
fn is_trimmed(problem: &FormatError) -> bool {
    matches!(problem, FormatError::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
}

/// Whether a process has it open. Where no lock can be made, as on a disk that is read only, nobody has.
fn is_in_use(world: &World, directory: &Path) -> Result<bool, OpenError> {
    listed(&world.disk, directory, &mut Vec::new())?;
    match take_lock(world, directory) {
        Err(OpenError::InUse { .. }) => Ok(true),
        Ok(_) | Err(_) => Ok(false),
    }
}
