//! The segment that is written to.

use std::io;
use std::path::{Path, PathBuf};

use flux_world::{DiskFile, Entropy, planted};

use crate::cursor;
use crate::error::Full;
use crate::keys::Seal;
use crate::record::{self, HEADER_BYTES, Header, Kind};
use crate::roll::Roll;
use crate::segment::{SUFFIX_NEW, Salt, SegmentHeader, path_of};
use crate::shared::{Segment, Shared};
use crate::writer::Stall;

#[derive(Debug)]
pub(crate) struct OpenSegment {
    pub(crate) header: SegmentHeader,
    pub(crate) seal: Option<Seal>,
    /// Where the next record goes.
    pub(crate) offset: u64,
    pub(crate) sequence_next: u64,
    pub(crate) time_last_ns: i64,
    /// How much of it is on disk.
    pub(crate) synced_bytes: u64,
    path: PathBuf,
    file: File,
    /// Its length, with the space reserved behind the records.
    bytes: u64,
}

#[derive(Debug)]
enum File {
    Made(DiskFile),
    /// There was no room for it yet: what it is to begin with.
    Planned(Vec<u8>),
}

impl OpenSegment {
    /// A segment with the cursors of all consumers in it, that is yet to be made: see [`OpenSegment::make`].
    pub(crate) fn plan(shared: &Shared, entropy: &Entropy, id: u64, sequence: u64, time_ns: i64) -> Self {
        let mut salt = [0; 16];
        entropy.fill(&mut salt);
        let mut header = SegmentHeader {
            id,
            base_sequence: sequence,
            key_id: 0,
            key_check: 0,
            is_rolled: true,
            created_ns: time_ns,
            salt: Salt::new(salt),
        };
        let seal = shared.keys.seal_new(&mut header);
        let mut begin = header.encode().to_vec();
        for (name, standing) in &shared.consumers.lock().by_name {
            let mut body = Vec::new();
            cursor::encode(name, Some(&standing.cursor.lock()), &mut body);
            let at = begin.len();
            record::push(&mut begin, Header::new(Kind::Cursor, body.len(), sequence, time_ns), &body);
            record::finish(&mut begin[at..], &header.salt);
        }
        Self {
            header,
            seal,
            offset: begin.len() as u64,
            sequence_next: sequence,
            time_last_ns: time_ns,
            synced_bytes: begin.len() as u64,
            path: path_of(&shared.directory, id),
            bytes: 0,
            file: File::Planned(begin),
        }
    }

    /// Makes it, unless it is: written beside, synced, and only then given its name, so that a segment that has its name is
    /// whole, and the one before it is complete. It is on the roll before anything more is in it.
    pub(crate) fn make(&mut self, shared: &Shared, roll: &mut Roll) -> Result<&DiskFile, Stall> {
        if let File::Planned(begin) = &self.file {
            let id = self.header.id;
            let made = create_file(shared, id, begin).and_then(|made| roll.add(id).map(|()| made));
            let (file, bytes) = made.map_err(|error| stall(&self.path, error))?;
            (self.file, self.bytes) = (File::Made(file), bytes);
        }
        match &self.file {
            File::Made(file) => Ok(file),
            File::Planned(_) => unreachable!("it was just made"),
        }
    }

    /// Whether it has a file.
    pub(crate) fn is_made(&self) -> bool {
        matches!(self.file, File::Made(_))
    }

    /// The segment after this one.
    pub(crate) fn next(&self, shared: &Shared, roll: &mut Roll, entropy: &Entropy) -> Result<Self, Stall> {
        let (id, sequence) = (self.header.id + 1, self.sequence_next);
        let mut next = Self::plan(shared, entropy, id, sequence, self.time_last_ns);
        next.make(shared, roll)?;
        Ok(next)
    }

    pub(crate) fn has_records(&self) -> bool {
        self.sequence_next > self.header.base_sequence
    }

    /// Whether something was written since the last sync.
    pub(crate) fn is_dirty(&self) -> bool {
        self.synced_bytes < self.offset
    }

    /// Completes the records of a group for this segment; returns them sealed when the segment is.
    pub(crate) fn finish(&self, records: &mut Vec<u8>) -> Option<Vec<u8>> {
        let mut sealed = self.seal.is_some().then(|| records.clone());
        let bytes = sealed.as_mut().unwrap_or(records);
        let synced_bytes =
            u32::try_from(self.synced_bytes).expect("a segment is shorter than four bytes can say");
        let mut at = 0;
        while at < bytes.len() {
            let head = bytes[at..].first_chunk::<HEADER_BYTES>().expect("a gathered record has a head");
            let header = Header::read(head).expect("a gathered record was written by us");
            let record = &mut bytes[at..at + header.record_bytes()];
            record::set_synced(record, synced_bytes);
            if let (Some(seal), Kind::Data) = (&self.seal, header.kind) {
                seal.seal(record, header.body_bytes as usize, header.sequence);
            }
            record::finish(record, &self.header.salt);
            at += header.record_bytes();
        }
        sealed
    }

    /// Writes behind the last record. When it fails the same place is written again.
    pub(crate) fn append(&mut self, shared: &Shared, roll: &mut Roll, records: &[u8]) -> Result<(), Stall> {
        let offset = self.offset;
        let written = self.make(shared, roll)?.write_at(offset, records);
        written.map_err(|error| stall(&self.path, error))?;
        self.offset += records.len() as u64;
        self.bytes = self.bytes.max(self.offset);
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<(), Stall> {
        if let File::Made(file) = &self.file
            && self.is_dirty()
        {
            // What a failed sync left is unknown, so that it is never tried twice.
            if !planted("sync_left_out") {
                file.sync_data().map_err(|error| failed(&self.path, &error))?;
            }
            self.synced_bytes = self.offset;
        }
        Ok(())
    }

    /// Fails when the file is not where it was made any more: nobody will find what is written to it.
    pub(crate) fn look(&self) -> Result<(), Stall> {
        if let File::Made(file) = &self.file
            && !file.is_at(&self.path).map_err(|error| failed(&self.path, &error))?
        {
            let path = self.path.display();
            return Err(Stall::Failed(format!(
                "{path} is gone: it was removed or moved away while it was written to"
            )));
        }
        Ok(())
    }

    /// Gives the reserved space back. All records are on disk before.
    pub(crate) fn seal(&mut self, sequence_next: u64) -> Result<(), Stall> {
        debug_assert!(
            !self.is_dirty() && sequence_next == self.sequence_next,
            "sealed with records on the way"
        );
        if let File::Made(file) = &self.file {
            file.set_bytes(self.offset).map_err(|error| failed(&self.path, &error))?;
            self.bytes = self.offset;
        }
        Ok(())
    }

    pub(crate) fn as_open(&self) -> Segment {
        Segment { end: Some(self.offset), ..self.as_sealed() }
    }

    pub(crate) fn as_sealed(&self) -> Segment {
        Segment {
            id: self.header.id,
            base_sequence: self.header.base_sequence,
            sequence_next: self.sequence_next,
            end: None,
            bytes: self.bytes,
            time_last_ns: self.time_last_ns,
        }
    }
}

fn create_file(shared: &Shared, id: u64, begin: &[u8]) -> io::Result<(DiskFile, u64)> {
    let (disk, directory) = (&shared.disk, &shared.directory);
    let path_new = directory.join(format!("{id:016x}{SUFFIX_NEW}"));
    if disk.exists(&path_new) {
        disk.remove(&path_new)?;
    }
    let made = disk.create_private(&path_new).and_then(|file| {
        match file.allocate(shared.config.segment_bytes) {
            // Less than a segment may still be a lot of records.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            reserved => reserved?,
        }
        file.write_at(0, begin)?;
        file.sync_all()?;
        Ok(file)
    });
    let file = match made {
        Ok(file) => file,
        Err(error) => {
            // Only litter, and the first error is the one that counts.
            let _ = disk.remove(&path_new);
            return Err(error);
        }
    };
    disk.rename(&path_new, &path_of(directory, id))?;
    disk.sync_dir(directory)?;
    let bytes = file.bytes()?;
    Ok((file, bytes))
}

pub(crate) fn stall(path: &Path, error: io::Error) -> Stall {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Stall::Full(Full::Disk),
        _ => failed(path, &error),
    }
}

fn failed(path: &Path, error: &io::Error) -> Stall {
    Stall::Failed(format!("{}: {error}", path.display()))
}
