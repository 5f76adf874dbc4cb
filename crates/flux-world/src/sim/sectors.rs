//! The content of a simulated file, by sector, with what each sector held when it was last synced.

use std::collections::BTreeMap;

use crate::Entropy;

/// What a disk writes as a whole, more or less: see [`Sectors::crash`].
const SECTOR_BYTES: u64 = 512;

type Sector = [u8; SECTOR_BYTES as usize];

#[derive(Debug, Default)]
pub(super) struct Sectors {
    /// Sectors that are not here read as zeros.
    now: BTreeMap<u64, Box<Sector>>,
    bytes: u64,
    /// What was on disk where that differs from `now`: nothing was zeros.
    synced: BTreeMap<u64, Option<Box<Sector>>>,
    bytes_synced: u64,
}

/// How much of what was not synced a crash leaves.
enum Kept {
    Nothing,
    All,
    /// From the front: what is written in order often arrives in order.
    UpTo(u64),
    /// Each sector by chance.
    Some,
}

impl Sectors {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Space it takes: whole sectors, holes included.
    pub(super) fn allocated_bytes(&self) -> u64 {
        self.bytes.next_multiple_of(SECTOR_BYTES)
    }

    /// Sectors that differ from what is on disk.
    pub(super) fn unsynced_bytes(&self) -> u64 {
        self.synced.len() as u64 * SECTOR_BYTES
    }

    /// Space it would take in addition if it were `bytes` long.
    pub(super) fn growth_bytes(&self, bytes: u64) -> u64 {
        bytes.next_multiple_of(SECTOR_BYTES).saturating_sub(self.allocated_bytes())
    }

    pub(super) fn read(&self, offset: u64, into: &mut [u8]) -> usize {
        let length = self.bytes.saturating_sub(offset).min(into.len() as u64) as usize;
        for (sector, within, range) in pieces(offset, length) {
            match self.now.get(&sector) {
                Some(content) => {
                    into[range.clone()].copy_from_slice(&content[within..within + range.len()]);
                }
                None => into[range].fill(0),
            }
        }
        length
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (sector, within, range) in pieces(offset, bytes.len()) {
            self.change(sector)[within..within + range.len()].copy_from_slice(&bytes[range]);
        }
        if !bytes.is_empty() {
            self.bytes = self.bytes.max(offset + bytes.len() as u64);
        }
    }

    pub(super) fn set_bytes(&mut self, bytes: u64) {
        let beyond: Vec<u64> =
            self.now.range(bytes.div_ceil(SECTOR_BYTES)..).map(|(sector, _)| *sector).collect();
        for sector in beyond {
            let old = self.now.remove(&sector);
            self.synced.entry(sector).or_insert(old);
        }
        let within = (bytes % SECTOR_BYTES) as usize;
        if bytes < self.bytes && within > 0 {
            self.change(bytes / SECTOR_BYTES)[within..].fill(0);
        }
        self.bytes = bytes;
    }

    pub(super) fn sync(&mut self) {
        self.synced.clear();
        self.bytes_synced = self.bytes;
    }

    /// Flips bits of what is on disk and read.
    pub(super) fn corrupt(&mut self, offset: u64, mask: u8) {
        let sector = self.now.entry(offset / SECTOR_BYTES).or_insert_with(zeros);
        sector[(offset % SECTOR_BYTES) as usize] ^= mask;
    }

    /// Decides what of the unsynced sectors is on disk: nothing, everything, a front part, or some at random; one in four
    /// of those that make it is torn, its first bytes new and the rest old.
    pub(super) fn crash(&mut self, entropy: &Entropy) {
        let kept = match entropy.below(4) {
            0 => Kept::Nothing,
            1 => Kept::All,
            2 => Kept::UpTo(entropy.below(self.synced.len() as u64 + 1)),
            _ => Kept::Some,
        };
        let unsynced = std::mem::take(&mut self.synced);
        for (position, (sector, old)) in unsynced.into_iter().enumerate() {
            let is_kept = match kept {
                Kept::Nothing => false,
                Kept::All => true,
                Kept::UpTo(end) => (position as u64) < end,
                Kept::Some => entropy.below(2) == 0,
            };
            if !is_kept {
                match old {
                    Some(old) => self.now.insert(sector, old),
                    None => self.now.remove(&sector),
                };
            } else if entropy.below(4) == 0 {
                let torn_at = entropy.below(SECTOR_BYTES) as usize;
                let old = old.unwrap_or_else(zeros);
                self.now.entry(sector).or_insert_with(zeros)[torn_at..].copy_from_slice(&old[torn_at..]);
            }
        }
        let (low, high) = (self.bytes.min(self.bytes_synced), self.bytes.max(self.bytes_synced));
        self.bytes = match kept {
            Kept::Nothing => self.bytes_synced,
            Kept::All => self.bytes,
            Kept::UpTo(_) | Kept::Some => low + entropy.below(high - low + 1),
        };
        self.set_bytes(self.bytes);
        self.sync();
    }

    /// A sector about to be changed; what it held is remembered until the next sync.
    fn change(&mut self, sector: u64) -> &mut Sector {
        let old = self.now.get(&sector);
        self.synced.entry(sector).or_insert_with(|| old.cloned());
        self.now.entry(sector).or_insert_with(zeros)
    }
}

fn zeros() -> Box<Sector> {
    Box::new([0; SECTOR_BYTES as usize])
}

/// The sectors that `length` bytes at `offset` touch: its number, where in it, and which of the bytes.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == length {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % SECTOR_BYTES) as usize;
        let taken = (SECTOR_BYTES as usize - within).min(length - done);
        let piece = (at / SECTOR_BYTES, within, done..done + taken);
        done += taken;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The model beside a plain vector.
        #[test]
        fn reads_what_was_written(changes in proptest::collection::vec((0_u64..3_000, 0_usize..900, any::<u8>(), any::<bool>()), 0..40)) {
            let (mut sectors, mut plain) = (Sectors::default(), Vec::new());
            for (offset, length, byte, is_write) in changes {
                if is_write {
                    let content = vec![byte; length];
                    sectors.write(offset, &content);
                    if length > 0 {
                        plain.resize(plain.len().max(offset as usize + length), 0);
                        plain[offset as usize..offset as usize + length].copy_from_slice(&content);
                    }
                } else {
                    sectors.set_bytes(offset);
                    plain.resize(offset as usize, 0);
                }
                let mut read = vec![1; 5_000];
                let length = sectors.read(0, &mut read);
                prop_assert_eq!(&read[..length], &plain[..]);
            }
        }

        /// After a crash every byte is one that was on disk or one that was written since.
        #[test]
        fn a_crash_keeps_what_was_synced(seed: u64, unsynced in proptest::collection::vec((0_u64..3_000, 1_usize..900), 0..10)) {
            let mut sectors = Sectors::default();
            sectors.write(0, &[1; 2_000]);
            sectors.sync();
            for (offset, length) in &unsynced {
                sectors.write(*offset, &vec![2; *length]);
            }
            let written = sectors.bytes();
            sectors.crash(&Entropy::seeded(seed));
            let mut read = vec![9; 5_000];
            let length = sectors.read(0, &mut read);
            prop_assert!((2_000..=written as usize).contains(&length));
            for (at, byte) in read[..length].iter().enumerate() {
                let was_touched = unsynced.iter().any(|(offset, length)| (*offset as usize..*offset as usize + length).contains(&at));
                let synced = u8::from(at < 2_000);
                prop_assert!(*byte == synced || (was_touched && *byte == 2), "byte {} is {}", at, byte);
            }
        }
    }
}
