//! What an editor is told about both file forms.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{Form, json_schema};
use crate::subset::assert_supported;
use crate::testing::catalog;

#[test]
fn the_shapes_files_are_held_against_stay_in_the_subset() {
    assert_eq!(assert_supported(&super::scenario_shape()), Ok(()));
    assert_eq!(assert_supported(&super::toml_shape()), Ok(()));
}

/// Every `$ref` of a schema.
fn references<'j>(json: &'j Json, found: &mut Vec<&'j str>) {
    match json {
        Json::Object(map) => {
            found.extend(map.get("$ref").and_then(Json::as_str));
            map.values().for_each(|value| references(value, found));
        }
        Json::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn an_editor_finds_every_reference_and_every_kind() {
    for (form, key) in [(Form::Yaml, "type"), (Form::Toml, "spec")] {
        let schema = json_schema(form, &catalog());
        let mut found = Vec::new();
        references(&schema, &mut found);
        for reference in found {
            assert!(schema.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        let kinds: Vec<&str> = schema["$defs"]["Gear"]["properties"][key]["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|choice| choice["const"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, catalog().kinds().collect::<Vec<_>>());
        let first_rule = &schema["$defs"]["Gear"]["allOf"][0];
        assert_eq!(first_rule["if"]["properties"][key]["const"], "call");
        assert_eq!(first_rule["then"]["properties"]["config"]["$ref"], "#/$defs/config-call");
    }
}

#[test]
fn an_empty_catalog_leaves_the_kind_open() {
    let schema = json_schema(Form::Yaml, &crate::Catalog::default());
    assert!(schema["$defs"]["Gear"]["properties"]["type"].get("oneOf").is_none());
}

#[test]
fn every_setting_is_described_and_has_its_default() {
    let schema = json_schema(Form::Toml, &catalog());
    let mut bare = BTreeMap::new();
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        if name.starts_with("config-") {
            continue;
        }
        for (key, property) in definition["properties"].as_object().into_iter().flatten() {
            if property.get("description").is_none() {
                bare.insert(format!("{name}.{key}"), property);
            }
        }
    }
    assert_eq!(bare, BTreeMap::new());
    assert_eq!(schema["$defs"]["RackSettings"]["properties"]["drain_timeout"]["default"], json!("35s"));
}
