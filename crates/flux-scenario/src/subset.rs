//! The part of JSON Schema that a config schema may use, so that `check` can promise to report every problem.
//!
//! Beyond shape, a schema says what a value means by annotations:
//!
//! | keyword | at | meaning |
//! |---|---|---|
//! | `x-flux-port: {direction, name, emits?}` | a text | its value replaces `{}` in `name` and is a port |
//! | | a table | each key does |
//! | `x-flux-claim: {kind, when?}` | a text | the gear holds it exclusively, when the sibling keys in `when` have these values |
//! | `x-flux-silences: {port, value, when?}` | any value | when it is `value`, and the sibling keys in `when` have these values, nothing leaves the output `port` |
//! | `x-flux-keeps: value` | any value | when it is `value`, the gear keeps something on disk |
//! | `x-flux-file: true` | a text | a path relative to the scenario file; `scheme:name` is not a path |
//! | `x-flux-secret: true` | any value | is shown as `***` |
//!
//! Defaults count as if they had been written.

use serde_json::Value as Json;

/// Keywords whose meaning `check` knows.
const CHECKED: [&str; 20] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "unevaluatedProperties",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "enum",
    "const",
    "oneOf",
    "anyOf",
    "allOf",
    "$ref",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "format",
];

/// Keywords that only describe.
const DESCRIBING: [&str; 11] = [
    "$schema",
    "$id",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// Formats whose meaning `check` knows.
const FORMATS: [&str; 21] = [
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "uint",
    "int",
    "float",
    "double",
    "duration",
    "byte-size",
    "ip",
    "ipv4",
    "ipv6",
    "uuid",
    "name",
    "name-or-empty",
    "semver",
];

/// Whether `check` understands everything in a config schema: draft-07 or 2020-12 as `schemars` emits them, with
/// references into itself only.
///
/// # Errors
/// Each thing it does not understand, with the JSON pointer of the place.
pub fn assert_supported(schema: &Json) -> Result<(), Vec<String>> {
    let mut survey = Survey { root: schema, problems: Vec::new() };
    survey.schema(schema, "#");
    if survey.problems.is_empty() { Ok(()) } else { Err(survey.problems) }
}

struct Survey<'s> {
    root: &'s Json,
    problems: Vec<String>,
}

impl Survey<'_> {
    fn schema(&mut self, schema: &Json, at: &str) {
        let map = match schema {
            Json::Bool(_) => return,
            Json::Object(map) => map,
            _ => return self.problems.push(format!("{at}: a schema is an object or a boolean")),
        };
        for (word, value) in map {
            let at = format!("{at}/{word}");
            match word.as_str() {
                "properties" | "$defs" | "definitions" => self.named(value, &at),
                "items" | "additionalProperties" => self.schema(value, &at),
                "oneOf" | "anyOf" | "allOf" => self.listed(value, &at),
                "$ref" => self.reference(value, &at),
                "format" => self.format(value, &at),
                "x-flux-port" | "x-flux-claim" | "x-flux-silences" => self.annotation(word, value, &at),
                "x-flux-file" | "x-flux-secret" | "x-flux-inert" if !value.is_boolean() => {
                    self.problems.push(format!("{at}: must be true or false"));
                }
                word if word.starts_with("x-") => {}
                word if CHECKED.contains(&word) || DESCRIBING.contains(&word) => {}
                _ => self.problems.push(format!("{at}: this keyword is not supported")),
            }
        }
    }

    fn named(&mut self, value: &Json, at: &str) {
        for (name, schema) in value.as_object().into_iter().flatten() {
            self.schema(schema, &format!("{at}/{name}"));
        }
    }

    fn listed(&mut self, value: &Json, at: &str) {
        for (index, schema) in value.as_array().into_iter().flatten().enumerate() {
            self.schema(schema, &format!("{at}/{index}"));
        }
    }

    fn reference(&mut self, value: &Json, at: &str) {
        let target =
            value.as_str().and_then(|text| text.strip_prefix('#')).and_then(|path| self.root.pointer(path));
        if target.is_none() {
            self.problems.push(format!("{at}: {value} is not inside this schema"));
        }
    }

    fn format(&mut self, value: &Json, at: &str) {
        if !value.as_str().is_some_and(|word| FORMATS.contains(&word)) {
            self.problems.push(format!("{at}: the format {value} is not supported"));
        }
    }

    fn annotation(&mut self, word: &str, value: &Json, at: &str) {
        let text = |key: &str| value.get(key).and_then(Json::as_str);
        let fine = match word {
            "x-flux-port" => {
                matches!(text("direction"), Some("in" | "out"))
                    && text("name").is_some_and(|name| name.contains("{}"))
                    && matches!(text("emits").unwrap_or("process"), "process" | "emitter" | "both")
            }
            "x-flux-silences" => {
                text("port").is_some()
                    && value.get("value").is_some()
                    && value.get("when").is_none_or(Json::is_object)
            }
            _ => text("kind").is_some() && value.get("when").is_none_or(Json::is_object),
        };
        if !fine {
            self.problems.push(format!("{at}: {value} is not a valid annotation"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn our_own_settings_stay_in_the_subset() {
        let schema = schemars::schema_for!(crate::Settings);
        assert_eq!(assert_supported(schema.as_value()), Ok(()));
    }

    #[test]
    fn what_leaves_the_subset_is_named() {
        let schema = json!({
            "properties": {
                "a": { "not": { "const": 0 } },
                "b": { "$ref": "#/$defs/Nowhere" },
                "c": { "type": "string", "format": "email", "pattern": "x" },
                "d": { "x-flux-port": { "direction": "up", "name": "out_{}" } },
                "e": { "x-flux-secret": "yes" },
                "f": { "prefixItems": [] },
                "g": { "x-flux-silences": { "port": "out" } },
            }
        });
        let problems = assert_supported(&schema).unwrap_err().join("\n");
        expect_test::expect![[r##"
            #/properties/a/not: this keyword is not supported
            #/properties/b/$ref: "#/$defs/Nowhere" is not inside this schema
            #/properties/c/format: the format "email" is not supported
            #/properties/c/pattern: this keyword is not supported
            #/properties/d/x-flux-port: {"direction":"up","name":"out_{}"} is not a valid annotation
            #/properties/e/x-flux-secret: must be true or false
            #/properties/f/prefixItems: this keyword is not supported
            #/properties/g/x-flux-silences: {"port":"out"} is not a valid annotation"##]]
        .assert_eq(&problems);
    }
}
