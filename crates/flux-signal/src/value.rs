//! Structured data: a tree of values, its maps in canonical key order, read and edited by dotted path.

use bytes::Bytes;

use crate::{NESTING_MAX, PathError, Text};

/// One datum. The variants are those of CBOR (RFC 8949 section 2), so that a round trip loses nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer that no `i64` holds; build it with [`Value::integer`].
    Wide(Box<i128>),
    /// An IEEE 754 double.
    Float(f64),
    /// UTF-8 text.
    Text(Text),
    /// A byte string, shared with the frame it was cut from.
    Bytes(Bytes),
    /// Values in order.
    List(Vec<Value>),
    /// Values by name.
    Map(Map),
    /// A tagged value (RFC 8949 section 3.4) that has no variant of its own.
    Tag(Box<(u64, Value)>),
    /// A simple value that has no variant of its own.
    Simple(Simple),
}

/// A simple value of CBOR (RFC 8949 section 3.3) other than the truth values and null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Simple(u8);

impl Simple {
    /// The value `undefined`.
    pub const UNDEFINED: Simple = Simple(23);

    /// A simple value by number; not 20 to 22, which are variants of [`Value`], nor 24 to 31, which do not exist.
    pub fn new(number: u8) -> Option<Simple> {
        (!matches!(number, 20..=22 | 24..=31)).then_some(Simple(number))
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl Value {
    /// The integer in its smallest variant.
    pub fn integer(n: i128) -> Value {
        match i64::try_from(n) {
            Ok(n) => Value::Int(n),
            Err(_) => Value::Wide(Box::new(n)),
        }
    }

    /// Text, if that is what it is.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An integer, if it is one and fits.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            _ => None,
        }
    }

    /// A map, if that is what it is.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Reads the value at a dotted path. A map key that contains the dots itself wins over nesting; a number
    /// indexes a list; the empty path is the value itself.
    pub fn get(&self, path: &str) -> Option<&Value> {
        if path.is_empty() {
            return Some(self);
        }
        if let Value::Map(map) = self
            && let Some(found) = map.get(path)
        {
            return Some(found);
        }
        let (head, rest) = split(path);
        match self {
            Value::Map(map) => map.get(head)?.get_rest(rest),
            Value::List(list) => list.get(head.parse::<usize>().ok()?)?.get_rest(rest),
            Value::Tag(tagged) => tagged.1.get(path),
            _ => None,
        }
    }

    fn get_rest(&self, rest: Option<&str>) -> Option<&Value> {
        match rest {
            Some(rest) => self.get(rest),
            None => Some(self),
        }
    }

    /// Writes the value at a dotted path and makes the maps on the way. A scalar in the way is a [`PathError`], and
    /// nothing is changed; so is a list index past the end (one past the end appends), and a tree that would nest
    /// deeper than [`NESTING_MAX`].
    pub fn set(&mut self, path: &str, value: Value) -> Result<(), PathError> {
        self.set_within(NESTING_MAX, path, value).map_err(|why| PathError::new(path, why.to_string()))
    }

    /// [`Value::set`] with `room` for that many levels, this one included.
    fn set_within(&mut self, room: usize, path: &str, value: Value) -> Result<(), InTheWay> {
        if path.is_empty() {
            if !value.nests_within(room) {
                return Err(InTheWay::Depth);
            }
            *self = value;
            return Ok(());
        }
        let inner = room.checked_sub(1).ok_or(InTheWay::Depth)?;
        let (head, rest) = split(path);
        match self {
            Value::Null => {
                let mut map = Map::new();
                map.insert(head, nested(inner, rest, value)?);
                *self = Value::Map(map);
                Ok(())
            }
            Value::Map(map) => {
                if let Some(found) = map.get_mut(path) {
                    return found.set_within(inner, "", value);
                }
                match (map.get_mut(head), rest) {
                    (Some(child), Some(rest)) => child.set_within(inner, rest, value),
                    _ => {
                        map.insert(head, nested(inner, rest, value)?);
                        Ok(())
                    }
                }
            }
            Value::List(list) => match head.parse::<usize>() {
                Ok(index) if index < list.len() => list[index].set_within(inner, rest.unwrap_or(""), value),
                Ok(index) if index == list.len() => {
                    list.push(nested(inner, rest, value)?);
                    Ok(())
                }
                _ => Err(InTheWay::Index { segment: head.into(), len: list.len() }),
            },
            Value::Tag(tagged) => tagged.1.set_within(inner, path, value),
            _ => Err(InTheWay::Scalar { segment: head.into() }),
        }
    }

    /// Whether at most `room` levels of lists, maps and tags are nested here. Walks no deeper than that.
    fn nests_within(&self, room: usize) -> bool {
        let fits = |inner: &Value| room > 0 && inner.nests_within(room - 1);
        match self {
            Value::List(list) => room > 0 && list.iter().all(fits),
            Value::Map(map) => room > 0 && map.iter().all(|(_, value)| fits(value)),
            Value::Tag(tagged) => fits(&tagged.1),
            _ => true,
        }
    }

    /// Removes what is at a dotted path and returns it. Removing the empty path leaves `Null`.
    pub fn delete(&mut self, path: &str) -> Option<Value> {
        if path.is_empty() {
            return Some(std::mem::take(self));
        }
        let (head, rest) = split(path);
        match self {
            Value::Map(map) => match (map.remove(path), rest) {
                (Some(found), _) => Some(found),
                (None, Some(rest)) => map.get_mut(head)?.delete(rest),
                (None, None) => map.remove(head),
            },
            Value::List(list) => {
                let index = head.parse::<usize>().ok()?;
                match rest {
                    Some(rest) => list.get_mut(index)?.delete(rest),
                    None => (index < list.len()).then(|| list.remove(index)),
                }
            }
            Value::Tag(tagged) => tagged.1.delete(path),
            _ => None,
        }
    }

    /// Bytes of content, nested keys and values included. Every value counts eight for itself, so that no tree is
    /// free: the tree takes a small multiple of this in memory.
    pub fn weight_bytes(&self) -> usize {
        match self {
            Value::Text(text) => 8 + text.len(),
            Value::Bytes(bytes) => 8 + bytes.len(),
            Value::List(list) => 8 + list.iter().map(Value::weight_bytes).sum::<usize>(),
            Value::Map(map) => 8 + map.iter().map(|(k, v)| k.len() + v.weight_bytes()).sum::<usize>(),
            Value::Tag(tagged) => 8 + tagged.1.weight_bytes(),
            Value::Wide(_) => 16,
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Simple(_) => 8,
        }
    }
}

/// The first segment of a path and what follows it. A dot at the end is nothing: `a.` is the whole of `a`.
fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('.') {
        Some((head, "")) => (head, None),
        Some((head, rest)) => (head, Some(rest)),
        None => (path, None),
    }
}

/// `value` wrapped in one map per segment of `rest`, if that nests within `room`.
fn nested(room: usize, rest: Option<&str>, value: Value) -> Result<Value, InTheWay> {
    let rest = rest.map(|rest| rest.strip_suffix('.').unwrap_or(rest));
    let segments = rest.map_or(0, |rest| rest.split('.').count());
    let room = room.checked_sub(segments).ok_or(InTheWay::Depth)?;
    if !value.nests_within(room) {
        return Err(InTheWay::Depth);
    }
    Ok(rest.into_iter().flat_map(|rest| rest.rsplit('.')).fold(value, |inner, key| {
        let mut map = Map::new();
        map.insert(key, inner);
        Value::Map(map)
    }))
}

/// Why a path cannot be written.
#[derive(Debug, thiserror::Error)]
enum InTheWay {
    #[error("a scalar is in the way of `{segment}`")]
    Scalar { segment: Text },
    #[error("`{segment}` is no index up to the length of the list there, {len}")]
    Index { segment: Text, len: usize },
    #[error("it would nest deeper than {NESTING_MAX} levels")]
    Depth,
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Value {
        Value::Int(n)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Value {
        Value::Bool(b)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Value {
        Value::Map(map)
    }
}

/// Values by name, kept in the canonical key order of RFC 8949 section 4.2.1: a shorter key first, then bytewise.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map(Vec<(Text, Value)>);

impl Map {
    /// No entries.
    pub fn new() -> Map {
        Map::default()
    }

    /// The entries in any order; of two with one key the later wins. Sorts once: `O(n log n)`.
    pub fn from_entries(mut entries: Vec<(Text, Value)>) -> Map {
        entries.sort_by(|(a, _), (b, _)| canonical(a, b));
        entries.dedup_by(later_wins);
        Map(entries)
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.find(key).ok().map(|i| &self.0[i].1)
    }

    /// The value under `key`, to be edited.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.find(key).ok().map(|i| &mut self.0[i].1)
    }

    /// Puts `value` under `key`; returns what was there.
    pub fn insert(&mut self, key: &str, value: Value) -> Option<Value> {
        match self.find(key) {
            Ok(i) => Some(std::mem::replace(&mut self.0[i].1, value)),
            Err(i) => {
                self.0.insert(i, (key.into(), value));
                None
            }
        }
    }

    /// Takes out what is under `key`.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.find(key).ok().map(|i| self.0.remove(i).1)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries in canonical order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(k, _)| canonical(k, key))
    }
}

/// Canonical order of text keys: their CBOR heads sort shorter keys first.
pub(crate) fn canonical(
    a: &(impl AsRef<[u8]> + ?Sized),
    b: &(impl AsRef<[u8]> + ?Sized),
) -> std::cmp::Ordering {
    let (a, b) = (a.as_ref(), b.as_ref());
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Drops the second of two neighbours under one key, after moving its value to the first: for `dedup_by`.
pub(crate) fn later_wins<T>(later: &mut (Text, T), earlier: &mut (Text, T)) -> bool {
    let same = later.0 == earlier.0;
    if same {
        std::mem::swap(later, earlier);
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_makes_the_maps_on_the_way_and_get_finds_them() {
        let mut value = Value::Null;
        value.set("iso8583.field.2", "4111".into()).unwrap();
        value.set("iso8583.field.11", Value::Int(7)).unwrap();
        assert_eq!(value.get("iso8583.field.2").and_then(Value::as_text), Some("4111"));
        assert_eq!(value.get("iso8583.field").and_then(Value::as_map).map(Map::len), Some(2));
        assert_eq!(value.get("iso8583.field.3"), None);
        assert_eq!(value.delete("iso8583.field.2"), Some("4111".into()));
        assert_eq!(value.get("iso8583.field.2"), None);
    }

    #[test]
    fn a_key_with_dots_wins_over_nesting() {
        let mut map = Map::new();
        map.insert("iso8583.unknown_tags", "x".into());
        let mut value = Value::Map(map);
        assert_eq!(value.get("iso8583.unknown_tags").and_then(Value::as_text), Some("x"));
        value.set("iso8583.unknown_tags", "y".into()).unwrap();
        assert_eq!(value.as_map().map(Map::len), Some(1));
    }

    #[test]
    fn what_is_in_the_way_is_refused_with_the_whole_path_and_nothing_changes() {
        let mut value = Value::Null;
        value.set("a.b", Value::Int(1)).unwrap();
        value.set("list", Value::List(vec![Value::Null])).unwrap();
        let before = value.clone();
        let mut check = |path: &str, want: &str| {
            assert_eq!(value.set(path, Value::Int(2)).unwrap_err().to_string(), want);
            assert_eq!(value, before);
        };
        check("a.b.c.d", "cannot set `a.b.c.d`: a scalar is in the way of `c`");
        check("list.7.x", "cannot set `list.7.x`: `7` is no index up to the length of the list there, 1");
        let deep = format!("a{}", ".x".repeat(NESTING_MAX));
        check(&deep, &format!("cannot set `{deep}`: it would nest deeper than {NESTING_MAX} levels"));
    }

    #[test]
    fn nothing_nests_deeper_than_the_bound() {
        let deepest = vec!["a"; NESTING_MAX].join(".");
        let mut value = Value::Null;
        assert!(value.set(&format!("{deepest}.a"), Value::Int(1)).is_err());
        assert_eq!(value, Value::Null);
        value.set(&deepest, Value::Int(1)).unwrap();
        assert!(value.set(&deepest, Value::List(vec![])).is_err());
        assert!(value.set(&format!("{deepest}.a"), Value::Int(1)).is_err());
        let whole = value.clone();
        assert!(value.set("b", whole).is_err());
        assert!(value.set(&vec!["x"; 1_000_000].join("."), Value::Null).is_err());
        assert_eq!(value.get(&deepest), Some(&Value::Int(1)));
    }

    #[test]
    fn lists_are_indexed_and_appended_to() {
        let mut value = Value::List(vec![Value::Int(1)]);
        value.set("1", Value::Int(2)).unwrap();
        assert!(value.set("5", Value::Int(3)).is_err());
        assert_eq!(value.get("1"), Some(&Value::Int(2)));
        assert_eq!(value.delete("0"), Some(Value::Int(1)));
    }

    #[test]
    fn of_two_entries_with_one_key_the_later_wins() {
        let map =
            Map::from_entries(vec![("bb".into(), 1.into()), ("a".into(), 2.into()), ("bb".into(), 3.into())]);
        assert_eq!(map.iter().collect::<Vec<_>>(), [("a", &Value::Int(2)), ("bb", &Value::Int(3))]);
    }

    #[test]
    fn nested_data_is_weighed() {
        let mut value = Value::Null;
        value.set("a.b", Value::Bytes(vec![0; 1000].into())).unwrap();
        assert!(value.weight_bytes() >= 1002);
    }
}
