//! An edition: one version of a scenario with everything it stands on, as it ran, signed by the rack that ran it.
//!
//! ```text
//! fluxrig edition 1                     format and version
//! {"number":7,"files":[..],..}          [`Edition`], as JSON in one line
//! key d75a9801…511a                     the public key of the passport that signed
//! signature e5564300…100b               by Ed25519, over every byte above this line
//! ```
//!
//! Contents are not in it: it names each by its SHA-256. So a signature that holds, and contents that hash to what it
//! names, are the scenario as it ran, byte for byte.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::hex::{Hex, from_hex};
use crate::passport::{Passport, PublicKey, Signature};

/// First words of the first line; the version follows.
const MAGIC: &str = "fluxrig edition ";
/// Version of the format.
const VERSION: u32 = 1;
/// Longest file that can be an edition.
pub const EDITION_BYTES_MAX: usize = 4 << 20;

/// What ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edition {
    /// Counts the editions of a rack.
    pub number: u64,
    /// When it was written, in milliseconds since 1970.
    pub saved_unix_ms: u64,
    /// Version of the program that ran it.
    pub program: String,
    /// Working directory, which relative names are relative to.
    pub directory: String,
    /// Name of the scenario file, among `files`.
    pub scenario: String,
    /// Name of a file of settings beside it, among `files`.
    pub settings: Option<String>,
    /// Which of several racks it was.
    pub rack: Option<String>,
    /// Everything that was read for it, by name.
    pub files: Vec<EditionFile>,
}

/// A file an edition stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditionFile {
    /// Its name, as it was asked for.
    pub name: String,
    /// SHA-256 of its content.
    pub content: ContentHash,
    /// Whether the content is kept with the edition. Keys and certificates are not: they are read where they are.
    pub is_kept: bool,
}

/// SHA-256 of a content; in text 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentHash(pub [u8; 32]);

/// Why bytes are not an edition to run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditionError {
    /// It does not begin like one.
    #[error("it is no edition: it does not begin with `fluxrig edition`")]
    Foreign,
    /// It is from a version that came later.
    #[error("it has format {0}, and this version reads {VERSION} at most")]
    Newer(u32),
    /// It begins like one and is not one.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Somebody else signed it.
    #[error("it is signed by another key: by {by}, and the passport here is {ours}")]
    OtherKey {
        /// Fingerprint of who signed.
        by: String,
        /// Fingerprint of who should have.
        ours: String,
    },
    /// It was changed after it was signed.
    #[error("its signature does not match: it was changed after it was signed")]
    Changed,
}

impl Edition {
    /// The edition as it is written.
    pub fn sign(&self, passport: &Passport) -> String {
        let json = serde_json::to_string(self).expect("an edition has nothing that JSON has not");
        let signed = format!("{MAGIC}{VERSION}\n{json}\nkey {}\n", passport.public_key());
        let signature = passport.sign(signed.as_bytes());
        format!("{signed}signature {signature}\n")
    }

    /// Reads an edition that the owner of `key` signed. Nothing of it is believed before its signature holds.
    pub fn verify(text: &[u8], key: &PublicKey) -> Result<Edition, EditionError> {
        let damaged = |what: &str| EditionError::Damaged(what.into());
        let version = text.strip_prefix(MAGIC.as_bytes()).ok_or(EditionError::Foreign)?;
        let version = version.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let version = str::from_utf8(version).ok().and_then(|version| version.parse::<u32>().ok());
        match version.ok_or_else(|| damaged("its version is no number"))? {
            VERSION => {}
            version if version > VERSION => return Err(EditionError::Newer(version)),
            _ => return Err(damaged("there is no such version")),
        }
        let text = str::from_utf8(text).map_err(|_| damaged("it is no text"))?;
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let [_, json, by, signature] = lines[..] else { return Err(damaged("it has not four lines")) };
        let by = by.strip_prefix("key ").and_then(|line| from_hex(line.strip_suffix('\n')?));
        let by = PublicKey(by.ok_or_else(|| damaged("line 3 is not `key` and 64 digits"))?);
        let signature_at = text.len() - signature.len();
        let signature =
            signature.strip_prefix("signature ").and_then(|line| from_hex(line.strip_suffix('\n')?));
        let signature =
            Signature(signature.ok_or_else(|| damaged("line 4 is not `signature` and 128 digits"))?);
        if by != *key {
            return Err(EditionError::OtherKey { by: by.fingerprint(), ours: key.fingerprint() });
        }
        if !key.has_signed(&text.as_bytes()[..signature_at], &signature) {
            return Err(EditionError::Changed);
        }
        let edition: Edition =
            serde_json::from_str(json).map_err(|why| EditionError::Damaged(why.to_string()))?;
        edition.check()?;
        Ok(edition)
    }

    /// What is in a file, if it is kept with the edition.
    pub fn kept(&self, name: &str) -> Option<ContentHash> {
        self.files.iter().find(|file| file.is_kept && file.name == name).map(|file| file.content)
    }

    fn check(&self) -> Result<(), EditionError> {
        let mut names = BTreeSet::new();
        if let Some(twice) = self.files.iter().find(|file| !names.insert(&file.name)) {
            return Err(EditionError::Damaged(format!("`{}` is listed twice", twice.name)));
        }
        let needed = std::iter::once(&self.scenario).chain(&self.settings);
        match needed.into_iter().find(|name| self.kept(name).is_none()) {
            Some(missing) => Err(EditionError::Damaged(format!("`{missing}` is not among its files"))),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ContentHash, D::Error> {
        let digits = String::deserialize(deserializer)?;
        from_hex(&digits)
            .map(ContentHash)
            .ok_or_else(|| de::Error::custom("a content hash has 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests;
