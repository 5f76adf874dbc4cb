//! The files of a journal as they lie on disk, read without the code that wrote them: only how long records are.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

const SEGMENT_HEADER_BYTES: usize = 64;
const HEAD_BYTES: usize = 32;
const ALIGN_BYTES: usize = 8;
/// How a message goes on behind its number: see the sender.
const BEHIND_NUMBER: &[u8] = b" ..........";

/// One of them.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) records: Vec<Record>,
    /// Behind the last record.
    pub(super) end: usize,
    pub(super) bytes: Vec<u8>,
}

/// A record in it.
pub(super) struct Record {
    pub(super) place: Range<usize>,
    pub(super) sequence: u64,
    /// The message in it, where there is one.
    pub(super) number: Option<u64>,
    /// How much of the file was on disk when it was written.
    synced: usize,
}

impl Segment {
    /// All of a journal, oldest first.
    pub(super) fn all(journal: &Path) -> Result<Vec<Segment>> {
        let entries =
            fs::read_dir(journal).with_context(|| format!("no journal at {}", journal.display()))?;
        let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| Ok(entry?.path())).collect();
        let mut paths: Vec<PathBuf> = paths.map_err(|why: std::io::Error| why)?;
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "journal"));
        paths.sort();
        paths.into_iter().map(Segment::read).collect()
    }

    fn read(path: PathBuf) -> Result<Segment> {
        let bytes = fs::read(&path)?;
        let (mut records, mut end) = (Vec::new(), SEGMENT_HEADER_BYTES);
        while let Some(head) =
            bytes.get(end..end + HEAD_BYTES).filter(|head| head.iter().any(|&byte| byte != 0))
        {
            let word = |at: usize| u32::from_le_bytes(*head[at..].first_chunk().expect("within the head"));
            let body_bytes = (word(8) & 0x00ff_ffff) as usize;
            let place = end..end + (HEAD_BYTES + body_bytes).next_multiple_of(ALIGN_BYTES);
            let Some(record) = bytes.get(place.clone()) else { break };
            records.push(Record {
                sequence: u64::from_le_bytes(*head[16..].first_chunk().expect("within the head")),
                number: number_in(&record[HEAD_BYTES..]),
                synced: word(12) as usize,
                place: place.clone(),
            });
            end = place.end;
        }
        Ok(Segment { path, records, end, bytes })
    }

    /// Up to where its records are known to be on disk, by what is in them.
    pub(super) fn vouched(&self) -> usize {
        self.records.iter().map(|record| record.synced).max().unwrap_or(0)
    }
}

fn number_in(body: &[u8]) -> Option<u64> {
    let end = body.windows(BEHIND_NUMBER.len()).position(|window| window == BEHIND_NUMBER)?;
    let digits = body[..end].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&body[end - digits..end]).ok()?.parse().ok()
}
