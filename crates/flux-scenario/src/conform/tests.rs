//! What a config that does not fit its schema is told.

use std::sync::Arc;

use proptest::prelude::*;
use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::{Part, conform};
use crate::node::Node;
use crate::report::Report;
use crate::resolve::Schemas;
use crate::settings::Settings;
use crate::source::{Source, Span};
use crate::testing::{Fork, Switch, Tcp, Write};

/// The messages about a value.
fn problems(schema: &Json, value: &Json) -> Vec<String> {
    let mut report = Report::new(Arc::new(Source::default()));
    let node = Node::from_json(value, Span::default());
    conform(&mut report, Part::Config, Schemas::new(schema), schema, &node, "it", Span::default());
    report.issues().iter().map(|issue| issue.message.clone()).collect()
}

#[test]
fn limits_of_every_sort() {
    let schema = json!({
        "properties": {
            "pair": { "type": "array", "minItems": 2, "maxItems": 2, "uniqueItems": true },
            "word": { "type": "string", "maxLength": 3 },
            "share": { "type": "number", "minimum": 0, "maximum": 1 },
            "exact": { "const": 7 },
            "some": { "enum": [1, 2] },
            "never": false,
            "any": true,
        },
        "additionalProperties": { "type": "boolean" },
    });
    let value = json!({
        "pair": [1, 1, 2], "word": "long", "share": 1.5, "exact": 8, "some": 3, "never": 1, "any": [], "else": 5,
    });
    expect_test::expect![[r#"
        `else` must be true or false, found a whole number
        `pair` repeats this
        `exact` cannot be 8
        `some` cannot be 3
        `never` is not allowed here
        `pair` may have at most 2 items, found 3
        `word` is longer than 3 characters
        `share` must be from 0 to 1, found 1.5"#]]
    .assert_eq(&problems(&schema, &value).join("\n"));
}

/// What passes here must be taken by serde too, or a gear would refuse at start what `check` had praised.
fn agrees_with_serde<T: DeserializeOwned + JsonSchema>(value: &Json) {
    let schema = schema_for!(T).to_value();
    let problems = problems(&schema, value);
    if problems.is_empty() {
        let taken = serde_json::from_value::<T>(value.clone());
        assert!(taken.is_ok(), "{value} passes, and serde says {}", taken.err().expect("it is an error"));
    }
}

/// Values near what the test kinds expect: their keys, their words, and nonsense.
fn values() -> impl Strategy<Value = Json> {
    let keys = [
        "mode",
        "bind",
        "connect",
        "idle_timeout",
        "frame_bytes_max",
        "pool_size",
        "tls",
        "key_file",
        "password",
        "routes",
        "name",
        "destination",
        "failover",
        "round_robin",
        "branches",
        "format",
        "newline",
        "width",
        "rack",
        "threads",
        "retry",
        "attempts",
        "logging",
        "level",
        "x",
    ];
    let words = ["server", "client", "lines", "frames", "5s", "64KiB", "debug", "", "visa", "5"];
    let leaf = prop_oneof![
        proptest::sample::select(words.to_vec()).prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        (0_u16..300).prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        (-2.0..2.0_f64).prop_map(Json::from),
        Just(Json::Null),
        Just(json!(u64::MAX)),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            proptest::collection::vec((proptest::sample::select(keys.to_vec()), inner), 0..4)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// A sound config of each kind; one part of it is then replaced.
fn sound() -> Vec<Json> {
    vec![
        json!({ "mode": "client", "connect": "a:1", "idle_timeout": "5s", "frame_bytes_max": 64,
                "pool_size": 4, "tls": { "key_file": "a", "password": "long enough" } }),
        json!({ "routes": [{ "name": "a", "destination": { "failover": ["x", { "round_robin": ["y"] }] } }] }),
        json!({ "branches": { "a": "b" } }),
        json!({ "format": "frames", "width": 4 }),
        json!({ "rack": { "threads": 4, "retry": { "attempts": 2, "backoff": "1ms" } }, "logging": { "level": "warn" } }),
    ]
}

/// Replaces the value at the `at`-th place, counted depth first; returns the places left to count.
fn replace(json: &mut Json, at: usize, with: &Json) -> Option<usize> {
    if at == 0 {
        *json = with.clone();
        return None;
    }
    let mut left = at - 1;
    let children: Vec<&mut Json> = match json {
        Json::Array(items) => items.iter_mut().collect(),
        Json::Object(map) => map.values_mut().collect(),
        _ => Vec::new(),
    };
    for child in children {
        left = replace(child, left, with)?;
    }
    Some(left)
}

#[test]
fn sound_configs_pass_and_are_taken() {
    for value in sound() {
        let fits = [
            problems(&schema_for!(Tcp).to_value(), &value),
            problems(&schema_for!(Switch).to_value(), &value),
            problems(&schema_for!(Fork).to_value(), &value),
            problems(&schema_for!(Write).to_value(), &value),
            problems(&schema_for!(Settings).to_value(), &value),
        ];
        assert_eq!(fits.iter().filter(|problems| problems.is_empty()).count(), 1, "{value} {fits:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_passes_is_taken_by_serde(base in proptest::sample::select(sound()), at in 0_usize..12, with in values()) {
        let mut value = base;
        replace(&mut value, at, &with);
        agrees_with_serde::<Tcp>(&value);
        agrees_with_serde::<Switch>(&value);
        agrees_with_serde::<Fork>(&value);
        agrees_with_serde::<Write>(&value);
        agrees_with_serde::<Settings>(&value);
    }
}
