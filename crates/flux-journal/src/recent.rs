//! The groups that were written last, in memory: consumers that keep up read them and never the disk.

use std::collections::VecDeque;

use bytes::Bytes;

/// What a block costs beside its bytes, about.
const BLOCK_OVERHEAD_BYTES: usize = 128;

/// A group as it was gathered: bodies are plain, checks may be missing.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) first: u64,
    /// Behind its last record.
    pub(crate) next: u64,
    pub(crate) records: Bytes,
    /// Bytes each body is followed by for its tag.
    pub(crate) tag_bytes: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Recent {
    blocks: VecDeque<Block>,
    bytes: usize,
}

impl Recent {
    /// Keeps a block; returns a buffer that is no longer needed, if there is one.
    pub(crate) fn push(&mut self, block: Block, bytes_max: usize) -> Option<Vec<u8>> {
        self.bytes += block.records.len() + BLOCK_OVERHEAD_BYTES;
        self.blocks.push_back(block);
        let mut spare = None;
        while self.bytes > bytes_max {
            let Some(block) = self.blocks.pop_front() else { break };
            self.bytes -= block.records.len() + BLOCK_OVERHEAD_BYTES;
            spare = block.records.try_into_mut().ok().map(Vec::from).or(spare);
        }
        spare
    }

    /// The block that holds a record.
    pub(crate) fn find(&self, sequence: u64) -> Option<Block> {
        let at = self.blocks.partition_point(|block| block.next <= sequence);
        self.blocks.get(at).filter(|block| block.first <= sequence).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_blocks_go_and_their_buffers_come_back() {
        let mut recent = Recent::default();
        let block =
            |first: u64| Block { first, next: first + 2, records: vec![0; 1_000].into(), tag_bytes: 0 };
        assert!(recent.push(block(10), 2_500).is_none());
        assert!(recent.push(block(12), 2_500).is_none());
        let held = recent.find(13).unwrap();
        assert!(recent.push(block(14), 2_500).is_some_and(|spare| spare.capacity() >= 1_000));
        assert!(recent.push(block(16), 2_500).is_none(), "somebody reads the second");
        assert_eq!(held.first, 12);
        assert!(recent.find(13).is_none() && recent.find(18).is_none());
        assert_eq!(recent.find(15).unwrap().first, 14);
    }
}
