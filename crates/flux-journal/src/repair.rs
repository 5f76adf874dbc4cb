//! Moves what is damaged aside, so that the rest of a journal is served again.
//!
//! A segment with damage is copied as it is to `damaged/`, and replaced by one without: its whole records byte for byte, and
//! where records are missing a gap record that says how many. A segment whose header cannot be read is moved to `damaged/` and
//! replaced by one with the header mended (`mend.rs`); where that cannot be, by one that is a gap, from the nearest segment before it that can be read to the nearest behind. Where no segment
//! can be read all are moved there, and the journal begins anew. What consumers are given then skips the gaps and counts them.

use std::io;
use std::path::{Path, PathBuf};

use flux_world::{Disk, World};

use crate::error::{DamageKind, FormatError, OpenError};
use crate::inspect::{Seen, survey_all};
use crate::mend::{Neighbours, mended};
use crate::record::{self, Header, Kind};
use crate::recovery::{io_at, take_lock};
use crate::roll;
use crate::scan::{Found, Scan};
use crate::segment::{self, Salt, SegmentHeader};
use crate::survey::{Behind, Survey, gap_records, survey};

/// Where damaged files are kept, within the journal's directory.
pub(crate) const ASIDE: &str = "damaged";

/// What a repair does, or would do.
#[derive(Debug, Default)]
pub struct RepairReport {
    /// Each file that is replaced, with where it is kept.
    pub moved: Vec<Moved>,
    /// Segments that are missing at the begin or the end, and are not asked for any more: what was in them is lost.
    pub given_up: Vec<FormatError>,
    /// What is wrong and cannot be repaired.
    pub left: Vec<FormatError>,
}

/// A file that a repair replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The segment.
    pub file: PathBuf,
    /// Where it is kept as it was.
    pub kept_as: PathBuf,
    /// Records that are not served any more; `None` where nothing tells how many they are.
    pub records: Option<u64>,
    /// Whether its header was damaged and is mended.
    pub is_mended: bool,
    /// Whether there is another in its place: not where no segment of the journal can be read.
    pub is_replaced: bool,
}

/// What to do with a segment.
enum Cure {
    /// Put this in its place, which lacks so many records, if that is known.
    Replace(Option<u64>, Vec<u8>),
    /// Take it away.
    Remove,
}

/// Repairs the journal in `directory`, or with `is_dry_run` says what it would do. The journal must not be open. What is
/// damaged is kept in `damaged/` within the directory; a file there already is never replaced.
pub fn repair(world: &World, directory: &Path, is_dry_run: bool) -> Result<RepairReport, OpenError> {
    let mut report = RepairReport::default();
    let (disk, mut seen) = (&world.disk, survey_all(&world.disk, directory, &mut report.left)?);
    let _lock = take_lock(world, directory)?;
    for at in 0..seen.len() {
        mend(disk, &mut seen, at)?;
    }
    (report.given_up, report.left) =
        std::mem::take(&mut report.left).into_iter().partition(FormatError::is_of_the_roll);
    if !report.given_up.is_empty() && !is_dry_run {
        let ids: Vec<u64> = seen.iter().filter_map(|seen| segment::id_of(&seen.path)).collect();
        roll::renew(disk, directory, &ids).map_err(|error| io_at(directory, error))?;
    }
    for at in 0..seen.len() {
        let Some(cure) = cure(world, &seen, at, &mut report)? else { continue };
        let file = seen[at].path.clone();
        let kept_as = free_name(disk, directory, &file);
        let (records, content) = match cure {
            Cure::Replace(records, content) => (records, Some(content)),
            Cure::Remove => (None, None),
        };
        let is_replaced = content.is_some();
        if !is_dry_run {
            let replaced = replace(disk, directory, &file, &kept_as, content.as_deref());
            replaced.map_err(|error| io_at(&file, error))?;
        }
        let is_mended = seen[at].mended.is_some();
        report.moved.push(Moved { file, kept_as, records, is_mended, is_replaced });
    }
    if !is_dry_run && is_past_help(&seen) {
        roll::renew(disk, directory, &[]).map_err(|error| io_at(directory, error))?;
    }
    Ok(report)
}

/// Mends the header of a segment, when it is that which is damaged and its records tell.
fn mend(disk: &Disk, seen: &mut [Seen], at: usize) -> Result<(), FormatError> {
    if !matches!(&seen[at].survey, Err(FormatError::Header { .. } | FormatError::Foreign { .. })) {
        return Ok(());
    }
    let survey_at = |at: usize| seen.get(at)?.survey.as_ref().ok();
    let neighbours = Neighbours {
        begins_with: at.checked_sub(1).and_then(survey_at).map(|before| before.sequence_next),
        ends_with: survey_at(at + 1).map(|behind| behind.base_sequence),
        key_ids: seen.iter().filter_map(|seen| Some(seen.scan(disk).ok()?.header.key_id)).collect(),
    };
    let behind = match seen.get(at + 1) {
        None => Behind::Nothing,
        Some(_) => neighbours.ends_with.map_or(Behind::Unknown, Behind::Segment),
    };
    let Some(mut scan) = mended(disk, &seen[at].path, &neighbours)? else { return Ok(()) };
    seen[at].survey = survey(&mut scan, behind);
    seen[at].mended = Some(scan.header.clone());
    if let Some(before) = at.checked_sub(1).map(|before| &mut seen[before])
        && before.survey.is_ok()
    {
        // Now it is known what is behind.
        before.survey = survey(&mut before.scan(disk)?, Behind::Segment(scan.header.base_sequence));
    }
    Ok(())
}

/// Whether there are segments, and not one whose header can be read.
fn is_past_help(seen: &[Seen]) -> bool {
    let is_damaged =
        |seen: &Seen| matches!(&seen.survey, Err(FormatError::Header { .. } | FormatError::Foreign { .. }));
    !seen.is_empty() && seen.iter().all(is_damaged)
}

/// What to do with a segment; none when it is fine, or nothing can be done.
fn cure(
    world: &World,
    seen: &[Seen],
    at: usize,
    report: &mut RepairReport,
) -> Result<Option<Cure>, OpenError> {
    match &seen[at].survey {
        Ok(survey) => {
            let is_whole = survey.damages.iter().all(|damage| damage.kind == DamageKind::Time);
            if is_whole && survey.damages_more == 0 && seen[at].mended.is_none() {
                return Ok(None);
            }
            let content = without_damage(seen[at].scan(&world.disk)?, survey)?;
            Ok(Some(Cure::Replace(Some(survey.records_lost()), content)))
        }
        Err(FormatError::Header { .. } | FormatError::Foreign { .. }) if is_past_help(seen) => {
            Ok(Some(Cure::Remove))
        }
        Err(FormatError::Header { .. } | FormatError::Foreign { .. }) => {
            let gap = gap_in_place_of(world, seen, at);
            if gap.is_none() {
                report.left.push(FormatError::Header { file: seen[at].path.clone() });
            }
            Ok(gap)
        }
        Err(FormatError::Newer { file, version }) => {
            report.left.push(FormatError::Newer { file: file.clone(), version: *version });
            Ok(None)
        }
        Err(FormatError::NoFile { file }) => {
            report.left.push(FormatError::NoFile { file: file.clone() });
            Ok(None)
        }
        Err(other) => {
            let error = io::Error::other(other.to_string());
            report.left.push(FormatError::Io { file: seen[at].path.clone(), error });
            Ok(None)
        }
    }
}

/// The whole records of a segment, with gaps in the place of the others.
fn without_damage(mut scan: Scan, survey: &Survey) -> Result<Vec<u8>, FormatError> {
    scan.end = survey.end;
    let salt = scan.header.salt.clone();
    let mut content = scan.header.encode().to_vec();
    let (mut expected, mut time_ns) = (scan.header.base_sequence, scan.header.created_ns);
    loop {
        match scan.next()? {
            Found::End => break,
            Found::Body(_) => {}
            Found::Nothing => {
                scan.find_next()?;
            }
            Found::Record(raw) => {
                let header = raw.header;
                if header.kind == Kind::Data && header.sequence < expected {
                    continue;
                }
                if header.sequence > expected {
                    push_gap(&mut content, expected, header.sequence, time_ns, &salt);
                }
                expected = match header.kind {
                    Kind::Data => header.sequence + 1,
                    Kind::Gap => header.sequence + gap_records(&raw.body()).unwrap_or(0),
                    Kind::Cursor | Kind::End => expected.max(header.sequence),
                };
                time_ns = time_ns.max(header.time_ns);
                content.extend_from_slice(&raw.record);
            }
        }
    }
    if survey.sequence_next > expected {
        push_gap(&mut content, expected, survey.sequence_next, time_ns, &salt);
    }
    Ok(content)
}

/// A segment that is one gap, from the nearest segment before to the nearest behind; of several without a header in a row the
/// first is all of it. None where its name is not that of a segment, or where none can be read.
fn gap_in_place_of(world: &World, seen: &[Seen], at: usize) -> Option<Cure> {
    let id = u64::from_str_radix(seen[at].path.file_name()?.to_str()?.split('.').next()?, 16).ok()?;
    let survey_at = |at: usize| seen.get(at)?.survey.as_ref().ok();
    let behind = seen[at + 1..].iter().find_map(|seen| seen.survey.as_ref().ok());
    let nearest = seen[..at].iter().rposition(|seen| seen.survey.is_ok());
    let before = nearest.and_then(survey_at);
    let until = behind.map(|behind| behind.base_sequence).or(before.map(|before| before.sequence_next))?;
    // The first of a journal may have begun anywhere: nothing before the next is known, and nothing is missed.
    let from = before.filter(|_| nearest == at.checked_sub(1)).map_or(until, |before| before.sequence_next);
    let time_ns = before.map_or(i64::MIN, |before| before.time_last_ns);
    let mut salt = [0; 16];
    world.entropy.fill(&mut salt);
    let salt = Salt::new(salt);
    let header = SegmentHeader {
        id,
        base_sequence: from,
        key_id: 0,
        key_check: 0,
        is_rolled: false,
        created_ns: time_ns,
        salt: salt.clone(),
    };
    let mut content = header.encode().to_vec();
    if until > from {
        push_gap(&mut content, from, until, time_ns, &salt);
    }
    let is_counted = nearest.is_some() && nearest == at.checked_sub(1);
    Some(Cure::Replace(is_counted.then_some(until - from), content))
}

fn push_gap(content: &mut Vec<u8>, first: u64, until: u64, time_ns: i64, salt: &Salt) {
    let at = content.len();
    let records = (until - first).to_le_bytes();
    record::push(content, Header::new(Kind::Gap, records.len(), first, time_ns), &records);
    record::finish(&mut content[at..], salt);
}

/// A name in `damaged/` that nothing has.
fn free_name(disk: &Disk, directory: &Path, file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let aside = directory.join(ASIDE);
    let names = (0_u32..).map(|n| if n == 0 { name.clone() } else { format!("{name}.{n}") });
    let mut paths = names.map(|name| aside.join(name));
    paths.find(|path| !disk.exists(path)).expect("there are more numbers than files")
}

/// Keeps a copy, and only then puts the new content in its place at once, or takes it away.
fn replace(
    disk: &Disk,
    directory: &Path,
    file: &Path,
    kept_as: &Path,
    content: Option<&[u8]>,
) -> io::Result<()> {
    disk.make_private_dir(&directory.join(ASIDE))?;
    let old = disk.read(file, usize::MAX)?;
    disk.write_atomic(kept_as, &old)?;
    match content {
        Some(content) => disk.write_atomic(file, content),
        None => disk.remove(file).and_then(|()| disk.sync_dir(directory)),
    }
}
