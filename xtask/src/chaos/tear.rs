//! Does to the files of a journal what a torn write, or a failing disk, does to them.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Random, segments::Segment};

const PAGE_BYTES: usize = 4_096;

/// A bit that was flipped, and what is lost by it.
pub(super) struct Flip {
    pub(super) file: PathBuf,
    pub(super) offset: usize,
    pub(super) sequence: u64,
    pub(super) number: u64,
}

/// Leaves behind the last record what a torn write leaves there; nothing that was written is touched. Returns whether the
/// next start has something to cut.
pub(super) fn tear(journal: &Path, random: &mut Random) -> Result<bool> {
    let segments = Segment::all(journal)?;
    let newest = segments.last().context("a journal has a segment")?;
    let rubbish = match random.below(5) {
        0 => random.bytes(2 * PAGE_BYTES),
        // As much of a record as had been written, which was never this one.
        1 => half_a_record(newest, random),
        2 => {
            // The pages of a write may reach the disk in any order.
            let to_the_page = PAGE_BYTES - newest.end % PAGE_BYTES;
            [vec![0; to_the_page + PAGE_BYTES], random.bytes(PAGE_BYTES)].concat()
        }
        3 => {
            let unfinished = newest.path.with_extension("journal.new");
            let begun = random.index(2 * PAGE_BYTES);
            let begun = newest.bytes[..begun.min(newest.bytes.len())].to_vec();
            fs::write(unfinished, begun)?;
            return Ok(false);
        }
        _ => {
            // Its length was not on disk yet.
            File::options().write(true).open(&newest.path)?.set_len(newest.end as u64)?;
            return Ok(false);
        }
    };
    let file = File::options().write(true).open(&newest.path)?;
    file.write_all_at(&rubbish, newest.end as u64)?;
    Ok(rubbish.iter().any(|&byte| byte != 0))
}

/// Flips a bit of a record of which it is known that it was on disk, and that `is_to_lose` by its message. `None` when
/// there is none.
pub(super) fn flip(
    journal: &Path,
    random: &mut Random,
    is_to_lose: impl Fn(u64) -> bool,
) -> Result<Option<Flip>> {
    let segments = Segment::all(journal)?;
    let mut numbers: Vec<u64> = segments
        .iter()
        .flat_map(|segment| segment.records.iter().filter_map(|record| record.number))
        .collect();
    numbers.sort_unstable();
    // What its sender sent twice arrives by the other one.
    let is_there_once = |number: u64| {
        numbers.partition_point(|&other| other <= number) - numbers.partition_point(|&other| other < number)
            == 1
    };
    let mut candidates = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let vouched = if at + 1 < segments.len() { segment.end } else { segment.vouched() };
        for record in segment.records.iter().filter(|record| record.place.end <= vouched) {
            if let Some(number) = record.number.filter(|&number| is_there_once(number) && is_to_lose(number))
            {
                candidates.push((segment, record, number));
            }
        }
    }
    if candidates.is_empty() {
        return Ok(None);
    }
    let (segment, record, number) = candidates[random.index(candidates.len())];
    let at = record.place.start + random.index(record.place.len());
    let file = File::options().write(true).open(&segment.path)?;
    file.write_all_at(&[segment.bytes[at] ^ 1 << random.below(8)], at as u64)?;
    Ok(Some(Flip {
        file: segment.path.clone(),
        offset: record.place.start,
        sequence: record.sequence,
        number,
    }))
}

fn half_a_record(segment: &Segment, random: &mut Random) -> Vec<u8> {
    match segment.records.last() {
        Some(last) => segment.bytes[last.place.clone()][..1 + random.index(last.place.len() - 1)].to_vec(),
        None => random.bytes(PAGE_BYTES),
    }
}
