//! Puts a spec on top of the one it extends: key by key down to the single setting of a field.

use std::collections::BTreeMap;

use super::yaml::{Node, Yaml};

/// Maps are merged this far down: document, `wire`, `fields`, a field. Below, the upper value replaces the lower.
const LEVELS: usize = 4;

/// `upper` on top of `lower`. An upper null takes out what is below it.
pub(crate) fn merge(lower: Node, upper: Node) -> Node {
    merge_levels(lower, upper, LEVELS)
}

fn merge_levels(lower: Node, upper: Node, levels: usize) -> Node {
    let (Yaml::Map(mut entries), Yaml::Map(over)) = (lower.value, &upper.value) else { return upper };
    if levels == 0 {
        return upper;
    }
    let places: BTreeMap<String, usize> =
        entries.iter().enumerate().map(|(place, entry)| (entry.key.clone(), place)).collect();
    for entry in over {
        match places.get(&entry.key) {
            Some(&place) => {
                let lower = &mut entries[place];
                let below =
                    Node { value: std::mem::replace(&mut lower.node.value, Yaml::Null), at: lower.node.at };
                lower.node = merge_levels(below, entry.node.clone(), levels - 1);
                lower.key_at = entry.key_at;
            }
            None => entries.push(entry.clone()),
        }
    }
    Node { value: Yaml::Map(entries), at: upper.at }
}
