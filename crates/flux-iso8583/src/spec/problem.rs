//! What is wrong with a spec file: every problem at once, each with its code, its place and what to do.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::limits::PROBLEMS_MAX;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal $severity:ident,)+) => {
        /// A kind of problem in a spec file; stable once released, one page each in `docs/errors`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code, in order of number.
            pub const ALL: &[Code] = &[$(Code::$name,)+];

            /// The four digits after `FR`.
            pub fn number(self) -> u16 {
                match self { $(Code::$name => $number,)+ }
            }

            /// How bad it is; the same each time.
            pub fn severity(self) -> Severity {
                match self { $(Code::$name => Severity::$severity,)+ }
            }
        }
    };
}

codes! {
    /// The YAML cannot be read.
    Syntax = 801 Error,
    /// The file is longer, deeper or fuller than allowed.
    TooLarge = 802 Error,
    /// A key is written twice in one map.
    DuplicateKey = 803 Error,
    /// A key means nothing here.
    UnknownKey = 804 Error,
    /// A key that must be there is not.
    MissingKey = 805 Error,
    /// A map, list, text or number stands where something else belongs.
    WrongShape = 806 Error,
    /// A word is none of those allowed.
    UnknownWord = 807 Error,
    /// A number is outside its range.
    OutOfRange = 808 Error,
    /// A spec that this one builds on cannot be loaded.
    MissingBase = 809 Error,
    /// Specs build on one another in a circle or too deep.
    BaseCycle = 810 Error,
    /// Type, encoding, prefix and length of a field do not go together.
    Inconsistent = 811 Error,
    /// Two parts claim the same place, tag, bit or name.
    PartClash = 812 Error,
    /// An alias is taken, reserved or not a path.
    BadAlias = 813 Error,
    /// Classified data is declared unmasked.
    Unmasked = 814 Error,
    /// A key belongs to the other layer of the spec.
    WrongLayer = 815 Error,
    /// Something is described that the wire layer does not define.
    NotOnWire = 816 Warning,
    /// A construct this version does not support.
    Unsupported = 817 Error,
    /// A setting has no effect.
    NoEffect = 818 Warning,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FR{:04}", self.number())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The spec cannot be used.
    Error,
    /// It can, and probably not as meant.
    Warning,
}

/// One problem. As JSON it is `{"code","severity","file","line","column","message","help"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind of problem.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was named when it was loaded.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { code, file, line, column, message, .. } = self;
        write!(f, "{file}:{line}:{column}: {code}: {message}")?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// Every problem of a spec and of those it builds on, file by file and line by line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The problems.
    pub problems: Vec<Problem>,
    /// How many more there were than a report keeps.
    pub left_out: usize,
}

impl Report {
    pub(crate) fn push(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.left_out += 1;
        }
    }

    /// Puts the problems in the order of `files`, lines and columns.
    pub(crate) fn sort(&mut self, files: &[String]) {
        let file = |problem: &Problem| files.iter().position(|file| *file == problem.file);
        self.problems.sort_by_key(|problem| (file(problem), problem.line, problem.column));
    }

    /// Whether any of them keeps the spec from being used.
    pub fn has_errors(&self) -> bool {
        self.left_out > 0 || self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Report {}
