//! Everything has a limit, and the limit has a name.

/// What one run of a mapping may use. Past a limit the run fails, and no `catch` of the mapping sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Steps of the evaluator: one for each expression evaluated, and one for each 64 bytes a method reads or writes.
    pub steps_max: u64,
    /// Bytes that all values made in the run take together, those that were dropped again included.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { steps_max: 20_000_000, bytes_max: 256 << 20 }
    }
}

/// How deep the tree of an expression may be, a chain of methods or operators counted by its links.
pub(crate) const TREE_DEPTH_MAX: u16 = 256;

/// How deeply brackets and blocks may nest in a source.
pub(crate) const BRACKETS_MAX: usize = 64;

/// How deeply evaluations may nest at run time: maps that apply themselves, within expressions.
pub(crate) const EVALUATION_DEPTH_MAX: usize = 800;

/// How deeply a value may nest.
pub(crate) const VALUE_DEPTH_MAX: u16 = 512;

/// Bytes of a source, imports not counted.
pub(crate) const SOURCE_BYTES_MAX: usize = 1 << 20;

/// Problems of a source that are told; more would not be read.
pub(crate) const PROBLEMS_MAX: usize = 20;

/// Files that a mapping may import, directly or not.
pub(crate) const IMPORTS_MAX: usize = 64;

/// Bytes that a compiled regular expression may take.
pub(crate) const REGEX_BYTES_MAX: usize = 4 << 20;
