//! JSON Schema of both files: what the loader holds them against, and what an editor completes them from.

use serde_json::{Map, Value as Json, json};

use crate::catalog::{Catalog, Manifest};
use crate::limits::{GEARS_MAX, PARALLEL_MAX, RACKS_MAX, WIRES_MAX};
use crate::settings::Settings;

/// Which of the two files a schema is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The scenario in YAML: `meta`, `racks`, `gears`, `wires`.
    Yaml,
    /// `fluxrig.toml`: settings, `[gears]`, `[bus.routes]`.
    Toml,
}

/// The schema for an editor, with the config of every kind in the catalog.
pub fn json_schema(form: Form, catalog: &Catalog) -> Json {
    let mut schema = match form {
        Form::Yaml => scenario_shape(),
        Form::Toml => toml_shape(),
    };
    let kind_key = match form {
        Form::Yaml => "type",
        Form::Toml => "spec",
    };
    let gear =
        schema.pointer_mut("/$defs/Gear").and_then(Json::as_object_mut).expect("both shapes define a gear");
    describe_kinds(gear, kind_key, catalog);
    let definitions = schema["$defs"].as_object_mut().expect("both shapes have definitions");
    definitions
        .extend(catalog.iter().map(|manifest| (definition_name(&manifest.kind), config_schema(manifest))));
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema
}

/// Completes the kind, and the config by the kind.
fn describe_kinds(gear: &mut Map<String, Json>, kind_key: &str, catalog: &Catalog) {
    let choices: Vec<Json> = catalog
        .iter()
        .map(|manifest| json!({ "const": manifest.kind, "description": manifest.summary }))
        .collect();
    let rules: Vec<Json> = catalog
        .iter()
        .map(|manifest| {
            json!({
                "if": { "properties": { (kind_key): { "const": manifest.kind } }, "required": [kind_key] },
                "then": { "properties": { "config": { "$ref": format!("#/$defs/{}", definition_name(&manifest.kind)) } } },
            })
        })
        .collect();
    if !choices.is_empty() {
        gear["properties"][kind_key]["oneOf"] = choices.into();
        gear.insert("allOf".into(), rules.into());
    }
}

fn definition_name(kind: &str) -> String {
    format!("config-{kind}")
}

/// The config schema of a kind as a definition, its references moved along with it.
fn config_schema(manifest: &Manifest) -> Json {
    let mut schema = manifest.config_schema.clone();
    if let Json::Object(map) = &mut schema {
        map.remove("$schema");
        map.remove("$id");
    }
    move_references(&mut schema, &format!("#/$defs/{}", definition_name(&manifest.kind)));
    schema
}

fn move_references(schema: &mut Json, base: &str) {
    match schema {
        Json::Object(map) => {
            if let Some(Json::String(target)) = map.get_mut("$ref")
                && let Some(path) = target.strip_prefix('#')
            {
                *target = format!("{base}{path}");
            }
            map.values_mut().for_each(|value| move_references(value, base));
        }
        Json::Array(items) => items.iter_mut().for_each(|item| move_references(item, base)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// The YAML scenario, its gears' configs left open.
pub(crate) fn scenario_shape() -> Json {
    let mut gear = gear_shape("type");
    gear["properties"]["name"] = name("Unique in the scenario.");
    gear["properties"]["deploy"] =
        name("The rack or group it belongs to. Absent: every rack of the scenario.");
    gear["required"] = json!(["name", "type"]);
    json!({
        "title": "fluxrig scenario",
        "type": "object",
        "additionalProperties": false,
        "required": ["meta", "gears"],
        "properties": {
            "meta": { "$ref": "#/$defs/Meta", "description": "Its name and version." },
            "racks": {
                "description": "The racks and groups it names. Absent: the one rack that runs it.",
                "type": "array", "items": { "$ref": "#/$defs/Rack" }, "maxItems": RACKS_MAX,
            },
            "gears": {
                "description": "What runs.",
                "type": "array", "items": { "$ref": "#/$defs/Gear" }, "maxItems": GEARS_MAX,
            },
            "wires": {
                "description": "Which port leads where.",
                "type": "array", "items": { "$ref": "#/$defs/Wire" }, "maxItems": WIRES_MAX,
            },
        },
        "$defs": {
            "Meta": {
                "type": "object", "additionalProperties": false, "required": ["name", "version"],
                "properties": {
                    "name": name("The name of the scenario."),
                    "version": { "description": "A semantic version, like \"1.0.0\".", "type": "string", "format": "semver" },
                    "description": { "description": "What it is for.", "type": "string" },
                    "labels": labels(),
                },
            },
            "Rack": rack_shape(),
            "Gear": gear,
            "Wire": {
                "type": "object", "additionalProperties": false, "required": ["from", "to"],
                "properties": {
                    "id": { "description": "A name of its own.", "type": "string", "format": "name" },
                    "from": { "description": "The output signals come from: `gear.port` or `rack.gear.port`.", "type": "string" },
                    "to": { "description": "The input they go to: `gear.port` or `rack.gear.port`.", "type": "string" },
                    "lane": lane(),
                    "ack": ack(),
                    "dedupe": dedupe(),
                },
            },
        },
    })
}

/// `fluxrig.toml`: the settings, and the gears and routes of one rack.
pub(crate) fn toml_shape() -> Json {
    let mut schema = schemars::schema_for!(Settings).to_value();
    let mut gear = gear_shape("spec");
    gear["required"] = json!(["spec"]);
    let properties = schema["properties"].as_object_mut().expect("settings are a table");
    properties.insert(
        "gears".into(),
        json!({
            "description": "What runs, by name.",
            "type": "object", "additionalProperties": { "$ref": "#/$defs/Gear" },
        }),
    );
    properties
        .insert("bus".into(), json!({ "$ref": "#/$defs/Bus", "description": "Which port leads where." }));
    let definitions = schema["$defs"].as_object_mut().expect("settings have sections");
    definitions.insert("Gear".into(), gear);
    definitions.insert(
        "Bus".into(),
        json!({
            "type": "object", "additionalProperties": false,
            "properties": {
                "routes": {
                    "description": "Routes by the gear or `gear.port` they start at, or by any name when `from` says it.",
                    "type": "object", "additionalProperties": { "$ref": "#/$defs/Route" },
                },
            },
        }),
    );
    definitions.insert(
        "Route".into(),
        json!({
            "type": "object", "additionalProperties": false, "required": ["targets"],
            "properties": {
                "from": { "description": "The source: `gear` (its port `out`) or `gear.port`.", "type": "string" },
                "targets": {
                    "description": "The inputs signals go to: `gear` (its port `in`) or `gear.port`.",
                    "type": "array", "items": { "type": "string" }, "minItems": 1,
                },
                "lane": lane(),
                "ack": ack(),
                "dedupe": dedupe(),
            },
        }),
    );
    schema["title"] = "fluxrig.toml".into();
    schema
}

fn gear_shape(kind_key: &str) -> Json {
    json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            (kind_key): { "description": "The kind of gear.", "type": "string" },
            "id": { "description": "An identity that survives renaming.", "type": "string", "format": "uuid" },
            "config": { "description": "What the kind can be told.", "type": "object" },
            "ports": {
                "description": "Ports beyond those of the kind.",
                "type": "object", "additionalProperties": false,
                "properties": { "inputs": names("Further inputs."), "outputs": names("Further outputs.") },
            },
            "labels": labels(),
            "doc": { "description": "Shown in diagrams and documents.", "type": "string" },
            "parallel": {
                "description": "How many instances share the work by partition key.",
                "type": "integer", "minimum": 1, "maximum": PARALLEL_MAX,
            },
            "partition_by": {
                "description": "The path in the message whose value chooses the instance; order holds per value.",
                "type": "string", "minLength": 1,
            },
        },
    })
}

fn rack_shape() -> Json {
    json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "name": name("A rack by its name."),
            "group": name("A group of racks; needs `match`."),
            "match": {
                "description": "Which racks belong to the group.",
                "type": "object", "additionalProperties": false,
                "properties": { "labels": labels() },
            },
            "external": {
                "description": "Another scenario says what runs there; wires may lead to its gears as `rack.gear.port`.",
                "type": "boolean",
            },
            "labels": labels(),
            "config": { "description": "Parameters of this rack.", "type": "object" },
            "defaults": { "description": "Defaults of a group.", "type": "object" },
        },
    })
}

fn name(description: &str) -> Json {
    json!({ "description": description, "type": "string", "format": "name" })
}

fn names(description: &str) -> Json {
    json!({
        "description": description,
        "type": "array", "items": { "type": "string", "format": "name" },
    })
}

fn labels() -> Json {
    json!({
        "description": "Free labels.",
        "type": "object", "additionalProperties": { "type": "string" },
    })
}

fn lane() -> Json {
    json!({
        "description": "How signals are carried. Absent: hot inside a rack, mesh between racks.",
        "oneOf": [
            { "type": "string", "const": "hot", "description": "In memory, at most once." },
            { "type": "string", "const": "durable", "description": "Through a journal on disk, inside a rack, at least once." },
            { "type": "string", "const": "guaranteed", "description": "Durable inside a rack, mesh between racks." },
            { "type": "string", "const": "mesh", "description": "Between racks: an outbox on the one disk, an inbox on the other, each message once." },
        ],
    })
}

fn ack() -> Json {
    json!({
        "description": "On a durable wire: when a signal counts as safe. Absent: `disk`.",
        "oneOf": [
            { "type": "string", "const": "disk", "description": "The disk has it: it survives the loss of power." },
            { "type": "string", "const": "os", "description": "The operating system has it: it survives the end of the process, and is on disk within `store.sync_every`." },
        ],
    })
}

fn dedupe() -> Json {
    json!({
        "description": "On a durable wire: a signal whose id was among the last `store.dedupe_messages` is not delivered again.",
        "type": "boolean",
    })
}

#[cfg(test)]
mod tests;
