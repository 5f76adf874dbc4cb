//! Walks the records of a segment, in blocks, and finds its way again behind damage.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flux_world::{Disk, DiskFile};

use crate::error::{DamageKind, FormatError};
use crate::limits::READ_BLOCK_BYTES;
use crate::record::{ALIGN_BYTES, HEADER_BYTES, Header, Kind};
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};

/// A record as it was read: both checks hold, the seal is still on.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) header: Header,
    pub(crate) offset: u64,
    /// Head, body and zeros: a slice of the block it was read with.
    pub(crate) record: Bytes,
}

impl Raw {
    /// The body as it lies on disk.
    pub(crate) fn body(&self) -> Bytes {
        self.record.slice(HEADER_BYTES..HEADER_BYTES + self.header.body_bytes as usize)
    }
}

/// What is at a place in a segment.
#[derive(Debug)]
pub(crate) enum Found {
    Record(Raw),
    /// A record's head, and a body whose check does not hold; the walk is behind it.
    Body(Header),
    /// No record begins here; the walk stands still.
    Nothing,
    /// The file ends here, or what was written to it does.
    End,
}

/// A walk through a segment.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    /// Where the walk is.
    pub(crate) offset: u64,
    /// Where it ends.
    pub(crate) end: u64,
    file: DiskFile,
    block: Bytes,
    block_offset: u64,
}

impl Scan {
    /// Opens a segment and stands before its first record.
    pub(crate) fn open(disk: &Disk, path: &Path) -> Result<Self, FormatError> {
        let (file, header) = SegmentHeader::open(disk, path)?;
        Self::through(path, file, header)
    }

    /// The same with this header, whatever the file has in its place.
    pub(crate) fn with(disk: &Disk, path: &Path, header: SegmentHeader) -> Result<Self, FormatError> {
        let file = disk.open_to_read(path);
        Self::through(path, file.map_err(|error| FormatError::Io { file: path.to_owned(), error })?, header)
    }

    fn through(path: &Path, file: DiskFile, header: SegmentHeader) -> Result<Self, FormatError> {
        let end = file.bytes().map_err(|error| FormatError::Io { file: path.to_owned(), error })?;
        Ok(Self {
            path: path.to_owned(),
            header,
            offset: SEGMENT_HEADER_BYTES as u64,
            end,
            file,
            block: Bytes::new(),
            block_offset: 0,
        })
    }

    /// What is here; the walk goes behind a record, whole or not.
    pub(crate) fn next(&mut self) -> Result<Found, FormatError> {
        if self.offset >= self.end {
            return Ok(Found::End);
        }
        let offset = self.offset;
        let head = self.at(offset, HEADER_BYTES)?;
        let Some(header) = Header::parse(&head, &self.header.salt) else {
            return Ok(Found::Nothing);
        };
        let record = self.at(offset, header.record_bytes())?;
        if record.len() < header.record_bytes() {
            return Ok(Found::Nothing);
        }
        self.offset += record.len() as u64;
        if !header.has_body(&record[HEADER_BYTES..], &self.header.salt) {
            return Ok(Found::Body(header));
        }
        Ok(Found::Record(Raw { header, offset, record }))
    }

    /// Where the first data record of this sequence or a later one begins, if only records come before it.
    pub(crate) fn find_record(&mut self, sequence: u64) -> Result<Option<u64>, FormatError> {
        loop {
            let offset = self.offset;
            match self.next()? {
                Found::Record(Raw { header, .. }) | Found::Body(header) => {
                    if header.kind == Kind::Data && header.sequence >= sequence {
                        return Ok(Some(offset));
                    }
                }
                Found::Nothing | Found::End => return Ok(None),
            }
        }
    }

    /// Moves to the next place where a record begins, behind this one; `false` at the end when there is none. Also says
    /// where the last byte is, up to there, that is not zero.
    pub(crate) fn find_next(&mut self) -> Result<(bool, u64), FormatError> {
        let mut nonzero_until = self.offset;
        let head = self.at(self.offset, ALIGN_BYTES)?;
        note_nonzero(&head, self.offset, &mut nonzero_until);
        self.offset += ALIGN_BYTES as u64;
        while self.offset < self.end {
            let block = self.at(self.offset, READ_BLOCK_BYTES)?;
            if block.is_empty() {
                // Whoever writes it has made the file shorter meanwhile.
                break;
            }
            // A head that begins in this block and ends in the next is looked at with the next.
            let is_last = self.offset + block.len() as u64 >= self.end || block.len() <= HEADER_BYTES;
            let looked_at = if is_last { block.len() } else { block.len() - HEADER_BYTES };
            for at in (0..looked_at).step_by(ALIGN_BYTES) {
                let word = &block[at..block.len().min(at + ALIGN_BYTES)];
                if word.iter().all(|byte| *byte == 0) {
                    continue;
                }
                let offset = self.offset + at as u64;
                if Header::parse(&block[at..], &self.header.salt).is_some() {
                    self.offset = offset;
                    return Ok((true, nonzero_until));
                }
                note_nonzero(word, offset, &mut nonzero_until);
            }
            self.offset += looked_at.next_multiple_of(ALIGN_BYTES) as u64;
        }
        self.offset = self.end;
        Ok((false, nonzero_until))
    }

    /// What is wrong here, when [`Scan::next`] found nothing.
    pub(crate) fn kind_here(&mut self) -> Result<DamageKind, FormatError> {
        let head = self.at(self.offset, HEADER_BYTES)?;
        let has_head = Header::parse(&head, &self.header.salt).is_some();
        Ok(if has_head { DamageKind::Body } else { DamageKind::Head })
    }

    /// Up to `length` bytes at `offset`, fewer at the end: a slice of a block.
    fn at(&mut self, offset: u64, length: usize) -> Result<Bytes, FormatError> {
        let length = length.min(usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX));
        let is_in_block = offset >= self.block_offset
            && offset + length as u64 <= self.block_offset + self.block.len() as u64;
        if !is_in_block {
            let wanted = length.max(READ_BLOCK_BYTES).min((self.end - offset.min(self.end)) as usize);
            let mut block = vec![0; wanted];
            let read = self.file.read_at(offset, &mut block).map_err(|error| self.io(error))?;
            block.truncate(read);
            self.block = block.into();
            self.block_offset = offset;
        }
        let from = (offset - self.block_offset) as usize;
        Ok(self.block.slice(from..self.block.len().min(from + length)))
    }

    fn io(&self, error: io::Error) -> FormatError {
        FormatError::Io { file: self.path.clone(), error }
    }
}

fn note_nonzero(bytes: &[u8], offset: u64, until: &mut u64) {
    if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
        *until = offset + last as u64 + 1;
    }
}
