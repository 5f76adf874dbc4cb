//! A catalog of three kinds: an I/O gear with a claim, a switch whose config names ports, a codec.

use flux_scenario::{Catalog, Category, Emits, Manifest, PortSpec, Status, Terminus};
use serde_json::{Value, json};

fn manifest(
    kind: &str,
    category: Category,
    terminus: Terminus,
    ports: Vec<PortSpec>,
    schema: Value,
) -> Manifest {
    flux_scenario::subset::assert_supported(&schema).unwrap();
    Manifest {
        kind: kind.to_owned(),
        category,
        status: Status::Stable,
        summary: String::new(),
        terminus,
        ports,
        config_schema: schema,
        waits: false,
        partitionable: true,
    }
}

pub(crate) fn catalog() -> Catalog {
    let input = |name: &str| PortSpec::input(name, "");
    let io = json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "mode": { "type": "string", "enum": ["server", "client"], "default": "client" },
            "bind": { "type": "string", "default": ":9000", "x-flux-claim": { "kind": "listen", "when": { "mode": "server" } } },
            "idle": { "type": "string", "format": "duration" },
            "secret": { "type": ["string", "null"], "x-flux-secret": true },
        },
    });
    let switch = json!({
        "type": "object", "additionalProperties": false, "required": ["to"],
        "properties": { "to": { "$ref": "#/$defs/Tree" } },
        "$defs": { "Tree": { "anyOf": [
            { "type": "string", "x-flux-port": { "direction": "out", "name": "out_{}" } },
            { "type": "object", "additionalProperties": false, "required": ["all"],
              "properties": { "all": { "type": "array", "items": { "$ref": "#/$defs/Tree" } } } },
        ] } },
    });
    [
        manifest(
            "io",
            Category::Io,
            Terminus::Io,
            vec![input("in"), PortSpec::output("out", Emits::Emitter, "")],
            io,
        ),
        manifest("switch", Category::Logic, Terminus::Opaque, vec![input("in")], switch),
        manifest(
            "codec",
            Category::Codec,
            Terminus::Transparent,
            vec![input("in"), PortSpec::output("out", Emits::Process, "")],
            json!({ "type": "object", "additionalProperties": false }),
        ),
    ]
    .into_iter()
    .collect()
}
