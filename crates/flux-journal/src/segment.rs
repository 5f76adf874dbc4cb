//! A segment file: its name, and the header it begins with.
//!
//! ```text
//! offset 0          8         10        12       16        24         32         40        56          60     64
//!        +----------+---------+---------+--------+---------+----------+----------+---------+-----------+------+---
//!        | FLUXJRNL | version | header  | key id | segment | base     | created, | salt    | key check,| crc  | records
//!        |          | 1       | bytes 64| 0 none | id      | sequence | ns       |         | flags     |      |
//!        +----------+---------+---------+--------+---------+----------+----------+---------+-----------+------+---
//! ```
//!
//! Numbers are little-endian. The check is CRC-32C over bytes 0 to 60. `base sequence` is that of the first data record. The
//! salt is drawn for each segment. The key check, three bytes, tells the key from another of the same id (see `keys.rs`); it is zero
//! where nothing is sealed. Bit 0 of the flags, the byte behind it, says that there is a roll (`roll.rs`). Both are zero in
//! segments made before there were any, which are read as ever. The file is `<segment id, 16 hexadecimal digits>.journal`; ids follow each other without a
//! hole. A segment that is written to may be longer than its records: zeros follow. Behind the header come the cursors of all
//! consumers, so that the last segment alone says where they stand.

use std::io;
use std::path::{Path, PathBuf};

use flux_world::{Disk, DiskFile};

use crate::error::FormatError;
use crate::limits::SEQUENCE_MAX;

/// Bytes of the header.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;

/// A key check has three bytes.
pub(crate) const KEY_CHECK_MAX: u32 = 0x00ff_ffff;
const ROLLED: u8 = 1;
const MAGIC: &[u8; 8] = b"FLUXJRNL";
const VERSION: u16 = 1;
const SUFFIX: &str = ".journal";
/// A segment that is being made.
pub(crate) const SUFFIX_NEW: &str = ".journal.new";

/// What the checks of a segment's records begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Salt {
    pub(crate) bytes: [u8; 16],
    crc: u32,
}

impl Salt {
    pub(crate) fn new(bytes: [u8; 16]) -> Self {
        Self { bytes, crc: crc32c::crc32c(&bytes) }
    }

    /// CRC-32C over the salt and `bytes`.
    pub(crate) fn check(&self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.crc, bytes)
    }
}

/// The header of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) id: u64,
    pub(crate) base_sequence: u64,
    /// The key its bodies are sealed with; 0 when they are plain.
    pub(crate) key_id: u32,
    /// What tells that key from another; 0 when it is not said.
    pub(crate) key_check: u32,
    /// Whether the roll names it before a record is in it.
    pub(crate) is_rolled: bool,
    pub(crate) created_ns: i64,
    pub(crate) salt: Salt,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&(SEGMENT_HEADER_BYTES as u16).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.key_id.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.base_sequence.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.created_ns.to_le_bytes());
        bytes[40..56].copy_from_slice(&self.salt.bytes);
        bytes[56..60].copy_from_slice(&(self.key_check | u32::from(self.is_rolled) << 24).to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `file` is for the error.
    pub(crate) fn parse(bytes: &[u8], file: &Path) -> Result<Self, FormatError> {
        let file = || file.to_owned();
        if !bytes.starts_with(MAGIC) {
            return Err(FormatError::Foreign { file: file() });
        }
        let Some(bytes) = bytes.first_chunk::<SEGMENT_HEADER_BYTES>() else {
            return Err(FormatError::Header { file: file() });
        };
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        let is_whole =
            |bytes: &[u8; SEGMENT_HEADER_BYTES]| crc32c::crc32c(&bytes[..60]).to_le_bytes() == bytes[60..];
        let mut as_ours = *bytes;
        as_ours[8..10].copy_from_slice(&VERSION.to_le_bytes());
        // Where the check holds for our version, the other is no version but damage.
        if version > VERSION && !is_whole(&as_ours) {
            return Err(FormatError::Newer { file: file(), version });
        }
        let long = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("within the header"));
        if !is_whole(bytes) || long(16) >= SEQUENCE_MAX || long(24) >= 2 * SEQUENCE_MAX {
            return Err(FormatError::Header { file: file() });
        }
        Ok(Self {
            id: long(16),
            base_sequence: long(24),
            key_id: (long(8) >> 32) as u32,
            key_check: long(56) as u32 & KEY_CHECK_MAX,
            is_rolled: bytes[59] & ROLLED != 0,
            created_ns: long(32) as i64,
            salt: Salt::new(*bytes[40..].first_chunk().expect("within the header")),
        })
    }

    /// The header of a segment of this id, with all in its place that is the same in each.
    pub(crate) fn with_known(bytes: &[u8; SEGMENT_HEADER_BYTES], id: u64) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = *bytes;
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&(SEGMENT_HEADER_BYTES as u16).to_le_bytes());
        bytes[16..24].copy_from_slice(&id.to_le_bytes());
        bytes
    }

    /// What has the place of the salt and of the key's id in a header whose check does not hold.
    pub(crate) fn salt_and_key_id(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> (Salt, u32) {
        let key_id = *bytes[12..].first_chunk().expect("within the header");
        let salt = *bytes[40..].first_chunk().expect("within the header");
        (Salt::new(salt), u32::from_le_bytes(key_id))
    }

    /// Opens a segment to read and reads its header.
    pub(crate) fn open(disk: &Disk, path: &Path) -> Result<(DiskFile, Self), FormatError> {
        let at = |error: io::Error| FormatError::Io { file: path.to_owned(), error };
        // A pipe would be waited for.
        if !disk.is_file(path).map_err(at)? {
            return Err(FormatError::NoFile { file: path.to_owned() });
        }
        let file = disk.open_to_read(path).map_err(at)?;
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let length = file.read_at(0, &mut bytes).map_err(at)?;
        let header = Self::parse(&bytes[..length], path)?;
        if Some(header.id) != id_of(path) {
            return Err(FormatError::Renamed { file: path.to_owned(), id: header.id });
        }
        Ok((file, header))
    }
}

/// The file of a segment.
pub(crate) fn path_of(directory: &Path, id: u64) -> PathBuf {
    directory.join(format!("{id:016x}{SUFFIX}"))
}

/// The segments of a directory, oldest first, with their lengths, and what only has the name of one. Other files are none of
/// ours.
pub(crate) fn list(disk: &Disk, directory: &Path) -> Result<Vec<(PathBuf, u64)>, FormatError> {
    let at = |error| FormatError::Io { file: directory.to_owned(), error };
    let entries = disk.list(directory).map_err(at)?.into_iter().map(|entry| (entry.name, entry.bytes));
    let directories = disk.directories(directory).map_err(at)?.into_iter().map(|name| (name, 0));
    let named = entries.chain(directories).filter(|(name, _)| name.ends_with(SUFFIX));
    let mut segments: Vec<_> = named.map(|(name, bytes)| (directory.join(name), bytes)).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// The id in the name of a segment.
pub(crate) fn id_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
    (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok()).flatten()
}
