//! Objects and arrays: the containers of a value, each of which knows how deeply it nests.

use std::cmp::Ordering;
use std::ops::Deref;

use crate::{Text, Value};

/// Entries that an object has room for once it has one.
const ENTRIES_AT_FIRST: usize = 8;

/// Values by name, in the order of their names. A lookup is a binary search; an insertion moves what comes after.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object {
    depth: u16,
    entries: Vec<(Text, Value)>,
}

impl Object {
    /// An object with nothing in it.
    pub const fn new() -> Object {
        Object { depth: 0, entries: Vec::new() }
    }

    /// The value of a name.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.find(key).ok().map(|at| &self.entries[at].1)
    }

    /// Whether a name has a value.
    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_ok()
    }

    /// Gives a name a value, and gives back the one it had.
    pub fn insert(&mut self, key: impl Into<Text>, value: Value) -> Option<Value> {
        let key = key.into();
        self.depth = self.depth.max(value.depth());
        match self.find(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.entries[at].1, value)),
            Err(at) => {
                if self.entries.is_empty() {
                    // One allocation for what most objects have.
                    self.entries.reserve(ENTRIES_AT_FIRST);
                }
                self.entries.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes a name out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.find(key).ok().map(|at| self.entries.remove(at).1)
    }

    /// Edits the value of a name in place; a name without one gets null first.
    pub(crate) fn edit<T>(&mut self, key: &str, edit: impl FnOnce(&mut Value) -> T) -> T {
        let at = self.find(key).unwrap_or_else(|at| {
            self.entries.insert(at, (key.into(), Value::Null));
            at
        });
        let done = edit(&mut self.entries[at].1);
        self.depth = self.depth.max(self.entries[at].1.depth());
        done
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Value)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// How many containers deep what it holds nests; an upper bound after something was removed.
    pub(crate) fn depth(&self) -> u16 {
        self.depth
    }

    /// From entries in any order; of two with one name the later one counts.
    pub(crate) fn from_entries(mut entries: Vec<(Text, Value)>) -> Object {
        if !entries.is_sorted_by(|(a, _), (b, _)| order(a, b) == Ordering::Less) {
            entries.sort_by(|(a, _), (b, _)| order(a, b));
            entries.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    std::mem::swap(later, kept);
                }
                same
            });
        }
        let depth = entries.iter().map(|(_, value)| value.depth()).max().unwrap_or(0);
        Object { depth, entries }
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(other, _)| order(other, key))
    }
}

/// The order of names. Most of them differ in their first byte, which is quicker to see than to call for.
fn order(a: &str, b: &str) -> Ordering {
    match (a.as_bytes().first(), b.as_bytes().first()) {
        (Some(first), Some(other)) if first != other => first.cmp(other),
        _ => a.cmp(b),
    }
}

impl FromIterator<(Text, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (Text, Value)>>(entries: I) -> Object {
        Object::from_entries(entries.into_iter().collect())
    }
}

impl IntoIterator for Object {
    type Item = (Text, Value);
    type IntoIter = std::vec::IntoIter<(Text, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// Values in order. It is read as a slice, and made from a vector.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Array {
    depth: u16,
    items: Vec<Value>,
}

impl Array {
    /// How many containers deep what it holds nests.
    pub(crate) fn depth(&self) -> u16 {
        self.depth
    }

    /// Appends a value.
    pub fn push(&mut self, value: Value) {
        self.depth = self.depth.max(value.depth());
        self.items.push(value);
    }

    /// Takes the value at an index out.
    ///
    /// # Panics
    /// When there is no such index, as that of a vector.
    pub(crate) fn remove(&mut self, index: usize) -> Value {
        self.items.remove(index)
    }

    /// Edits the value at an index, if there is one.
    pub(crate) fn edit<T>(&mut self, index: usize, edit: impl FnOnce(&mut Value) -> T) -> Option<T> {
        let item = self.items.get_mut(index)?;
        let done = edit(item);
        self.depth = self.depth.max(item.depth());
        Some(done)
    }

    /// The vector in it.
    pub fn into_vec(self) -> Vec<Value> {
        self.items
    }
}

impl Deref for Array {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.items
    }
}

impl From<Vec<Value>> for Array {
    fn from(items: Vec<Value>) -> Array {
        let depth = items.iter().map(Value::depth).max().unwrap_or(0);
        Array { depth, items }
    }
}
