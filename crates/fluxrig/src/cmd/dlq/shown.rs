//! Dead letters for people, and for scripts.

use std::fmt::Write;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use flux_rack::{Letter, Searched};
use flux_signal::cbor;
use jiff::Timestamp;
use serde_json::{Value as Json, json};

/// One line below the head.
const TABLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table, and how many there are.
pub(super) fn list(found: &Searched) -> String {
    let mut table = Table::new();
    table.load_style(TABLE).set_header(["last", "id", "gear", "port", "reason", "tried", "bytes", "error"]);
    table.column_iter_mut().skip(5).take(2).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    for letter in &found.letters {
        table.add_row([
            time(letter.unix_ns),
            letter.id.to_string(),
            letter.gear.clone(),
            letter.port.clone(),
            letter.reason.clone(),
            letter.attempts.to_string(),
            letter.payload_bytes().to_string(),
            letter.error.clone(),
        ]);
    }
    let Searched { letters, matching, total, .. } = found;
    let mut text = if letters.is_empty() { String::new() } else { format!("{table}\n\n") };
    let shown =
        if (letters.len() as u64) < *matching { format!(", {} shown", letters.len()) } else { String::new() };
    writeln!(text, "{total} dead letters, {matching} match{shown}").expect("a string takes every write");
    text
}

/// One JSON object.
pub(super) fn list_json(found: &Searched) -> String {
    let problems: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
    let letters: Vec<Json> = found.letters.iter().map(facts).collect();
    let list = json!({
        "total": found.total, "matching": found.matching, "letters": letters, "problems": problems,
    });
    format!("{list}\n")
}

/// A letter with its message.
pub(super) fn letter(letter: &Letter, unmasked: bool) -> String {
    let mut text = String::new();
    for (name, value) in facts(letter).as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        writeln!(text, "{name:13} {value}").expect("a string takes every write");
    }
    let message = serde_json::to_string_pretty(&message(letter, unmasked)).unwrap_or_default();
    format!("{text}{message}\n\n")
}

/// A letter with its message, as one JSON object.
pub(super) fn letter_json(letter: &Letter, unmasked: bool) -> String {
    let mut object = facts(letter);
    object["message"] = message(letter, unmasked);
    format!("{object}\n")
}

fn facts(letter: &Letter) -> Json {
    json!({
        "id": letter.id.to_string(),
        "gear": letter.gear,
        "port": letter.port,
        "reason": letter.reason,
        "error": letter.error,
        "attempts": letter.attempts,
        "first": time(letter.first_unix_ns),
        "last": time(letter.unix_ns),
        "payload_bytes": letter.payload_bytes(),
        "sequence": letter.sequence,
    })
}

/// The message as `fluxrig msg decode --json` shows it. Masked, what it says is left out: payload, data, and in the metadata
/// whatever could be a card number.
fn message(letter: &Letter, unmasked: bool) -> Json {
    let msg = match letter.message() {
        Ok(msg) => msg,
        Err(why) => return json!({ "unreadable": why.to_string() }),
    };
    let mut shown = serde_json::to_value(cbor::to_json(&msg)).unwrap_or_default();
    if let (false, Some(fields)) = (unmasked, shown.as_object_mut()) {
        for said in ["raw", "raw_text", "data"] {
            if fields.contains_key(said) {
                fields.insert(said.into(), "masked: --unmasked shows it".into());
            }
        }
        for value in fields
            .get_mut("meta")
            .and_then(Json::as_object_mut)
            .into_iter()
            .flat_map(|meta| meta.values_mut())
        {
            if value.as_str().is_some_and(could_be_a_card_number) {
                *value = "masked".into();
            }
        }
    }
    shown
}

/// Whether a text has twelve digits in a row, spaces and hyphens aside.
fn could_be_a_card_number(text: &str) -> bool {
    let mut digits = 0;
    text.chars().filter(|c| !matches!(c, ' ' | '-')).any(|c| {
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        digits >= 12
    })
}

fn time(unix_ns: i64) -> String {
    Timestamp::from_nanosecond(unix_ns.into())
        .map_or_else(|_| unix_ns.to_string(), |time| format!("{time:.3}"))
}
