//! The only door to the world: clock, chance, the machine's name, and, where they are allowed, variables and files.

use std::path::{Path, PathBuf};

use jiff::{Timestamp, tz::TimeZone};

/// What a mapping may ask of the world. Everything has an answer here, so that a test or a simulation gives its own.
pub trait Host: Send + Sync {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Fills bytes with chance that nobody can guess.
    fn fill(&self, bytes: &mut [u8]);

    /// The zone of times that name none.
    fn time_zone(&self) -> TimeZone {
        TimeZone::UTC
    }

    /// The name of the machine.
    fn hostname(&self) -> Result<String, Refusal> {
        Err(Refusal::new("the name of the machine is not given to mappings"))
    }

    /// An environment variable, if it is set.
    fn variable(&self, name: &str) -> Result<Option<String>, Refusal> {
        let _ = name;
        Err(Refusal::new("environment variables are not given to mappings"))
    }

    /// The content of a file of at most `bytes_max` bytes.
    fn file(&self, path: &Path, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
        let _ = (path, bytes_max);
        Err(Refusal::new("files are not given to mappings"))
    }
}

/// Why the world did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    /// A reason, in lower case and without a full stop.
    pub fn new(why: impl Into<String>) -> Refusal {
        Refusal(why.into())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// The machine this runs on. Variables and files are closed until they are allowed.
#[derive(Debug, Clone, Default)]
pub struct System {
    has_variables: bool,
    has_files: bool,
}

impl System {
    /// With clock and chance, and nothing else.
    pub fn new() -> System {
        System::default()
    }

    /// With environment variables.
    pub fn allow_variables(mut self) -> System {
        self.has_variables = true;
        self
    }

    /// With files, for `file`, `file_rel`, `import` and `from`.
    pub fn allow_files(mut self) -> System {
        self.has_files = true;
        self
    }
}

impl Host for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has entropy");
    }

    fn time_zone(&self) -> TimeZone {
        TimeZone::system()
    }

    fn hostname(&self) -> Result<String, Refusal> {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
        name.map(|name| name.trim().to_owned()).map_err(|error| Refusal::new(error.to_string()))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door itself, and it is closed until allowed")]
    fn variable(&self, name: &str) -> Result<Option<String>, Refusal> {
        if !self.has_variables {
            return Err(Refusal::new("environment variables are not allowed to this mapping"));
        }
        Ok(std::env::var(name).ok())
    }

    fn file(&self, path: &Path, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
        use std::io::Read;

        if !self.has_files {
            return Err(Refusal::new("files are not allowed to this mapping"));
        }
        let mut bytes = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        let read = std::fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
        match read {
            Ok(length) if length > bytes_max => {
                Err(Refusal::new(format!("the file has over {bytes_max} bytes")))
            }
            Ok(_) => Ok(bytes),
            Err(error) => Err(Refusal::new(error.to_string())),
        }
    }
}

/// A path as it is seen from a directory.
pub(crate) fn beside(directory: &Path, path: &str) -> PathBuf {
    directory.join(path)
}
