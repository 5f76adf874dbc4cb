//! Mends the header of a segment whose records are whole, so that none of them is lost with it.
//!
//! Most of a header is known without it: how it begins, and the segment's id, which is its name. One flipped bit of the rest
//! is found by the check. Where more is wrong, the salt may be whole: then the records' own checks hold, and the first of them
//! says with what the segment begins. What cannot be told so is left to a gap.

use std::path::Path;

use flux_world::Disk;

use crate::error::FormatError;
use crate::scan::{Found, Raw, Scan};
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, id_of};

/// What is known of a segment from those beside it.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    /// Behind the last record of the one before, where that can be read.
    pub(crate) begins_with: Option<u64>,
    /// The first record of the one behind, where that can be read.
    pub(crate) ends_with: Option<u64>,
    /// The keys that those which can be read name.
    pub(crate) key_ids: Vec<u32>,
}

/// A walk through a segment whose header cannot be read, with a header that fits its records; `None` when none does.
pub(crate) fn mended(disk: &Disk, path: &Path, neighbours: &Neighbours) -> Result<Option<Scan>, FormatError> {
    let at = |error| FormatError::Io { file: path.to_owned(), error };
    let Some(id) = id_of(path) else { return Ok(None) };
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    let length = disk.open_to_read(path).and_then(|file| file.read_at(0, &mut bytes)).map_err(at)?;
    if length < SEGMENT_HEADER_BYTES {
        return Ok(None);
    }
    let header = match with_a_bit_flipped(&SegmentHeader::with_known(&bytes, id), path) {
        Some(header) if header.id == id => Some(header),
        Some(_) | None => by_its_records(disk, path, id, &bytes, neighbours)?,
    };
    let fits = |header: &SegmentHeader| {
        header.base_sequence >= neighbours.begins_with.unwrap_or(0)
            && header.base_sequence <= neighbours.ends_with.unwrap_or(u64::MAX)
    };
    header.filter(fits).map(|header| Scan::with(disk, path, header)).transpose()
}

/// The header, as it is or with one bit of it flipped, when its check holds then.
fn with_a_bit_flipped(bytes: &[u8; SEGMENT_HEADER_BYTES], path: &Path) -> Option<SegmentHeader> {
    let flipped = (0..8 * SEGMENT_HEADER_BYTES).map(|bit| {
        let mut bytes = *bytes;
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    std::iter::once(*bytes).chain(flipped).find_map(|bytes| SegmentHeader::parse(&bytes, path).ok())
}

/// The header that the first whole record tells of, when the salt is whole and a neighbour has the key it names.
fn by_its_records(
    disk: &Disk,
    path: &Path,
    id: u64,
    bytes: &[u8; SEGMENT_HEADER_BYTES],
    neighbours: &Neighbours,
) -> Result<Option<SegmentHeader>, FormatError> {
    let (salt, key_id) = SegmentHeader::salt_and_key_id(bytes);
    if !neighbours.key_ids.contains(&key_id) {
        return Ok(None);
    }
    let guess =
        SegmentHeader { id, base_sequence: 0, key_id, key_check: 0, is_rolled: false, created_ns: 0, salt };
    let mut scan = Scan::with(disk, path, guess)?;
    loop {
        match scan.next()? {
            Found::Record(Raw { header, .. }) | Found::Body(header) => {
                scan.header.base_sequence = neighbours.begins_with.unwrap_or(header.sequence);
                scan.header.created_ns = header.time_ns;
                return Ok(
                    Some(scan.header).filter(|_| header.sequence >= neighbours.begins_with.unwrap_or(0))
                );
            }
            Found::Nothing => drop(scan.find_next()?),
            Found::End => return Ok(None),
        }
    }
}
