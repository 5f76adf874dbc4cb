//! Rewrites any CBOR in the canonical form of RFC 8949 section 4.2.1.

use super::{
    DecodeError, ITEM_NESTING_MAX, Problem, Strictness,
    reader::{Item, Len, Reader},
    writer::{Major, put_bignum, put_bytes, put_float, put_head, put_simple, put_text},
};

/// The canonical encoding of the one item that fills `bytes`, map keys of any kind included.
///
/// Duplicate keys are refused: which of the two values counts is not ours to say.
pub fn canonicalize(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut reader = Reader::new(bytes, Strictness::Lenient);
    let mut out = Vec::with_capacity(bytes.len());
    reader.rewrite(&mut out, ITEM_NESTING_MAX)?;
    reader.end()?;
    Ok(out)
}

impl Reader<'_> {
    /// Appends the canonical form of the next item, `room` levels deep at most.
    fn rewrite(&mut self, out: &mut Vec<u8>, room: usize) -> Result<(), DecodeError> {
        let at = self.at();
        let inner = || room.checked_sub(1).ok_or_else(|| Problem::TooDeep.at(at));
        match self.item()? {
            Item::Uint(n) => put_head(out, Major::Uint, n),
            Item::Nint(n) => put_head(out, Major::Nint, n),
            Item::Bytes(len) => put_bytes(out, &self.bytes(len)?),
            Item::Text(len) => put_text(out, &self.text(len)?),
            Item::Simple(number) => put_simple(out, number),
            Item::Float(float) => put_float(out, float),
            Item::List(len) => self.rewrite_list(len, out, inner()?)?,
            Item::Map(len) => self.rewrite_map(len, out, inner()?)?,
            Item::Tag(tag) => {
                let inner = inner()?;
                match self.magnitude(tag)? {
                    Some(magnitude) => put_bignum(out, tag, &magnitude),
                    None => {
                        put_head(out, Major::Tag, tag);
                        self.rewrite(out, inner)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn rewrite_list(&mut self, mut left: Len, out: &mut Vec<u8>, room: usize) -> Result<(), DecodeError> {
        let start = out.len();
        let mut count = 0;
        while self.more(&mut left)? {
            self.rewrite(out, room)?;
            count += 1;
        }
        let content = out.split_off(start);
        put_head(out, Major::List, count);
        out.extend_from_slice(&content);
        Ok(())
    }

    fn rewrite_map(&mut self, mut left: Len, out: &mut Vec<u8>, room: usize) -> Result<(), DecodeError> {
        let start = out.len();
        let mut entries = Vec::new();
        while self.more(&mut left)? {
            let (at, key) = (self.at(), out.len() - start);
            self.rewrite(out, room)?;
            let value = out.len() - start;
            self.rewrite(out, room)?;
            entries.push((key..value, value..out.len() - start, at));
        }
        let content = out.split_off(start);
        let key = |entry: &(std::ops::Range<usize>, _, _)| &content[entry.0.clone()];
        entries.sort_by(|a, b| key(a).cmp(key(b)));
        if let Some(pair) = entries.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
            return Err(Problem::DuplicateKey.at(pair[1].2));
        }
        put_head(out, Major::Map, entries.len() as u64);
        for (key, value, _) in entries {
            out.extend_from_slice(&content[key]);
            out.extend_from_slice(&content[value]);
        }
        Ok(())
    }
}
