//! Text with a counter in it: `{n}`, or `{n:06}` for a fixed number of digits.

use std::{fmt::Write, str::FromStr};

/// Widest counter, in digits: what a `u64` can have.
const DIGITS_MAX: usize = 20;

/// A text that is written anew for each number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The number; with a width its last digits, with zeros in front.
    Number {
        width: Option<usize>,
    },
}

/// A text is no template.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{{{0}}}` is no counter: write `{{n}}`, or `{{n:06}}` for six digits")]
pub(crate) struct TemplateError(String);

impl Template {
    /// The text for a number.
    pub(crate) fn text(&self, n: u64) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Number { width: None } => write!(out, "{n}").expect("writing to a string cannot fail"),
                Part::Number { width: Some(width) } => {
                    // As many digits as asked for, so that a field of fixed width stays one when the counter outgrows it.
                    let exponent = u32::try_from(*width).unwrap_or(u32::MAX);
                    let shown = 10_u64.checked_pow(exponent).map_or(n, |modulus| n % modulus);
                    write!(out, "{shown:0width$}").expect("writing to a string cannot fail");
                }
            }
        }
        out
    }

    /// Whether the text is the same for every number.
    pub(crate) fn is_fixed(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Text(_)))
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Template, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        // A brace that opens nothing is a brace: payloads may be JSON.
        while let Some((start, inner, end)) = next_counter(rest) {
            if start > 0 {
                parts.push(Part::Text(rest[..start].into()));
            }
            parts.push(Part::Number { width: width(inner)? });
            rest = &rest[end..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Template(parts))
    }
}

/// The next `{n…}`: where it starts, what is inside, and where it ends.
fn next_counter(text: &str) -> Option<(usize, &str, usize)> {
    text.match_indices("{n").find_map(|(start, _)| {
        let length = text[start..].find('}')?;
        let inner = &text[start + 1..start + length];
        (inner == "n" || inner.starts_with("n:")).then_some((start, inner, start + length + 1))
    })
}

fn width(counter: &str) -> Result<Option<usize>, TemplateError> {
    let Some(width) = counter.strip_prefix("n:") else { return Ok(None) };
    match width.strip_prefix('0').and_then(|digits| digits.parse().ok()) {
        Some(width @ 1..=DIGITS_MAX) => Ok(Some(width)),
        _ => Err(TemplateError(counter.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_written_where_it_stands() {
        for (text, n, want) in [
            ("", 1, ""),
            ("plain", 1, "plain"),
            ("{n}", 42, "42"),
            ("a{n}b{n:03}c", 7, "a7b007c"),
            ("{n:02}", 1234, "34"),
            ("{n:020}", u64::MAX, "18446744073709551615"),
            (r#"{"name": {n}}"#, 3, r#"{"name": 3}"#),
            ("{n", 3, "{n"),
            ("{ n }", 3, "{ n }"),
        ] {
            assert_eq!(text.parse::<Template>().unwrap().text(n), want, "{text}");
        }
    }

    #[test]
    fn a_counter_of_no_width_is_refused() {
        for text in ["{n:}", "{n:6}", "{n:00}", "{n:021}", "{n:0x}"] {
            assert!(text.parse::<Template>().is_err(), "{text}");
        }
        let error = "{n:6}".parse::<Template>().unwrap_err();
        assert_eq!(error.to_string(), "`{n:6}` is no counter: write `{n}`, or `{n:06}` for six digits");
    }
}
