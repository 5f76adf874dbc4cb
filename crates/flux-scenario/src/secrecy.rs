//! What of a text might be secret although no schema says so: a mistyped key is still a key to a secret.

use crate::node::{Node, Value};
use crate::report::Report;
use crate::source::Span;
use crate::words::closest;

/// Parts of a key that promise a secret.
const TELLING: [&str; 7] = ["secret", "passw", "passphrase", "token", "credential", "api_key", "private"];

/// Keys that hold one, for those who miss a letter.
const NAMES: [&str; 4] = ["bootstrap_secret", "secret", "password", "token"];

/// Whether a value under this key could be secret.
pub(crate) fn is_telling(key: &str) -> bool {
    let plain = key.to_lowercase().replace(['-', ' '], "_");
    TELLING.iter().any(|part| plain.contains(part)) || closest(&plain, &NAMES).is_some()
}

/// Hides what stands under telling keys, at any depth.
pub(crate) fn hide_telling(node: &Node, report: &mut Report) {
    for item in node.items() {
        hide_telling(item, report);
    }
    for entry in node.entries() {
        if is_telling(&entry.key) {
            hide_scalars(&entry.node, report);
        } else {
            hide_telling(&entry.node, report);
        }
    }
}

/// Hides every value in `node`, and shows the keys.
fn hide_scalars(node: &Node, report: &mut Report) {
    match &node.value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(_) | Value::Text(_) => report.hide(node.span),
        Value::List(items) => items.iter().for_each(|item| hide_scalars(item, report)),
        Value::Table(entries) => entries.iter().for_each(|entry| hide_scalars(&entry.node, report)),
    }
}

/// What follows a telling key in a text that could not be read: to the end of its line.
pub(crate) fn telling_lines(text: &str) -> Vec<Span> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let keys = line.match_indices([':', '=']).find(|(at, _)| {
            let key = line[..*at].trim_end_matches([' ', '"', '\'']);
            let begin =
                key.rfind(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-')).map_or(0, |at| at + 1);
            key.get(begin..).is_some_and(is_telling)
        });
        if let Some((at, _)) = keys {
            let value = line[at + 1..].trim();
            if !value.is_empty() {
                let begin = start + at + 1 + (line[at + 1..].len() - line[at + 1..].trim_start().len());
                found.push(Span { start: begin, end: begin + value.len() });
            }
        }
        start += line.len();
    }
    found
}

/// Where a text has the user and password of a URL: between `://` and the `@` before the next separator.
pub(crate) fn userinfo(text: &str) -> Vec<Span> {
    let mut found = Vec::new();
    for (at, mark) in text.match_indices("://") {
        let start = at + mark.len();
        let rest = &text[start..];
        let end =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'')).unwrap_or(rest.len());
        if let Some(length) = rest[..end].rfind('@').filter(|&length| length > 0) {
            found.push(Span { start, end: start + length });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_tell() {
        for key in ["bootstrap_secret", "bootstrap_secrt", "Pasword", "db-password", "api-key", "tokn"] {
            assert!(is_telling(key), "{key}");
        }
        for key in ["bind", "key_file", "name", "url", "targets"] {
            assert!(!is_telling(key), "{key}");
        }
    }

    #[test]
    fn places_in_a_text() {
        let text = "url = \"nats://user:p@ss@host:1\", http://plain/x@y\nsecret = oops\na: {tokn: x}\n";
        let shown = |spans: Vec<Span>| -> Vec<&str> { spans.iter().map(|s| &text[s.start..s.end]).collect() };
        assert_eq!(shown(userinfo(text)), ["user:p@ss"]);
        assert_eq!(shown(telling_lines(text)), ["oops", "x}"]);
    }
}
