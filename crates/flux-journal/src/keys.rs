//! Keys that records are sealed with at rest: AES-256-GCM, one derived key for each segment.
//!
//! A segment names the key it was made with and draws a salt. Its own key is HKDF-SHA-256(key, salt, segment id), and a
//! record's nonce is its sequence. A segment is written by one opening of a journal only, so that no nonce is used twice:
//! after a crash, records go to a new segment. The seal covers the head of the record, so that none can be moved.
//!
//! The header of a segment also has 24 bits that are derived beside that key, so that another key of the same id is told from
//! damage before anything is read.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf;
use ring::rand::{SecureRandom, SystemRandom};

use crate::error::FormatError;
use crate::record::{HEADER_BYTES, TAG_BYTES, sealed_with};
use crate::segment::{KEY_CHECK_MAX, SegmentHeader};

/// A key for records at rest.
#[derive(Clone)]
pub struct Key {
    /// What a segment names it by; from 1.
    pub id: u32,
    /// 256 bits from a cryptographic source.
    pub secret: [u8; 32],
}

/// A file of keys does not read `ID:64 hexadecimal digits` on each line. Says where, and nothing of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: not `ID:64 hexadecimal digits`, with ids from 1 and none twice")]
pub struct KeyFileError {
    /// The line, from 1.
    pub line: usize,
}

impl Key {
    /// A new one, of chance that is good enough for keys; `None` when the operating system gives none.
    pub fn generate(id: u32) -> Option<Self> {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).ok()?;
        Some(Self { id, secret })
    }

    /// Its line in a file of keys, with the secret: for that file and nothing else.
    pub fn to_line(&self) -> String {
        let digits: String = self.secret.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}:{digits}\n", self.id)
    }

    fn from_line(line: &str) -> Option<Self> {
        let (id, digits) = line.split_once(':')?;
        let (id, digits) = (id.trim().parse().ok().filter(|id| *id > 0)?, digits.trim().as_bytes());
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let mut secret = [0; 32];
        if digits.len() != 2 * secret.len() {
            return None;
        }
        for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Some(Self { id, secret })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key {{ id: {} }}", self.id)
    }
}

/// The keys of a journal. New segments are sealed with the first, or not at all when there is none; the others read older
/// segments. To change the key, put the new one first and reopen; drop the old one when its last segment is trimmed.
#[derive(Clone, Debug, Default)]
pub struct Keys(Arc<[Key]>);

impl FromStr for Keys {
    type Err = KeyFileError;

    /// Reads a file of keys: `ID:64 hexadecimal digits` on each line, the key to write with first; empty lines are left out.
    fn from_str(text: &str) -> Result<Self, KeyFileError> {
        let mut keys: Vec<Key> = Vec::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match Key::from_line(line) {
                Some(key) if keys.iter().all(|other| other.id != key.id) => keys.push(key),
                _ => return Err(KeyFileError { line: at + 1 }),
            }
        }
        Ok(Self::new(keys))
    }
}

impl Keys {
    /// No keys: bodies lie on disk as they are.
    pub fn none() -> Self {
        Self::default()
    }

    /// These keys, the one to write with first.
    pub fn new(keys: Vec<Key>) -> Self {
        Self(keys.into())
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|key| key.id)
    }

    /// The key that new segments are sealed with; 0 for none.
    pub(crate) fn id_to_write(&self) -> u32 {
        self.0.first().map_or(0, |key| key.id)
    }

    /// What opens and seals the records of a segment: `Ok(None)` for a plain one, an error when its key is not here or
    /// another has its id. `file` is for the error.
    pub(crate) fn seal_of(&self, segment: &SegmentHeader, file: &Path) -> Result<Option<Seal>, FormatError> {
        let (file, key_id) = (|| file.to_owned(), segment.key_id);
        if key_id == 0 {
            return Ok(None);
        }
        let Some(key) = self.0.iter().find(|key| key.id == key_id) else {
            return Err(FormatError::Key { file: file(), key_id });
        };
        let (seal, check) = derive(key, segment);
        if segment.key_check != 0 && segment.key_check != check {
            return Err(FormatError::OtherKey { file: file(), key_id });
        }
        Ok(Some(seal))
    }

    /// What seals the records of a new segment, which names its key and gets the check of it.
    pub(crate) fn seal_new(&self, segment: &mut SegmentHeader) -> Option<Seal> {
        let key = self.0.first()?;
        segment.key_id = key.id;
        let (seal, check) = derive(key, segment);
        segment.key_check = check;
        Some(seal)
    }
}

/// The seal of a segment, and the check of the key it is derived from, which is never 0.
fn derive(key: &Key, segment: &SegmentHeader) -> (Seal, u32) {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &segment.salt.bytes).extract(&key.secret);
    let id = segment.id.to_le_bytes();
    let info: [&[u8]; 2] = [b"fluxrig journal segment", &id];
    let sealing = salt.expand(&info, &AES_256_GCM).expect("32 bytes are not too many to derive");
    let info: [&[u8]; 2] = [b"fluxrig journal key check", &id];
    let mut check = [0; CHECK_BYTES];
    let derived = salt.expand(&info, CheckLength).and_then(|derived| derived.fill(&mut check));
    derived.expect("4 bytes are not too many to derive");
    (
        Seal { key: LessSafeKey::new(UnboundKey::from(sealing)) },
        (u32::from_le_bytes(check) & KEY_CHECK_MAX).max(1),
    )
}

const CHECK_BYTES: usize = 4;

struct CheckLength;

impl hkdf::KeyType for CheckLength {
    fn len(&self) -> usize {
        CHECK_BYTES
    }
}

/// Seals and opens the records of one segment.
#[derive(Debug)]
pub(crate) struct Seal {
    key: LessSafeKey,
}

impl Seal {
    /// Seals the body of a gathered record in place; the room for its tag is there.
    pub(crate) fn seal(&self, record: &mut [u8], body_bytes: usize, sequence: u64) {
        let aad = Aad::from(sealed_with(record));
        let (body, tag) =
            record[HEADER_BYTES..HEADER_BYTES + body_bytes].split_at_mut(body_bytes - TAG_BYTES);
        let made = self
            .key
            .seal_in_place_separate_tag(nonce(sequence), aad, body)
            .expect("a body is shorter than a seal can be");
        tag.copy_from_slice(made.as_ref());
    }

    /// The plain body of a record as read; `None` when the seal does not open.
    pub(crate) fn open(&self, record: &[u8], body_bytes: usize, sequence: u64) -> Option<Vec<u8>> {
        let aad = Aad::from(sealed_with(record));
        let mut body = record[HEADER_BYTES..HEADER_BYTES + body_bytes].to_vec();
        let plain_bytes = self.key.open_in_place(nonce(sequence), aad, &mut body).ok()?.len();
        body.truncate(plain_bytes);
        Some(body)
    }
}

fn nonce(sequence: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&sequence.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_keys_reads_back_and_says_where_it_is_wrong() {
        let keys = [Key::generate(2).unwrap(), Key::generate(1).unwrap()];
        let file: String = keys.iter().map(Key::to_line).collect();
        let read: Keys = format!("\n{file}").parse().unwrap();
        assert_eq!(read.ids().collect::<Vec<_>>(), [2, 1]);
        assert!(read.0.iter().zip(&keys).all(|(read, key)| read.secret == key.secret));
        assert_ne!(keys[0].secret, keys[1].secret);
        for wrong in
            ["3:00", "x", &file[1..], &format!("{file}{}", keys[0].to_line()), &file.replace("2:", "0:")]
        {
            let why = wrong.parse::<Keys>().unwrap_err().to_string();
            assert!(why.contains("not `ID:64 hexadecimal digits`"), "{why}");
        }
    }
}
