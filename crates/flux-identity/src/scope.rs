//! The scope of a token: which Racks it is for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::limits::{LABEL_BYTES_MAX, LABELS_MAX};
use crate::request::check_labels;

/// Labels that a Rack has to have, all of them. Without any it is the whole fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Scope(BTreeMap<String, String>);

impl Scope {
    /// The Racks with these labels.
    ///
    /// # Errors
    /// When they cannot be those of a Rack.
    pub fn new(labels: BTreeMap<String, String>) -> Result<Scope, String> {
        check_labels(&labels).map(|()| Scope(labels))
    }

    /// Whether it is the whole fleet.
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a Rack with these labels, or a scope with them, is in it.
    pub fn covers(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// The labels.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl TryFrom<BTreeMap<String, String>> for Scope {
    type Error = String;

    fn try_from(labels: BTreeMap<String, String>) -> Result<Scope, String> {
        Scope::new(labels)
    }
}

impl From<Scope> for BTreeMap<String, String> {
    fn from(scope: Scope) -> BTreeMap<String, String> {
        scope.0
    }
}

impl JsonSchema for Scope {
    fn schema_name() -> Cow<'static, str> {
        "Scope".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let word = |least: usize| format!("^[A-Za-z0-9_./-]{{{least},{LABEL_BYTES_MAX}}}$");
        json_schema!({
            "description": "Labels that a Rack has to have, all of them. Without any it is the whole fleet.",
            "type": "object", "maxProperties": LABELS_MAX, "propertyNames": { "pattern": word(1) },
            "additionalProperties": { "type": "string", "pattern": word(0) },
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_whole() {
            return f.pad("the whole fleet");
        }
        let pairs: Vec<String> = self.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
        f.pad(&pairs.join(","))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
        prop::collection::btree_map("[ab]{1,2}", "[xy]{0,1}", 0..4)
    }

    proptest! {
        #[test]
        fn a_scope_covers_what_has_all_its_labels(scope in labels(), more in labels()) {
            let mut both = more;
            both.extend(scope.clone());
            let scope = Scope::new(scope).unwrap();
            prop_assert!(scope.covers(&both) && Scope::default().covers(&both));
            for key in scope.labels().keys() {
                let mut lacking = both.clone();
                lacking.remove(key);
                prop_assert!(!scope.covers(&lacking));
            }
        }

        #[test]
        fn any_json_is_a_scope_or_refused(key in ".{0,70}", value in ".{0,70}") {
            let text = serde_json::json!({ key: value }).to_string();
            if let Ok(scope) = serde_json::from_str::<Scope>(&text) {
                prop_assert_eq!(serde_json::to_string(&scope).unwrap(), text);
            }
        }
    }
}
