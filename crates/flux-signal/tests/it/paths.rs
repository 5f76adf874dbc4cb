//! The laws of dotted paths and of metadata.

use std::collections::BTreeMap;

use flux_signal::{Map, Metadata, Value};
use proptest::{collection::vec, prelude::*};

use crate::strategies;

fn path() -> impl Strategy<Value = String> {
    vec(prop_oneof!["[abc]", "[0-2]", ""], 0..4).prop_map(|segments| segments.join("."))
}

/// Trees of maps whose keys contain no dot: here a path has one meaning.
fn plain_tree() -> impl Strategy<Value = Value> {
    any::<i64>()
        .prop_map(Value::Int)
        .prop_recursive(4, 40, 5, |inner| vec(("[abc]", inner), 0..5).prop_map(strategies::map))
}

/// Equality under which NaN equals itself.
fn shown(value: Option<&Value>) -> String {
    format!("{value:?}")
}

proptest! {
    #![proptest_config(crate::strategies::config())]

    #[test]
    fn what_is_set_is_got_and_a_refusal_changes_nothing(
        mut tree in strategies::value(), path in path(), new in strategies::value(),
    ) {
        let before = tree.clone();
        match tree.set(&path, new.clone()) {
            Ok(()) => prop_assert_eq!(shown(tree.get(&path)), shown(Some(&new))),
            Err(_) => prop_assert_eq!(shown(Some(&tree)), shown(Some(&before))),
        }
    }

    #[test]
    fn delete_returns_what_get_would_have(mut tree in strategies::value(), path in path()) {
        let found = tree.get(&path).cloned();
        let weight = tree.weight_bytes();
        prop_assert_eq!(shown(tree.delete(&path).as_ref()), shown(found.as_ref()));
        prop_assert!(tree.weight_bytes() < weight || found.is_none() || path.is_empty());
    }

    #[test]
    fn what_is_deleted_is_gone(mut tree in plain_tree(), path in "[abc](\\.[abc]){0,3}") {
        let found = tree.get(&path).is_some();
        prop_assert_eq!(tree.delete(&path).is_some(), found);
        prop_assert_eq!(tree.get(&path), None);
        prop_assert!(tree.delete(&path).is_none());
    }

    #[test]
    fn set_leaves_every_other_path_alone(
        mut tree in plain_tree(), path in "[abc](\\.[abc]){0,2}", other in "[abc](\\.[abc]){0,2}",
    ) {
        let before = tree.get(&other).cloned();
        let within = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
        if !within(&path, &other) && !within(&other, &path) && tree.set(&path, Value::Bool(true)).is_ok() {
            prop_assert_eq!(tree.get(&other).cloned(), before);
        }
    }

    #[test]
    fn metadata_is_a_map_in_canonical_order(edits in vec((strategies::key(), proptest::option::of(".{0,9}")), 0..20)) {
        let mut metadata = Metadata::new();
        let mut model = BTreeMap::new();
        for (key, value) in &edits {
            // Canonical order: by length first.
            let place = (key.len(), key.clone());
            match value {
                Some(value) => {
                    metadata.set(key, value.as_str());
                    model.insert(place, value.clone());
                }
                None => prop_assert_eq!(metadata.delete(key), model.remove(&place).is_some()),
            }
        }
        let entries = || model.iter().map(|((_, key), value)| (key.as_str(), value.as_str()));
        prop_assert!(metadata.iter().eq(entries()));
        prop_assert!(metadata == entries().collect());
        prop_assert_eq!(metadata.weight_bytes(), entries().map(|(k, v)| k.len() + v.len()).sum::<usize>());
    }

    #[test]
    fn a_map_is_a_map_in_canonical_order(entries in vec((strategies::key(), any::<i64>()), 0..20)) {
        let model: BTreeMap<_, _> =
            entries.iter().map(|(key, value)| ((key.len(), key.as_str()), Value::Int(*value))).collect();
        let mut inserted = Map::new();
        for (key, value) in &entries {
            inserted.insert(key, Value::Int(*value));
        }
        let sorted = Map::from_entries(entries.iter().map(|(k, v)| (k.as_str().into(), Value::Int(*v))).collect());
        prop_assert!(sorted.iter().eq(model.iter().map(|((_, key), value)| (*key, value))));
        prop_assert_eq!(inserted, sorted);
    }
}
