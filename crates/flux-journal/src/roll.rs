//! The roll of a journal: the ids of its first and its last segment, so that a file that is gone is missed.
//!
//! ```text
//! offset 0          8         10      16           24         32        40     44   4096                 8192
//!        +----------+---------+-------+------------+----------+---------+------+----+--------------------+
//!        | FLUXROLL | version | zeros | generation | first    | last    | crc  | .. | the one before, or |
//!        |          | 1       |       |            | id       | id      |      |    | the one after      |
//!        +----------+---------+-------+------------+----------+---------+------+----+--------------------+
//! ```
//!
//! Numbers are little-endian; the check is CRC-32C over bytes 0 to 40. The file is `ROLL`, beside the segments. It is written in
//! place, which takes no room on a disk that is full, and the two entries in turn, so that a write that is torn leaves the one
//! before. It names a segment once that has its name and before anything is in it, and names none any more before its file is
//! removed: a segment it names is there. A journal that was made before there was a roll has none until it is opened; segments
//! made since say so, and are not taken without one.

use std::io;
use std::path::{Path, PathBuf};

use flux_world::Disk;

use crate::error::FormatError;
use crate::limits::SEQUENCE_MAX;
use crate::scan::Scan;
use crate::segment::path_of;
use crate::survey::{Behind, survey};

const FILE: &str = "ROLL";
const MAGIC: &[u8; 8] = b"FLUXROLL";
const VERSION: u16 = 1;
const ENTRY_BYTES: usize = 44;
/// Of two entries no write, and no page, touches both.
const SLOT_BYTES: usize = 4_096;
const SLOTS: usize = 2;
/// An entry may be written while it is read.
const READS_MAX: usize = 3;

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    generation: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// The roll of a journal that is written to.
#[derive(Debug)]
pub(crate) struct Roll {
    disk: Disk,
    path: PathBuf,
    entry: Option<Entry>,
    /// The oldest segment there is.
    oldest: Option<u64>,
}

impl Entry {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.last.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..40]);
        bytes[40..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Entry> {
        let bytes: &[u8; ENTRY_BYTES] = bytes.first_chunk()?;
        let long = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("within the entry"));
        let crc = u32::from_le_bytes(*bytes[40..].first_chunk().expect("within the entry"));
        let entry = Entry { generation: long(16), first: long(24), last: long(32) };
        let is_ours = bytes.starts_with(MAGIC) && bytes[8..10] == VERSION.to_le_bytes();
        let is_whole = is_ours && crc32c::crc32c(&bytes[..40]) == crc;
        (is_whole && entry.last < SEQUENCE_MAX && entry.generation < SEQUENCE_MAX).then_some(entry)
    }

    /// What it names and is not among these segments, oldest first; `before` is what the roll said before they were listed.
    /// Segments it does not name are well: one that is being made, one that is being removed.
    pub(crate) fn missing(&self, before: &Entry, directory: &Path, ids: &[u64]) -> Vec<FormatError> {
        let gone = |from: u64, until: u64| {
            (from < until).then(|| FormatError::Gone { file: path_of(directory, from), files: until - from })
        };
        match (ids.first(), ids.last()) {
            (Some(&first), Some(&last)) => {
                [gone(self.first, first), gone(last + 1, before.last + 1)].into_iter().flatten().collect()
            }
            _ => gone(self.first, self.last + 1).into_iter().collect(),
        }
    }
}

impl Roll {
    /// The roll that says this, of a journal with these segments.
    pub(crate) fn new(disk: &Disk, directory: &Path, entry: Option<Entry>, ids: &[u64]) -> Roll {
        Roll { disk: disk.clone(), path: path_of_roll(directory), entry, oldest: ids.first().copied() }
    }

    /// There is a segment of this id.
    pub(crate) fn add(&mut self, id: u64) -> io::Result<()> {
        let first = self.entry.map_or(self.oldest.unwrap_or(id), |entry| entry.first);
        self.write(first, self.entry.map_or(id, |entry| entry.last.max(id)))
    }

    /// The segments before this one are not needed any more.
    pub(crate) fn begin_with(&mut self, id: u64) -> io::Result<()> {
        match self.entry {
            Some(entry) if entry.first < id => self.write(id, entry.last),
            _ => Ok(()),
        }
    }

    /// Says what it is to say, on disk when this returns.
    fn write(&mut self, first: u64, last: u64) -> io::Result<()> {
        if self.entry.is_some_and(|entry| (entry.first, entry.last) == (first, last)) {
            return Ok(());
        }
        let generation = self.entry.map_or(0, |entry| entry.generation + 1);
        let entry = Entry { generation, first, last };
        if self.entry.is_none() {
            let mut content = vec![0; SLOTS * SLOT_BYTES];
            content[..ENTRY_BYTES].copy_from_slice(&entry.encode());
            self.disk.write_atomic_private(&self.path, &content)?;
        } else {
            let file = self.disk.open(&self.path)?;
            file.write_at((generation % SLOTS as u64) * SLOT_BYTES as u64, &entry.encode())?;
            file.sync_data()?;
        }
        self.entry = Some(entry);
        Ok(())
    }
}

/// What the roll of a journal says; `None` where there is none yet.
pub(crate) fn read(disk: &Disk, directory: &Path) -> Result<Option<Entry>, FormatError> {
    let path = path_of_roll(directory);
    match disk.is_file(&path) {
        Ok(true) => {}
        Ok(false) => return Err(FormatError::NoFile { file: path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FormatError::Io { file: path, error }),
    }
    let mut newest = None;
    for _ in 0..READS_MAX {
        let bytes = disk
            .read_start(&path, SLOTS * SLOT_BYTES)
            .map_err(|error| FormatError::Io { file: path.clone(), error })?;
        let entries: Vec<Entry> = bytes.chunks(SLOT_BYTES).filter_map(Entry::parse).collect();
        newest = entries.iter().copied().max_by_key(|entry| entry.generation).or(newest);
        if entries.len() == SLOTS {
            break;
        }
        if newest.is_none() && bytes.starts_with(MAGIC) {
            let version = bytes.get(8..10).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
            if version > VERSION {
                return Err(FormatError::Newer { file: path, version });
            }
        }
    }
    newest.map(Some).ok_or(FormatError::Roll { file: path })
}

/// Of a directory with these segments, oldest first, and without a roll: fails when there was one. A segment gets its name
/// before it is on the roll, and its first record after.
pub(crate) fn not_removed(disk: &Disk, directory: &Path, paths: &[PathBuf]) -> Result<(), FormatError> {
    let has_been_on_it = |path: &PathBuf| {
        let scan = Scan::open(disk, path).ok().filter(|scan| scan.header.is_rolled);
        let survey = scan.and_then(|mut scan| survey(&mut scan, Behind::Nothing).ok());
        survey.is_some_and(|found| found.sequence_next > found.base_sequence)
    };
    // The first that is looked at, or the second, tells.
    let is_gone = paths.iter().rev().any(has_been_on_it) && read(disk, directory)?.is_none();
    if is_gone { Err(FormatError::RollGone { file: path_of_roll(directory) }) } else { Ok(()) }
}

/// Whether there is a journal in a directory, as its roll tells.
pub fn is_journal(disk: &Disk, directory: &Path) -> bool {
    disk.exists(&path_of_roll(directory))
}

/// Has the roll name the segments there are and no others; without any there is no journal.
pub(crate) fn renew(disk: &Disk, directory: &Path, ids: &[u64]) -> io::Result<()> {
    if disk.exists(&path_of_roll(directory)) {
        disk.remove(&path_of_roll(directory))?;
    }
    match ids.last() {
        Some(&last) => Roll::new(disk, directory, None, ids).add(last),
        None => Ok(()),
    }
}

fn path_of_roll(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(generation in 0..SEQUENCE_MAX, first: u64, last in 0..SEQUENCE_MAX, flip in 0..ENTRY_BYTES, bit in 0_u8..8) {
            let entry = Entry { generation, first, last };
            let mut bytes = entry.encode();
            prop_assert_eq!(Entry::parse(&bytes), Some(entry));
            bytes[flip] ^= 1 << bit;
            prop_assert_eq!(Entry::parse(&bytes), None);
        }

        #[test]
        fn takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Entry::parse(&bytes);
        }
    }

    #[test]
    fn what_it_names_is_missed() {
        let check = |first, last, ids: &[u64], want: &[(u64, u64)]| {
            let entry = Entry { generation: 7, first, last };
            let missing = entry.missing(&entry, Path::new("j"), ids);
            let want: Vec<String> = want
                .iter()
                .map(|&(id, files)| {
                    FormatError::Gone { file: path_of(Path::new("j"), id), files }.to_string()
                })
                .collect();
            assert_eq!(missing.iter().map(ToString::to_string).collect::<Vec<_>>(), want, "{ids:?}");
        };
        check(3, 5, &[3, 4, 5], &[]);
        check(3, 5, &[2, 3, 4, 5, 6], &[]);
        check(3, 5, &[4, 5], &[(3, 1)]);
        check(3, 5, &[3], &[(4, 2)]);
        check(3, 5, &[4], &[(3, 1), (5, 1)]);
        check(3, 5, &[], &[(3, 3)]);
    }
}
