//! Reference pages in Markdown, from manifests, schemas and the command line's own description.

use std::fmt::Write;

use clap::Command;
use flux_scenario::{Direction, Manifest};
use serde_json::Value as Json;

/// The page of a kind of gear.
pub(crate) fn gear(manifest: &Manifest) -> String {
    let mut page = format!(
        "# {}\n\n{}\n\n## Ports\n\n| port | direction | |\n|---|---|---|\n",
        manifest.kind, manifest.summary
    );
    for port in &manifest.ports {
        let direction = if port.direction == Direction::In { "in" } else { "out" };
        let _ = writeln!(page, "| `{}` | {direction} | {} |", port.name, port.summary);
    }
    page.push_str("\n## Configuration\n\n");
    schema(&mut page, &manifest.config_schema, "###");
    page
}

/// The page of the settings.
pub(crate) fn settings(of: &Json) -> String {
    let mut page = String::from("# Settings\n\nThe keys of `fluxrig.toml` beside `[gears]` and `[bus]`.\n\n");
    schema(&mut page, of, "##");
    page
}

/// The page of the command line: every command, with its options.
pub(crate) fn command_line(command: &Command) -> String {
    let mut page = String::from("# Command line\n");
    commands(&mut page, command, "");
    page
}

fn commands(page: &mut String, command: &Command, above: &str) {
    let name = format!("{above}{}", command.get_name());
    let help = command.clone().bin_name(&name).term_width(100).render_long_help();
    let _ = write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.to_string().trim_end());
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        commands(page, below, &format!("{name} "));
    }
}

fn schema(page: &mut String, schema: &Json, heading: &str) {
    table(page, schema, schema);
    if let Some(parts) = schema["$defs"].as_object() {
        for (name, part) in parts.iter().filter(|(_, part)| part.get("properties").is_some()) {
            let _ = write!(page, "\n{heading} {name}\n\n{}\n\n", text(part));
            table(page, part, schema);
        }
    }
}

fn table(page: &mut String, schema: &Json, root: &Json) {
    let Some(fields) = schema["properties"].as_object().filter(|fields| !fields.is_empty()) else {
        page.push_str("None.\n");
        return;
    };
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    page.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
    for (key, field) in fields {
        let default = match field.get("default") {
            _ if required.contains(&key.as_str()) => "required".into(),
            None | Some(Json::Null) => String::new(),
            Some(default) => format!("`{default}`"),
        };
        let _ = writeln!(
            page,
            "| `{key}` | {} | {default} | {} |",
            kind_of(field, root),
            text(field).replace('\n', " ")
        );
    }
}

fn text(schema: &Json) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

fn choices(schema: &Json) -> Option<&Vec<Json>> {
    ["enum", "anyOf", "oneOf"].into_iter().find_map(|key| schema[key].as_array())
}

/// The type of a field in a word or two.
fn kind_of(field: &Json, root: &Json) -> String {
    if let Some(format) = field["format"].as_str() {
        match format {
            "duration" => return "duration".into(),
            "byte-size" => return "size".into(),
            _ => {}
        }
    }
    if let Some(name) = field["$ref"].as_str().map(|name| name.trim_start_matches("#/$defs/")) {
        // A part with keys has a table of its own; a choice of words is said here.
        let part = &root["$defs"][name];
        let is_word = |choice: &Json| choice.is_string() || choice.get("const").is_some();
        let is_choice = choices(part).is_some_and(|choices| choices.iter().all(is_word));
        return if is_choice { kind_of(part, root) } else { name.into() };
    }
    if let Some(choices) = choices(field) {
        let words = choices.iter().filter(|choice| choice["type"] != "null").map(|choice| match choice {
            Json::String(word) => format!("`{word}`"),
            _ => choice.get("const").map_or_else(|| kind_of(choice, root), |word| format!("`{word}`")),
        });
        return words.collect::<Vec<_>>().join(" or ");
    }
    match &field["type"] {
        Json::String(word) if word == "array" => format!("list of {}", kind_of(&field["items"], root)),
        Json::String(word) => word.clone(),
        Json::Array(words) => words
            .iter()
            .filter_map(Json::as_str)
            .filter(|word| *word != "null")
            .collect::<Vec<_>>()
            .join(" or "),
        _ => "any".into(),
    }
}
