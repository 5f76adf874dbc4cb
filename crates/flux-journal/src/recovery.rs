//! Opens a journal: looks at every segment's header and through the last segment, cuts its torn tail, begins a new one.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flux_world::World;
use flux_world::disk::DiskLock;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::config::{Ack, Config};
use crate::cursor::Cursor;
use crate::error::{Damage, FormatError, OpenError};
use crate::keys::Keys;
use crate::open_segment::OpenSegment;
use crate::reader::seal_of;
use crate::recent::Recent;
use crate::roll::{self, Roll};
use crate::scan::Scan;
use crate::segment::{self, SUFFIX_NEW, SegmentHeader};
use crate::shared::{Consumers, Counters, Gather, Segment, Segments, Shared, Standing};
use crate::survey::{Behind, Survey, TornTail, survey};
use crate::writer::{Stall, Writer};

const LOCK_FILE: &str = "LOCK";

/// What was found when a journal was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments there were.
    pub segments: u64,
    /// Records there are, by their sequences: those in segments that are not read yet are taken to be whole.
    pub records: u64,
    /// Where new records go on.
    pub next: u64,
    /// What a crash left unfinished, and was cut: nobody was told that it was safe.
    pub torn: Option<(PathBuf, TornTail)>,
    /// Records of the last segment that are damaged. They are kept, and not served.
    pub damages: Vec<Damage>,
    /// The clock is behind the last record by this much. New records are stamped with the time of the last one until it
    /// has caught up.
    pub clock_behind: Option<Duration>,
}

pub(crate) fn open(
    world: &World,
    directory: &Path,
    config: Config,
    keys: Keys,
    unsafe_from: u64,
) -> Result<(Arc<Shared>, Writer, Recovery), OpenError> {
    if keys.ids().any(|id| id == 0) {
        let reason = "a key's id is at least 1".to_owned();
        return Err(OpenError::Config { setting: "keys", reason });
    }
    let disk = &world.disk;
    disk.make_private_dir(directory).map_err(|error| io_at(directory, error))?;
    let lock = take_lock(world, directory)?;
    let mut segments = headers(world, directory, &keys)?;
    let entry = roll::read(disk, directory)?;
    let ids: Vec<u64> = segments.iter().map(|segment| segment.id).collect();
    if let Some(missing) = entry.and_then(|entry| entry.missing(&entry, directory, &ids).into_iter().next()) {
        return Err(missing.into());
    }
    if entry.is_none() {
        let paths: Vec<PathBuf> = ids.iter().map(|id| segment::path_of(directory, *id)).collect();
        roll::not_removed(disk, directory, &paths)?;
    }
    let mut roll = Roll::new(disk, directory, entry, &ids);
    let last = match segments.last() {
        Some(last) => Some(recover_last(world, directory, last, unsafe_from)?),
        None => None,
    };
    let now_ns = world.clock.unix_ns();
    let mut recovery = Recovery { segments: segments.len() as u64, ..Recovery::default() };
    let (mut id, mut sequence, mut time_ns, mut cursors) = (1, 0, now_ns, BTreeMap::new());
    if let (Some(last), Some(segment)) = (last, segments.last_mut()) {
        (segment.sequence_next, segment.bytes) = (last.sequence_next, last.end);
        (segment.time_last_ns, segment.end) = (last.time_last_ns, None);
        id = segment.id + 1;
        sequence = last.sequence_next;
        time_ns = now_ns.max(last.time_last_ns);
        cursors = last.cursors;
        let behind_ns = last.time_last_ns.saturating_sub(now_ns);
        recovery.clock_behind = u64::try_from(behind_ns).ok().filter(|ns| *ns > 0).map(Duration::from_nanos);
        recovery.torn = last.torn.map(|torn| (segment::path_of(directory, segment.id), torn));
        recovery.damages = last.damages;
    }
    recovery.records = sequence - segments.first().map_or(sequence, |first| first.base_sequence);
    recovery.next = sequence;
    let oldest = segments.first().map_or(sequence, |first| first.base_sequence);
    let by_name = standings(cursors, oldest, sequence);
    let gather = Gather::from(sequence, time_ns);
    let shared = Arc::new(share(world, directory, config, keys, segments, by_name, gather));
    let entropy = world.entropy.fork();
    let mut open = OpenSegment::plan(&shared, &entropy, id, sequence, time_ns);
    match open.make(&shared, &mut roll) {
        // A disk may be full of what is in here: then it is made once consumers have settled some of it.
        Ok(_) | Err(Stall::Full(_)) => {}
        Err(Stall::Failed(reason)) => return Err(not_made(directory, &reason)),
    }
    shared.segments.lock().list.push(open.as_open());
    let writer = Writer::new(shared.clone(), lock, entropy, open, roll);
    Ok((shared, writer, recovery))
}

/// An error of the operating system at a path.
pub(crate) fn io_at(path: &Path, error: io::Error) -> OpenError {
    FormatError::Io { file: path.to_owned(), error }.into()
}

/// Keeps others away from the journal.
pub(crate) fn take_lock(world: &World, directory: &Path) -> Result<DiskLock, OpenError> {
    world.disk.lock(&directory.join(LOCK_FILE)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse { directory: directory.to_owned() },
        _ => io_at(directory, error),
    })
}

/// Reads the headers of all segments, and finds them to follow each other.
fn headers(world: &World, directory: &Path, keys: &Keys) -> Result<Vec<Segment>, OpenError> {
    let mut segments: Vec<Segment> = Vec::new();
    for (path, bytes) in segment::list(&world.disk, directory)? {
        let (_, header) = SegmentHeader::open(&world.disk, &path)?;
        seal_of(&world.disk, &path, &header, keys)?;
        if let Some(before) = segments.last_mut() {
            if !follows(before, &header) {
                let SegmentHeader { id, base_sequence, .. } = header;
                return Err(FormatError::Missing { file: path, id, base_sequence }.into());
            }
            before.sequence_next = header.base_sequence;
            before.time_last_ns = header.created_ns;
        }
        segments.push(Segment {
            id: header.id,
            base_sequence: header.base_sequence,
            sequence_next: header.base_sequence,
            end: None,
            bytes,
            time_last_ns: header.created_ns,
        });
    }
    Ok(segments)
}

fn follows(before: &Segment, header: &SegmentHeader) -> bool {
    before.id + 1 == header.id && before.base_sequence <= header.base_sequence
}

/// Looks through the last segment, cuts its torn tail, and puts what remains on disk: after the death of a process it may
/// only be with the operating system.
fn recover_last(
    world: &World,
    directory: &Path,
    last: &Segment,
    unsafe_from: u64,
) -> Result<Survey, OpenError> {
    let path = segment::path_of(directory, last.id);
    let file = world.disk.open(&path).map_err(|error| io_at(&path, error))?;
    let mut scan = Scan::open(&world.disk, &path)?;
    if unsafe_from < u64::MAX
        && let Some(offset) = scan.find_record(unsafe_from)?
    {
        file.set_bytes(offset).map_err(|error| io_at(&path, error))?;
    }
    let found = survey(&mut Scan::open(&world.disk, &path)?, Behind::Nothing)?;
    let settled = file.set_bytes(found.end).and_then(|()| file.sync_all());
    settled.map_err(|error| io_at(&path, error))?;
    let litter = world.disk.list(directory).map_err(|error| io_at(directory, error))?;
    for entry in litter.iter().filter(|entry| entry.name.ends_with(SUFFIX_NEW)) {
        let path = directory.join(&entry.name);
        world.disk.remove(&path).map_err(|error| io_at(&path, error))?;
    }
    Ok(found)
}

fn not_made(directory: &Path, reason: &str) -> OpenError {
    io_at(directory, io::Error::other(format!("a new segment cannot be made: {reason}")))
}

/// Where consumers stand. Nobody settled what is not there, and what is gone needs no settling.
fn standings(cursors: BTreeMap<String, Cursor>, oldest: u64, next: u64) -> BTreeMap<String, Arc<Standing>> {
    let standing = |mut cursor: Cursor| {
        if cursor.high() > next {
            cursor = Cursor::at(cursor.low().min(next));
        }
        cursor.settle_until(oldest);
        Arc::new(Standing { cursor: cursor.into(), ..Standing::default() })
    };
    cursors.into_iter().map(|(name, cursor)| (name, standing(cursor))).collect()
}

fn share(
    world: &World,
    directory: &Path,
    config: Config,
    keys: Keys,
    list: Vec<Segment>,
    by_name: BTreeMap<String, Arc<Standing>>,
    gather: Gather,
) -> Shared {
    let sequence = gather.sequence_next;
    Shared {
        directory: directory.to_owned(),
        acks_early: AtomicBool::new(config.ack == Ack::Os),
        config,
        keys,
        disk: world.disk.clone(),
        clock: world.clock,
        gather: Mutex::new(gather),
        acked: AtomicU64::new(sequence),
        synced: AtomicU64::new(sequence),
        progress: Notify::new(),
        room: Notify::new(),
        recent: Mutex::new(Recent::default()),
        segments: Mutex::new(Segments { list, is_finished: false }),
        consumers: Mutex::new(Consumers { by_name, ..Consumers::default() }),
        has_moved: false.into(),
        bell: OnceLock::new(),
        counters: Counters::default(),
    }
}
