//! Looks through the journal of dead letters, beside a rack that writes it or without one. Changes nothing.

use std::{collections::HashSet, ops::ControlFlow, path::Path};

use flux_gear::{Bytes, FluxId, FluxMsg, keys};
use flux_journal::{FormatError, OpenError, walk};
use flux_signal::{
    Limits,
    cbor::{self, DecodeError, Strictness},
};
use flux_world::World;
use serde::{Deserialize, Serialize};

use super::{
    DIRECTORY,
    record::{self, LetterView, Record},
};
use crate::{custody::JournalError, storage};

/// What was accepted once is not refused on the way back.
const NO_LIMITS: Limits = Limits { hops_max: u16::MAX, message_bytes_max: usize::MAX };

/// Which letters are meant: those that all of it holds for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Of this gear.
    pub gear: Option<String>,
    /// At this port.
    pub port: Option<String>,
    /// For this reason.
    pub reason: Option<String>,
    /// Given up at this time or later, in nanoseconds since the Unix epoch.
    pub since_unix_ns: Option<i64>,
    /// Given up before this time.
    pub until_unix_ns: Option<i64>,
    /// Of the messages with these ids, 32 hexadecimal digits each; empty: of all.
    pub ids: Vec<String>,
}

/// A letter as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its place in the journal, by which it is known there.
    pub sequence: u64,
    /// The id of its message.
    pub id: FluxId,
    /// The gear that could not process or deliver it.
    pub gear: String,
    /// The port it came in by, or was to leave by.
    pub port: String,
    /// One stable word.
    pub reason: String,
    /// What went wrong, without payload.
    pub error: String,
    /// How often it was tried, replays counted.
    pub attempts: u32,
    /// When it was first given up, in nanoseconds since the Unix epoch.
    pub first_unix_ns: i64,
    /// When it was given up last.
    pub unix_ns: i64,
    /// The message in CBOR.
    msg: Bytes,
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Searched {
    /// Letters that match, oldest first, up to the limit.
    pub letters: Vec<Letter>,
    /// Letters that match.
    pub matching: u64,
    /// Letters there are.
    pub total: u64,
    /// What could not be read.
    pub problems: Vec<FormatError>,
}

impl Letter {
    /// Its message.
    pub fn message(&self) -> Result<FluxMsg, DecodeError> {
        cbor::decode(&self.msg, Strictness::Lenient, &NO_LIMITS)
    }

    /// Length of its payload, as far as it can be told.
    pub fn payload_bytes(&self) -> usize {
        cbor::peek(&self.msg).map_or(self.msg.len(), |header| header.payload_bytes)
    }

    /// Its message as it is to be tried again: it says how often it was tried, and begins its way anew.
    pub(crate) fn again(&self, mut msg: FluxMsg) -> FluxMsg {
        msg.metadata.set(keys::ERROR_ATTEMPTS, self.attempts.to_string());
        msg.metadata.set(keys::ERROR_FIRST, self.first_unix_ns.to_string());
        msg.set_hops(0, Vec::new());
        msg
    }

    fn new(sequence: u64, view: &LetterView<'_>, body: &Bytes) -> Letter {
        Letter {
            sequence,
            id: view.id,
            gear: view.gear.to_owned(),
            port: view.port.to_owned(),
            reason: view.reason.to_owned(),
            error: view.error.to_owned(),
            attempts: view.attempts,
            first_unix_ns: view.first_unix_ns,
            unix_ns: view.unix_ns,
            msg: body.slice_ref(view.msg),
        }
    }
}

/// Letters of a state directory that match, and of those the first `limit`. Blocks. Where no letter was ever kept, there is
/// none.
pub fn search(
    world: &World,
    state_dir: &Path,
    filter: &Filter,
    limit: usize,
) -> Result<Searched, JournalError> {
    let directory = state_dir.join(DIRECTORY);
    if !world.disk.exists(&directory) {
        return Ok(Searched::default());
    }
    let keys = storage::keys::given(&world.disk, state_dir).map_err(JournalError::Keys)?;
    let (mut search, filter) = (Search::new(limit), Wanted::new(filter));
    let walked = walk(world, &directory, &keys, 0, &mut |record| {
        search.first = search.first.min(record.sequence);
        search.see(record.sequence, &record.body, &filter);
        ControlFlow::Continue(())
    });
    let opened = walked.and_then(|problems| {
        // What was found first may be gone; then the next ones take its place.
        let missing = search.drop_gone();
        if let Some(from) = missing {
            walk(world, &directory, &keys, from, &mut |record| {
                search.fill(record.sequence, &record.body, &filter)
            })?;
        }
        Ok(problems)
    });
    match opened {
        Ok(problems) => Ok(search.into_searched(problems)),
        Err(source) if is_empty(&source) => Ok(Searched::default()),
        Err(source) => Err(JournalError::Open { source, directory }),
    }
}

/// Whether the directory of the journal has no segment yet.
fn is_empty(error: &OpenError) -> bool {
    matches!(error, OpenError::Format(FormatError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound)
}

/// A search under way.
struct Search {
    limit: usize,
    letters: Vec<Letter>,
    /// The first record there is.
    first: u64,
    total: u64,
    matching: Vec<u64>,
    gone: HashSet<u64>,
}

impl Search {
    fn new(limit: usize) -> Search {
        let (letters, matching, gone) = (Vec::new(), Vec::new(), HashSet::new());
        Search { limit, letters, first: u64::MAX, total: 0, matching, gone }
    }

    fn see(&mut self, sequence: u64, body: &Bytes, wanted: &Wanted<'_>) {
        match record::read(body) {
            Some(Record::Letter(view)) => {
                self.total += 1;
                if wanted.has(&view) {
                    self.matching.push(sequence);
                    if self.letters.len() < self.limit {
                        self.letters.push(Letter::new(sequence, &view, body));
                    }
                }
            }
            // Of a letter whose record is trimmed nothing is left to be taken away.
            Some(Record::Gone(sequences)) => {
                self.gone.extend(sequences.iter().filter(|gone| *gone >= self.first));
            }
            Some(Record::Again(_)) | None => {}
        }
    }

    /// Takes away what is gone. Where to go on when there is room for more, and there are more.
    fn drop_gone(&mut self) -> Option<u64> {
        self.total = self.total.saturating_sub(self.gone.len() as u64);
        self.matching.retain(|sequence| !self.gone.contains(sequence));
        let behind = self.letters.last().map(|last| last.sequence + 1)?;
        self.letters.retain(|letter| !self.gone.contains(&letter.sequence));
        (self.letters.len() < self.limit.min(self.matching.len())).then_some(behind)
    }

    fn fill(&mut self, sequence: u64, body: &Bytes, wanted: &Wanted<'_>) -> ControlFlow<()> {
        if let Some(Record::Letter(view)) = record::read(body)
            && wanted.has(&view)
            && !self.gone.contains(&sequence)
        {
            self.letters.push(Letter::new(sequence, &view, body));
        }
        if self.letters.len() < self.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn into_searched(self, problems: Vec<FormatError>) -> Searched {
        let matching = self.matching.len() as u64;
        Searched { letters: self.letters, matching, total: self.total, problems }
    }
}

/// A filter as it is asked a million times.
struct Wanted<'f> {
    filter: &'f Filter,
    /// `None` for all.
    ids: Option<HashSet<FluxId>>,
}

impl<'f> Wanted<'f> {
    /// An id that is none matches nothing.
    fn new(filter: &'f Filter) -> Wanted<'f> {
        let ids = || filter.ids.iter().filter_map(|id| id.parse().ok()).collect();
        Wanted { filter, ids: (!filter.ids.is_empty()).then(ids) }
    }

    fn has(&self, letter: &LetterView<'_>) -> bool {
        let Filter { gear, port, reason, since_unix_ns, until_unix_ns, ids: _ } = self.filter;
        let is = |wanted: &Option<String>, text| wanted.as_ref().is_none_or(|wanted| wanted == text);
        is(gear, letter.gear)
            && is(port, letter.port)
            && is(reason, letter.reason)
            && since_unix_ns.is_none_or(|since| letter.unix_ns >= since)
            && until_unix_ns.is_none_or(|until| letter.unix_ns < until)
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&letter.id))
    }
}
