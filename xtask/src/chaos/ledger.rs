//! What one end knows: a file of message numbers, eight bytes each, in the order they came to be known; and beside it a
//! mark, the highest number this end has seen at all.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// A ledger of another process.
#[derive(Clone)]
pub(super) struct Ledger(PathBuf);

/// A ledger of our own.
pub(super) struct Book {
    numbers: BufWriter<File>,
    mark: File,
}

/// What the two ledgers say together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) accepted: u64,
    pub(super) delivered: u64,
    pub(super) duplicates: u64,
    pub(super) dead_lettered: u64,
    /// Messages that did not arrive because their record was damaged, as was reported.
    pub(super) damaged: Vec<u64>,
    pub(super) lost: u64,
}

impl Ledger {
    pub(super) fn new(path: PathBuf) -> Ledger {
        Ledger(path)
    }

    /// Numbers in it, one that came twice counted twice.
    pub(super) fn count(&self) -> u64 {
        fs::metadata(&self.0).map_or(0, |file| file.len() / 8)
    }

    /// One more than the highest number seen.
    pub(super) fn mark(&self) -> Result<u64> {
        let bytes = fs::read(mark_of(&self.0)).unwrap_or_default();
        Ok(bytes.try_into().map_or(0, u64::from_le_bytes))
    }

    /// All of it.
    pub(super) fn read(&self) -> Result<Vec<u64>> {
        let bytes = fs::read(&self.0).with_context(|| format!("no ledger at {}", self.0.display()))?;
        let (numbers, _) = bytes.as_chunks::<8>();
        Ok(numbers.iter().map(|&number| u64::from_le_bytes(number)).collect())
    }
}

impl Book {
    pub(super) fn open(path: &Path) -> Result<Book> {
        Ok(Book { numbers: BufWriter::new(File::create(path)?), mark: File::create(mark_of(path))? })
    }

    pub(super) fn note(&mut self, number: u64) -> Result<()> {
        Ok(self.numbers.write_all(&number.to_le_bytes())?)
    }

    /// Lets others see what was noted, and how far this end has seen.
    pub(super) fn publish(&mut self, mark: u64) -> Result<()> {
        self.numbers.flush()?;
        Ok(self.mark.write_all_at(&mark.to_le_bytes(), 0)?)
    }
}

impl Verdict {
    /// `reported` are the messages that were told to be damaged.
    pub(super) fn of(accepted: &[u64], arrived: &[u64], dead_lettered: u64, reported: &[u64]) -> Verdict {
        let highest = arrived.iter().chain(accepted).max().map_or(0, |&highest| highest as usize + 1);
        let mut has_arrived = vec![false; highest];
        let mut distinct = 0;
        for &number in arrived {
            distinct += u64::from(!std::mem::replace(&mut has_arrived[number as usize], true));
        }
        let missing: Vec<u64> =
            accepted.iter().copied().filter(|&number| !has_arrived[number as usize]).collect();
        let damaged: Vec<u64> = missing.iter().copied().filter(|number| reported.contains(number)).collect();
        let missing = (missing.len() - damaged.len()) as u64;
        Verdict {
            accepted: accepted.len() as u64,
            delivered: accepted.len() as u64 - missing - damaged.len() as u64,
            duplicates: arrived.len() as u64 - distinct,
            dead_lettered,
            damaged,
            lost: missing.saturating_sub(dead_lettered),
        }
    }

    /// Two runs together.
    pub(super) fn add(&mut self, other: Verdict) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.duplicates += other.duplicates;
        self.dead_lettered += other.dead_lettered;
        self.damaged.extend(other.damaged);
        self.lost += other.lost;
    }
}

fn mark_of(path: &Path) -> PathBuf {
    path.with_extension("mark")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_accepted_and_did_not_arrive_is_lost() {
        let check = |accepted: &[u64], arrived: &[u64], dead_lettered, reported: &[u64], want: [u64; 6]| {
            let Verdict { accepted, delivered, duplicates, dead_lettered, damaged, lost } =
                Verdict::of(accepted, arrived, dead_lettered, reported);
            assert_eq!(
                [accepted, delivered, duplicates, dead_lettered, damaged.len() as u64, lost],
                want,
                "{arrived:?}"
            );
        };
        check(&[], &[], 0, &[], [0, 0, 0, 0, 0, 0]);
        check(&[0, 1, 2], &[0, 1, 1, 2, 3], 0, &[], [3, 3, 1, 0, 0, 0]);
        check(&[0, 1, 2], &[0, 2, 2, 2], 0, &[], [3, 2, 2, 0, 0, 1]);
        check(&[0, 1, 2], &[0, 2], 1, &[], [3, 2, 0, 1, 0, 0]);
        // What was damaged and had arrived before is no loss; what is lost beside it is.
        check(&[0, 1, 2], &[0, 2], 0, &[1, 2], [3, 2, 0, 0, 1, 0]);
        check(&[0, 1, 2], &[2], 0, &[1], [3, 1, 0, 0, 1, 1]);
    }

    #[test]
    fn a_book_is_read_as_it_was_written() {
        let path = std::env::temp_dir().join(format!("ledger-{}", std::process::id()));
        let mut book = Book::open(&path).unwrap();
        let ledger = Ledger::new(path.clone());
        book.note(7).unwrap();
        book.publish(9).unwrap();
        book.note(8).unwrap();
        book.publish(10).unwrap();
        assert_eq!((ledger.count(), ledger.mark().unwrap(), ledger.read().unwrap()), (2, 10, vec![7, 8]));
        fs::remove_file(mark_of(&path)).unwrap();
        fs::remove_file(path).unwrap();
    }
}
