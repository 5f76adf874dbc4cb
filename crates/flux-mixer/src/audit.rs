//! Who did what: a log that is only added to, each entry signed, with the hash of the one before it.
//!
//! ```text
//! record n of the journal `audit`:  an [`Entry`], in the form of `flux_scenario::signed`, signed with the cluster key
//!                                   before = SHA-256 of the whole text of record n - 1; zeros in the first
//! ```
//!
//! A changed, moved or removed entry breaks the chain, and whoever cannot sign cannot mend it. What no log can tell by itself is
//! that its end was cut off: keep the head that [`Audit::verify`] tells elsewhere, and compare.

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flux_journal::{Config, Journal, Keys, walk};
use flux_scenario::edition::ContentHash;
use flux_scenario::passport::PublicKey;
use flux_scenario::signed::Signed;
use flux_world::World;
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::keyring::Keyring;

/// How long an entry may take to be on disk.
const DEADLINE: Duration = Duration::from_secs(10);
/// Longest text in an entry.
const TEXT_BYTES_MAX: usize = 512;
/// Most that the log may take on disk. When it is full, nothing that has to be written down is done.
const BYTES_MAX: u64 = 16 << 30;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its place, from 1.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The hash of the entry before it.
    pub before: ContentHash,
    /// Who: `token <id>`, `rack <name>`, `mixer`.
    pub who: String,
    /// What: `rack.approve`.
    pub what: String,
    /// To what.
    pub about: String,
    /// Whether it was done.
    pub outcome: Outcome,
    /// Why not, and what else there is to say. No secret, ever.
    pub detail: String,
}

/// Whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was allowed, and begun.
    Done,
    /// It was refused.
    Refused,
    /// It was begun and did not succeed.
    Failed,
}

impl Signed for Entry {
    const WHAT: &'static str = "audit";
    const VERSION: u32 = 1;
}

/// What is to be written down.
#[derive(Clone, Copy, Debug)]
pub struct Note<'a> {
    /// Who.
    pub who: &'a str,
    /// What.
    pub what: &'a str,
    /// To what.
    pub about: &'a str,
    /// Whether it was done.
    pub outcome: Outcome,
    /// What else there is to say.
    pub detail: &'a str,
}

/// Which entries.
#[derive(Clone, Debug)]
pub struct Span {
    /// Those behind this number.
    pub after: u64,
    /// From this time on, in milliseconds since 1970.
    pub since_unix_ms: u64,
    /// Until before this time.
    pub until_unix_ms: u64,
    /// Of what was done; of anything where none is said.
    pub what: Option<String>,
}

impl Span {
    fn has(&self, entry: &Entry) -> bool {
        entry.number > self.after
            && (self.since_unix_ms..self.until_unix_ms).contains(&entry.unix_ms)
            && self.what.as_ref().is_none_or(|what| *what == entry.what)
    }
}

/// Where the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    /// Entries.
    pub entries: u64,
    /// The hash of the last one; zeros where there is none.
    pub hash: ContentHash,
}

/// Why a log, or an entry for it, cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// It cannot be written or read.
    #[error("the audit log cannot be used: {0}")]
    Unusable(String),
    /// It is not as it was written.
    #[error("the audit log was tampered with, or is damaged, at entry {number}: {why}")]
    Tampered {
        /// The first entry that is not as it was.
        number: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// The log.
pub struct Audit {
    journal: Journal,
    place: Place,
    keyring: Arc<Keyring>,
    head: Mutex<Head>,
}

#[derive(Clone)]
struct Place {
    world: World,
    directory: PathBuf,
    keys: Keys,
    key: PublicKey,
}

const NONE: Head = Head { entries: 0, hash: ContentHash([0; 32]) };

impl Audit {
    /// Opens the log in a directory, or makes one, and verifies it whole.
    ///
    /// # Errors
    /// When it was tampered with: nothing is added to such a log.
    pub fn open(
        world: &World,
        directory: &Path,
        keys: Keys,
        keyring: Arc<Keyring>,
    ) -> Result<Audit, AuditError> {
        let config = Config { bytes_max: BYTES_MAX, ..Config::default() };
        let journal = Journal::open(world, directory, config, keys.clone()).map_err(unusable)?.0;
        let key = keyring.cluster.public_key();
        let place = Place { world: world.clone(), directory: directory.to_owned(), keys, key };
        let head = Mutex::new(place.verify()?);
        Ok(Audit { journal, place, keyring, head })
    }

    /// Adds an entry, and returns its number; when this succeeds it is on disk.
    ///
    /// # Errors
    /// When it is not known to be: what it is about must not be done then.
    pub async fn note(&self, note: Note<'_>) -> Result<u64, AuditError> {
        let (number, receipt) = {
            let mut head = self.head.lock();
            let entry = Entry {
                number: head.entries + 1,
                unix_ms: self.place.world.clock.unix_ms(),
                before: head.hash,
                who: cut(note.who),
                what: cut(note.what),
                about: cut(note.about),
                outcome: note.outcome,
                detail: cut(note.detail),
            };
            let text = entry.sign(&self.keyring.cluster);
            let receipt = self.journal.try_append(text.as_bytes()).map_err(unusable)?;
            *head = Head { entries: entry.number, hash: hash_of(text.as_bytes()) };
            (head.entries, receipt)
        };
        let safe = self.place.world.clock.timeout(DEADLINE, receipt.wait()).await;
        safe.map_err(|_| AuditError::Unusable("the disk takes too long".into()))?.map_err(unusable)?;
        Ok(number)
    }

    /// Where it ends.
    pub fn head(&self) -> Head {
        *self.head.lock()
    }

    /// Goes through all of it, and says where it ends.
    ///
    /// # Errors
    /// The first entry that is not as it was written.
    pub async fn verify(&self) -> Result<Head, AuditError> {
        self.journal.sync().await.map_err(unusable)?;
        let place = self.place.clone();
        self.place.world.disk.offload(move || place.verify()).await
    }

    /// Entries behind `after`, in order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, AuditError> {
        let all = Span { after, since_unix_ms: 0, until_unix_ms: u64::MAX, what: None };
        self.entries_of(all, limit).await
    }

    /// Entries of a span, in order: so many of those that are meant, whatever else is between them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn entries_of(&self, span: Span, limit: usize) -> Result<Vec<Entry>, AuditError> {
        let place = self.place.clone();
        self.place.world.disk.offload(move || place.entries(&span, limit)).await
    }

    /// Takes no more, and puts everything on disk.
    pub async fn close(&self) {
        let _ = self.journal.clone().close().await;
    }
}

impl Place {
    fn verify(&self) -> Result<Head, AuditError> {
        let (mut head, mut tampered) = (NONE, None);
        let problems = walk(&self.world, &self.directory, &self.keys, 0, &mut |record| {
            let number = head.entries + 1;
            let wrong = match Entry::verify(&record.body, &self.key) {
                Err(why) => Some(why.to_string()),
                Ok(entry) if entry.number != number => {
                    Some(format!("it says that it is entry {}", entry.number))
                }
                Ok(entry) if entry.before != head.hash => Some("the one before it is another".into()),
                Ok(_) => None,
            };
            match wrong {
                Some(why) => {
                    tampered = Some(AuditError::Tampered { number, why });
                    ControlFlow::Break(())
                }
                None => {
                    head = Head { entries: number, hash: hash_of(&record.body) };
                    ControlFlow::Continue(())
                }
            }
        });
        let problem = problems.map_err(unusable)?.first().map(ToString::to_string);
        let unreadable = problem.map(|why| AuditError::Tampered { number: head.entries + 1, why });
        tampered.or(unreadable).map_or(Ok(head), Err)
    }

    fn entries(&self, span: &Span, limit: usize) -> Result<Vec<Entry>, AuditError> {
        let mut entries = Vec::new();
        if limit == 0 {
            return Ok(entries);
        }
        // Each entry is a record, in its place: those before it need not be read.
        walk(&self.world, &self.directory, &self.keys, span.after, &mut |record| {
            if let Ok(entry) = Entry::verify(&record.body, &self.key)
                && span.has(&entry)
            {
                entries.push(entry);
            }
            if entries.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .map_err(unusable)?;
        Ok(entries)
    }
}

/// What is put into the log is bounded, and one line.
fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn hash_of(text: &[u8]) -> ContentHash {
    ContentHash(digest(&SHA256, text).as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

fn unusable(why: impl fmt::Display) -> AuditError {
    AuditError::Unusable(why.to_string())
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("head", &self.head()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
