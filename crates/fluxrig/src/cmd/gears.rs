//! `fluxrig gears`: the kinds of gear, from their manifests.

use std::{fmt::Write, process::ExitCode};

use anyhow::Context;
use clap::{Args, Subcommand};
use flux_scenario::{Catalog, Direction, Manifest};
use serde_json::Value as Json;

#[derive(Args)]
pub(crate) struct Gears {
    #[command(subcommand)]
    command: GearsCommand,
}

#[derive(Subcommand)]
enum GearsCommand {
    /// List the kinds
    List {
        /// Print an array of manifests
        #[arg(long)]
        json: bool,
    },
    /// Print the reference page of a kind, as Markdown
    Doc {
        /// The kind, as in `type` of a scenario
        kind: String,
    },
    /// Print everything that is known of a kind, as JSON
    Manifest {
        /// The kind; all when absent
        kind: Option<String>,
    },
    /// Print the JSON Schema of a kind's `config`
    Schema {
        /// The kind
        kind: String,
    },
}

impl Gears {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let catalog = flux_gears::builtin().catalog();
        match self.command {
            GearsCommand::List { json: true } => println!("{}", serde_json::to_string(&manifests(&catalog))?),
            GearsCommand::List { json: false } => {
                for manifest in catalog.iter() {
                    println!("{:<16} {}", manifest.kind, manifest.summary);
                }
            }
            GearsCommand::Doc { kind } => print!("{}", page(find(&catalog, &kind)?)),
            GearsCommand::Manifest { kind: Some(kind) } => {
                println!("{}", serde_json::to_string_pretty(find(&catalog, &kind)?)?);
            }
            GearsCommand::Manifest { kind: None } => println!("{}", serde_json::to_string_pretty(&manifests(&catalog))?),
            GearsCommand::Schema { kind } => {
                println!("{}", serde_json::to_string_pretty(&find(&catalog, &kind)?.config_schema)?);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn manifests(catalog: &Catalog) -> Vec<&Manifest> {
    catalog.iter().collect()
}

fn find<'a>(catalog: &'a Catalog, kind: &str) -> anyhow::Result<&'a Manifest> {
    let known = || catalog.kinds().collect::<Vec<_>>().join(", ");
    catalog.get(kind).with_context(|| format!("no kind of gear `{kind}`; there are: {}", known()))
}

/// The reference page of a kind.
pub(crate) fn page(manifest: &Manifest) -> String {
    let mut page = format!("# {}\n\n{}\n\n## Ports\n\n| port | direction | |\n|---|---|---|\n", manifest.kind, manifest.summary);
    for port in &manifest.ports {
        let direction = if port.direction == Direction::In { "in" } else { "out" };
        let _ = writeln!(page, "| `{}` | {direction} | {} |", port.name, port.summary);
    }
    let schema = &manifest.config_schema;
    page.push_str("\n## Configuration\n\n");
    table(&mut page, schema);
    if let Some(parts) = schema["$defs"].as_object() {
        for (name, part) in parts.iter().filter(|(_, part)| part.get("properties").is_some()) {
            let _ = write!(page, "\n### {name}\n\n{}\n\n", text(part));
            table(&mut page, part);
        }
    }
    page
}

fn table(page: &mut String, schema: &Json) {
    let Some(fields) = schema["properties"].as_object().filter(|fields| !fields.is_empty()) else {
        page.push_str("None.\n");
        return;
    };
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    page.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
    for (key, field) in fields {
        let default = match field.get("default") {
            _ if required.contains(&key.as_str()) => "required".into(),
            None | Some(Json::Null) => String::new(),
            Some(default) => format!("`{default}`"),
        };
        let _ = writeln!(page, "| `{key}` | {} | {default} | {} |", kind_of(field), text(field).replace('\n', " "));
    }
}

fn text(schema: &Json) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

/// The type of a field in a word or two.
fn kind_of(field: &Json) -> String {
    if let Some(format) = field["format"].as_str() {
        return match format {
            "duration" => "duration".into(),
            "byte-size" => "size".into(),
            _ => "integer".into(),
        };
    }
    if let Some(name) = field["$ref"].as_str() {
        return name.trim_start_matches("#/$defs/").into();
    }
    let choices = field["enum"].as_array().or_else(|| field["anyOf"].as_array()).or_else(|| field["oneOf"].as_array());
    if let Some(choices) = choices {
        let words = choices.iter().filter(|choice| choice["type"] != "null").map(|choice| match choice {
            Json::String(word) => format!("`{word}`"),
            _ => choice.get("const").map_or_else(|| kind_of(choice), |word| format!("`{word}`")),
        });
        return words.collect::<Vec<_>>().join(" or ");
    }
    match &field["type"] {
        Json::String(word) if word == "array" => format!("list of {}", kind_of(&field["items"])),
        Json::String(word) => word.clone(),
        Json::Array(words) => words.iter().filter_map(Json::as_str).filter(|word| *word != "null").collect::<Vec<_>>().join(" or "),
        _ => "any".into(),
    }
}
