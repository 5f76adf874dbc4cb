//! Objects and arrays: the containers of a value, each of which knows how deep and how heavy it is.
//!
//! Containers are shared, so a few of them can stand for a tree of any size. What walks a tree is bounded by its weight,
//! which counts a part as often as it is met.

use std::cmp::Ordering;
use std::ops::Deref;

use crate::{Text, Value};

/// Entries that an object has room for once it has one.
const ENTRIES_AT_FIRST: usize = 8;

/// Values by name, in the order of their names. A lookup is a binary search; an insertion moves what comes after.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object {
    depth: u16,
    weight: usize,
    entries: Vec<(Text, Value)>,
}

impl Object {
    /// An object with nothing in it.
    pub const fn new() -> Object {
        Object { depth: 0, weight: 0, entries: Vec::new() }
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
        self.weight = self.weight.saturating_add(value.weight());
        match self.find(&key) {
            Ok(at) => {
                let before = std::mem::replace(&mut self.entries[at].1, value);
                self.weight = self.weight.saturating_sub(before.weight());
                Some(before)
            }
            Err(at) => {
                if self.entries.is_empty() {
                    // One allocation for what most objects have.
                    self.entries.reserve(ENTRIES_AT_FIRST);
                }
                self.weight = self.weight.saturating_add(key.len());
                self.entries.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes a name out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.find(key).ok()?;
        let (key, value) = self.entries.remove(at);
        self.weight = self.weight.saturating_sub(key.len().saturating_add(value.weight()));
        Some(value)
    }

    /// Edits the value of a name in place; a name without one gets null first.
    pub(crate) fn edit<T>(&mut self, key: &str, edit: impl FnOnce(&mut Value) -> T) -> T {
        let at = self.find(key).unwrap_or_else(|at| {
            self.entries.insert(at, (key.into(), Value::Null));
            self.weight = self.weight.saturating_add(key.len() + Value::Null.weight());
            at
        });
        let value = &mut self.entries[at].1;
        let before = value.weight();
        let done = edit(value);
        self.depth = self.depth.max(value.depth());
        self.weight = self.weight.saturating_sub(before).saturating_add(value.weight());
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

    /// About how many bytes it takes when nothing is shared.
    pub(crate) fn weight(&self) -> usize {
        self.weight
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
        let weights = entries.iter().map(|(key, value)| key.len().saturating_add(value.weight()));
        let weight = weights.fold(0, usize::saturating_add);
        Object { depth, weight, entries }
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
    weight: usize,
    items: Vec<Value>,
}

impl Array {
    /// How many containers deep what it holds nests.
    pub(crate) fn depth(&self) -> u16 {
        self.depth
    }

    /// About how many bytes it takes when nothing is shared.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// Appends a value.
    pub fn push(&mut self, value: Value) {
        self.depth = self.depth.max(value.depth());
        self.weight = self.weight.saturating_add(value.weight());
        self.items.push(value);
    }

    /// Takes the value at an index out.
    ///
    /// # Panics
    /// When there is no such index, as that of a vector.
    pub(crate) fn remove(&mut self, index: usize) -> Value {
        let value = self.items.remove(index);
        self.weight = self.weight.saturating_sub(value.weight());
        value
    }

    /// Edits the value at an index, if there is one.
    pub(crate) fn edit<T>(&mut self, index: usize, edit: impl FnOnce(&mut Value) -> T) -> Option<T> {
        let item = self.items.get_mut(index)?;
        let before = item.weight();
        let done = edit(item);
        self.depth = self.depth.max(item.depth());
        self.weight = self.weight.saturating_sub(before).saturating_add(item.weight());
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
        let weight = items.iter().map(Value::weight).fold(0, usize::saturating_add);
        Array { depth, weight, items }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: &str) -> Object {
        Value::from_json(json.as_bytes()).unwrap().as_object().unwrap().clone()
    }

    #[test]
    fn the_weight_is_kept() {
        let mut edited = object(r#"{"a":[1,"text"],"b":{"c":null}}"#);
        edited.insert("d", Value::text("new"));
        edited.insert("a", Value::Null);
        edited.edit("b", |b| crate::path::set(b, &["c".into(), "x".into()], Value::Int(1)).unwrap());
        edited.edit("e", |e| *e = Value::array(vec![Value::Int(1)]));
        edited.remove("d");
        assert_eq!(edited, object(r#"{"a":null,"b":{"c":{"x":1}},"e":[1]}"#));
        let mut array = Array::from(vec![Value::Int(1), Value::text("text")]);
        array.push(Value::Null);
        array.edit(0, |first| *first = Value::text("longer"));
        array.remove(1);
        assert_eq!(array, Array::from(vec![Value::text("longer"), Value::Null]));
    }
}
