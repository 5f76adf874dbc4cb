//! What can be wrong with a journal, in the words of whoever must act on it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A file of a journal is not what it should be. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// It is a link, a pipe or a directory.
    #[error("{} is no file as such, but a link, a pipe or a directory, and is not followed: put the file itself there", file.display())]
    NoFile {
        /// What has the name of a file.
        file: PathBuf,
    },
    /// It does not begin as a segment does.
    #[error("{} is not a segment of a journal: it does not begin with FLUXJRNL (offset 0)", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// A newer program wrote it.
    #[error("{} has format version {version} (offset 8) and this program reads version 1: use the newer program, or move the journal away", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// The version it names.
        version: u16,
    },
    /// Its header's check does not hold, or it is cut short.
    #[error("{} has a damaged segment header (offset 0): restore the file, or let `repair` move it aside", file.display())]
    Header {
        /// The file.
        file: PathBuf,
    },
    /// It has another segment's name.
    #[error("{} holds segment {id:016x} (offset 16): it was renamed", file.display())]
    Renamed {
        /// The file.
        file: PathBuf,
        /// The segment its header names.
        id: u64,
    },
    /// Segments before it are not there.
    #[error("{} begins at record {base_sequence} of segment {id:016x} (offset 24), and does not follow the segment before it: a file is missing", file.display())]
    Missing {
        /// The file after the hole.
        file: PathBuf,
        /// Its segment.
        id: u64,
        /// Its first record.
        base_sequence: u64,
    },
    /// It is not there, at the begin or the end of the journal.
    #[error("{} is missing{}, as the file ROLL beside it tells: restore what is missing, or let `repair` go on without it", file.display(), others(*files))]
    Gone {
        /// The oldest that is missing.
        file: PathBuf,
        /// How many are, this one counted.
        files: u64,
    },
    /// The roll of the segments is not one.
    #[error("{} is damaged (offset 0), so that a missing segment would not be missed: restore the file, or let `repair` make it anew", file.display())]
    Roll {
        /// The file.
        file: PathBuf,
    },
    /// There is no roll of the segments, and there was one.
    #[error("{} is missing, so that a missing segment would not be missed: restore the file, or let `repair` make it anew", file.display())]
    RollGone {
        /// The file.
        file: PathBuf,
    },
    /// It is sealed with a key that is not at hand.
    #[error("{} is sealed with key {key_id} (offset 12), which is not among the keys given", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// The key it names.
        key_id: u32,
    },
    /// It is sealed with another key than the one given.
    #[error("{}: key {key_id} (offset 12) is not the key this was sealed with, but another of the same id; nothing is damaged: put the right one in its place", file.display())]
    OtherKey {
        /// The file.
        file: PathBuf,
        /// The key it names.
        key_id: u32,
    },
    /// Records in it are damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// It cannot be read.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file or directory.
        file: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

impl FormatError {
    /// Whether it is about which segments there are, and not about one that is there.
    pub(crate) fn is_of_the_roll(&self) -> bool {
        matches!(self, FormatError::Gone { .. } | FormatError::Roll { .. } | FormatError::RollGone { .. })
    }
}

fn others(files: u64) -> String {
    match files {
        1 => String::new(),
        2 => ", and so is the segment after it".to_owned(),
        files => format!(", and so are the {} segments after it", files - 1),
    }
}

/// A stretch of a segment that does not hold what was written there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged at offset {offset}: {kind} ({}); {}", file.display(), self.extent(), self.remedy())]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// The first record it takes away.
    pub first: u64,
    /// How many records it takes away; 0 when only a cursor is lost.
    pub records: u64,
    /// What is wrong.
    pub kind: DamageKind,
}

impl Damage {
    /// What helps. A repair knows no keys, and touches nothing that only a key tells from what was written.
    fn remedy(&self) -> &'static str {
        match self.kind {
            DamageKind::Seal => "restore the file, or the key if it is another",
            DamageKind::Head | DamageKind::Body | DamageKind::Hole | DamageKind::Time => {
                "`repair` moves it aside"
            }
        }
    }

    fn extent(&self) -> String {
        match self.records {
            0 => format!("before record {}, none is lost", self.first),
            1 => format!("record {}", self.first),
            records => format!("records {} to {}", self.first, self.first + records - 1),
        }
    }
}

/// What is wrong with a stretch of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamageKind {
    /// The check of a record's head does not hold: nothing is known of what follows up to the next record.
    Head,
    /// The check of a record's body does not hold.
    Body,
    /// The seal of a body does not open: the wrong key, or changed on purpose.
    Seal,
    /// Records that should be here are not.
    Hole,
    /// A record is older than the one before it.
    Time,
}

impl fmt::Display for DamageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DamageKind::Head => "the check of a record's head does not hold",
            DamageKind::Body => "the check of a record's body does not hold",
            DamageKind::Seal => "the seal of a record does not open",
            DamageKind::Hole => "records are missing",
            DamageKind::Time => "a record is older than the one before it",
        })
    }
}

/// Why a journal was not opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or this one, has it open.
    #[error("the journal {} is in use by another process", directory.display())]
    InUse {
        /// The journal.
        directory: PathBuf,
    },
    /// The settings contradict themselves.
    #[error("a journal cannot be opened with {setting}: {reason}")]
    Config {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is not what it should be.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Why a record was not taken, or why it is not known to be safe.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// There was no room until the deadline. Nothing was taken.
    #[error("no room after {:.1} s: {full}", waited.as_secs_f32())]
    Full {
        /// What is full.
        full: Full,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A record or a batch is longer than a journal takes. Nothing was taken.
    #[error("{bytes} bytes are more than the {bytes_max} a record or a batch may have")]
    TooLong {
        /// What it would take on disk.
        bytes: usize,
        /// What it may take.
        bytes_max: usize,
    },
    /// The journal failed before; what is on disk after a failed sync is known only after reopening it.
    #[error("the journal {} failed and must be reopened: {reason}", directory.display())]
    Failed {
        /// The journal.
        directory: PathBuf,
        /// What failed.
        reason: String,
    },
    /// The journal was closed.
    #[error("the journal was closed")]
    Closed,
}

/// Why a journal takes no more for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// What waits to be written has reached `gather_bytes_max`.
    Gather,
    /// The journal has reached `bytes_max`.
    Journal {
        /// That limit.
        bytes_max: u64,
    },
    /// The file system has no space left.
    Disk,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Full::Gather => {
                f.write_str("the disk does not keep up: send less, or find out what slows it down")
            }
            Full::Journal { bytes_max } => {
                write!(
                    f,
                    "the journal holds its {bytes_max} bytes: let its consumers catch up, or raise `bytes_max`"
                )
            }
            Full::Disk => f.write_str("the disk is full: free space on it; writing goes on by itself"),
        }
    }
}

/// Why a consumer gets nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The next records are damaged and not served. [`Consumer::skip_damage`](crate::Consumer::skip_damage) goes on behind
    /// them, as does a repair.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The journal was closed or failed, and all before was read.
    #[error("the journal was closed")]
    Closed,
}

/// Why a consumer was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// Its name is empty or too long.
    #[error("a consumer's name has 1 to 64 bytes")]
    Name,
    /// A consumer of that name is in use.
    #[error("the consumer `{name}` is in use")]
    InUse {
        /// The name.
        name: String,
    },
    /// The journal has as many as it may.
    #[error("a journal has at most 64 consumers")]
    TooMany,
}
