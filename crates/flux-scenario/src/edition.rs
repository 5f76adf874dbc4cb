//! An edition: one version of a scenario with everything it stands on, as it ran, signed by the rack that ran it.
//!
//! It is signed in the form of [`crate::signed`], and says [`Edition`].
//!
//! Contents are not in it: it names each by its SHA-256. So a signature that holds, and contents that hash to what it
//! names, are the scenario as it ran, byte for byte.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use ring::digest::{SHA256, digest};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::hex::{Hex, from_hex, schema_of_digits};
use crate::signed::Signed;

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

impl ContentHash {
    /// The hash of a content.
    pub fn of(content: &[u8]) -> ContentHash {
        ContentHash(digest(&SHA256, content).as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl Edition {
    /// What is in a file, if it is kept with the edition.
    pub fn kept(&self, name: &str) -> Option<ContentHash> {
        self.files.iter().find(|file| file.is_kept && file.name == name).map(|file| file.content)
    }
}

impl Signed for Edition {
    const WHAT: &'static str = "edition";
    const VERSION: u32 = 1;

    fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        if let Some(twice) = self.files.iter().find(|file| !names.insert(&file.name)) {
            return Err(format!("`{}` is listed twice", twice.name));
        }
        let needed = std::iter::once(&self.scenario).chain(&self.settings);
        match needed.into_iter().find(|name| self.kept(name).is_none()) {
            Some(missing) => Err(format!("`{missing}` is not among its files")),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl JsonSchema for ContentHash {
    fn schema_name() -> Cow<'static, str> {
        "ContentHash".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema_of_digits(64)
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
