//! The structured side of a message: nothing, a tree, or a codec's lazy view of the payload.

use std::{fmt, sync::Arc};

use crate::{Text, Value};

/// A path that cannot be written: which one, and what is in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot set `{path}`: {why}")]
pub struct PathError {
    path: String,
    why: String,
}

impl PathError {
    /// `path` cannot be written, because of `why`.
    pub fn new(path: impl Into<String>, why: impl Into<String>) -> PathError {
        PathError { path: path.into(), why: why.into() }
    }
}

/// A codec's window on a payload: fields are read and written by dotted path without building a tree first.
///
/// Paths are those of the tree that [`View::to_value`] would return (`iso8583.field.2`, `card.pan`).
pub trait View: Send + Sync + 'static {
    /// The value at a path.
    fn get(&self, path: &str) -> Option<Value>;
    /// The value at a path as people may see it: what the codec knows to be sensitive is hidden. `None` when nothing is
    /// there, or nothing that is written in one line.
    fn masked(&self, path: &str) -> Option<Text>;
    /// Writes the value at a path; the payload is rebuilt by the codec's encoder, not here.
    fn set(&mut self, path: &str, value: Value) -> Result<(), PathError>;
    /// Removes what is at a path; returns whether something was there.
    fn delete(&mut self, path: &str) -> bool;
    /// The whole as a tree.
    fn to_value(&self) -> Value;
    /// An independent copy, made when a shared view is edited.
    fn fork(&self) -> Arc<dyn View>;
    /// Bytes of content beyond those of the payload it looks at.
    fn weight_bytes(&self) -> usize;
    /// The view itself, so that the codec which made it finds it again.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// The structured side of a message. Clones in `O(1)`; edits copy what is shared.
#[derive(Clone, Default)]
pub enum Data {
    /// Nothing was decoded.
    #[default]
    Empty,
    /// A tree of values.
    Tree(Arc<Value>),
    /// A codec's view of the payload.
    View(Arc<dyn View>),
}

impl Data {
    /// The value at a dotted path.
    pub fn get(&self, path: &str) -> Option<Value> {
        match self {
            Data::Empty => None,
            Data::Tree(tree) => tree.get(path).cloned(),
            Data::View(view) => view.get(path),
        }
    }

    /// Writes the value at a dotted path.
    pub fn set(&mut self, path: &str, value: Value) -> Result<(), PathError> {
        match self {
            Data::Empty => {
                let mut tree = Value::Null;
                tree.set(path, value)?;
                *self = Data::Tree(Arc::new(tree));
                Ok(())
            }
            Data::Tree(tree) => Arc::make_mut(tree).set(path, value),
            Data::View(view) => unshared(view).set(path, value),
        }
    }

    /// Removes what is at a dotted path; returns whether something was there.
    pub fn delete(&mut self, path: &str) -> bool {
        match self {
            Data::Empty => false,
            Data::Tree(tree) => tree.get(path).is_some() && Arc::make_mut(tree).delete(path).is_some(),
            Data::View(view) => unshared(view).delete(path),
        }
    }

    /// The whole as a tree.
    pub fn to_value(&self) -> Value {
        match self {
            Data::Empty => Value::Null,
            Data::Tree(tree) => Value::clone(tree),
            Data::View(view) => view.to_value(),
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        matches!(self, Data::Empty)
    }

    /// Bytes of content, nested content included.
    pub fn weight_bytes(&self) -> usize {
        match self {
            Data::Empty => 0,
            Data::Tree(tree) => tree.weight_bytes(),
            Data::View(view) => view.weight_bytes(),
        }
    }
}

fn unshared(view: &mut Arc<dyn View>) -> &mut dyn View {
    if Arc::get_mut(view).is_none() {
        *view = view.fork();
    }
    Arc::get_mut(view).expect("a fork is not shared")
}

impl From<Value> for Data {
    fn from(value: Value) -> Data {
        match value {
            Value::Null => Data::Empty,
            value => Data::Tree(Arc::new(value)),
        }
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the content: it may be card data.
        let form = match self {
            Data::Empty => "empty",
            Data::Tree(_) => "tree",
            Data::View(_) => "view",
        };
        write!(f, "Data({form})")
    }
}
