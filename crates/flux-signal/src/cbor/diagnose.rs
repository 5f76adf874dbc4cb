//! Prints any CBOR in the diagnostic notation of RFC 8949 section 8.

use std::fmt::Write;

use super::{
    DecodeError, ITEM_NESTING_MAX, Problem, Strictness,
    check::narrow,
    reader::{Item, Len, Reader},
};

/// The one item that fills `bytes`, as text on one line.
///
/// Indefinite lengths show as `_`; how long a head or a float was does not show. Integers beyond 64 bits are plain
/// numbers up to 127 bits, and `2(h'..')` beyond or when they are not in preferred form.
pub fn diagnose(bytes: &[u8]) -> Result<String, DecodeError> {
    let mut reader = Reader::new(bytes, Strictness::Lenient);
    let mut out = String::with_capacity(2 * bytes.len());
    reader.describe(&mut out, ITEM_NESTING_MAX)?;
    reader.end()?;
    Ok(out)
}

impl Reader<'_> {
    /// Appends the next item, `room` levels deep at most.
    fn describe(&mut self, out: &mut String, room: usize) -> Result<(), DecodeError> {
        let at = self.at();
        let inner = || room.checked_sub(1).ok_or_else(|| Problem::TooDeep.at(at));
        match self.item()? {
            Item::Uint(n) => put(out, n),
            Item::Nint(n) => put(out, !i128::from(n)),
            Item::Float(n) => out.push_str(&float(n)),
            Item::Simple(20) => out.push_str("false"),
            Item::Simple(21) => out.push_str("true"),
            Item::Simple(22) => out.push_str("null"),
            Item::Simple(23) => out.push_str("undefined"),
            Item::Simple(number) => put(out, format_args!("simple({number})")),
            Item::Bytes(len @ Len::Definite(_)) => put_bytes(out, &self.bytes(len)?),
            Item::Text(len @ Len::Definite(_)) => put_text(out, &self.text(len)?),
            Item::Bytes(Len::UntilBreak) => self.describe_chunks(out, true)?,
            Item::Text(Len::UntilBreak) => self.describe_chunks(out, false)?,
            Item::List(left) => self.describe_elements(out, left, ['[', ']'], inner()?)?,
            Item::Map(left) => self.describe_elements(out, left, ['{', '}'], inner()?)?,
            Item::Tag(tag) => {
                let inner = inner()?;
                if let Some(n) = self.preferred_bignum(tag)? {
                    put(out, n);
                    return Ok(());
                }
                put(out, format_args!("{tag}("));
                self.describe(out, inner)?;
                out.push(')');
            }
        }
        Ok(())
    }

    /// The elements of a list or the pairs of a map, in their brackets.
    fn describe_elements(
        &mut self,
        out: &mut String,
        mut left: Len,
        [open, close]: [char; 2],
        room: usize,
    ) -> Result<(), DecodeError> {
        out.push(open);
        if matches!(left, Len::UntilBreak) {
            out.push_str("_ ");
        }
        let mut separator = "";
        while self.more(&mut left)? {
            out.push_str(separator);
            separator = ", ";
            self.describe(out, room)?;
            if open == '{' {
                out.push_str(": ");
                self.describe(out, room)?;
            }
        }
        out.push(close);
        Ok(())
    }

    /// The chunks of an indefinite-length string; `''_` or `""_` where there are none.
    fn describe_chunks(&mut self, out: &mut String, are_bytes: bool) -> Result<(), DecodeError> {
        let mut left = Len::UntilBreak;
        let mut lead = "(_ ";
        while self.more(&mut left)? {
            out.push_str(lead);
            lead = ", ";
            let at = self.at();
            match self.item()? {
                Item::Bytes(len @ Len::Definite(_)) if are_bytes => put_bytes(out, &self.bytes(len)?),
                Item::Text(len @ Len::Definite(_)) if !are_bytes => put_text(out, &self.text(len)?),
                _ => return Err(Problem::BadChunk.at(at)),
            }
        }
        out.push_str(match (lead, are_bytes) {
            (", ", _) => ")",
            (_, true) => "''_",
            (_, false) => "\"\"_",
        });
        Ok(())
    }

    /// The number that a bignum is, unless it could have been written shorter or goes beyond 127 bits.
    fn preferred_bignum(&mut self, tag: u64) -> Result<Option<i128>, DecodeError> {
        let start = self.at();
        if let Some(magnitude) = self.magnitude(tag)?
            && magnitude.len() > 8
            && self.since(start).len() == 1 + magnitude.len()
            && let Some(n) = narrow(tag, &magnitude)
        {
            return Ok(Some(n));
        }
        *self = self.rewound(start);
        Ok(None)
    }
}

/// A float as RFC 8949 appendix A writes it: always with a point, an exponent from 1e+21 and below 1e-6.
pub(super) fn float(n: f64) -> String {
    if n.is_nan() {
        return "NaN".into();
    }
    if n.is_infinite() {
        return if n > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    let scientific = format!("{n:e}");
    let (digits, exponent) = scientific.split_once('e').expect("this form has an exponent");
    let exponent: i32 = exponent.parse().expect("and the exponent is a number");
    let is_plain = (-6..21).contains(&exponent);
    let mut text = if is_plain { n.to_string() } else { digits.to_owned() };
    if !text.contains('.') {
        text.push_str(".0");
    }
    if !is_plain {
        put(&mut text, format_args!("e{exponent:+}"));
    }
    text
}

/// Appends two hexadecimal digits for each byte.
pub(super) fn put_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        put(out, format_args!("{byte:02x}"));
    }
}

fn put_bytes(out: &mut String, bytes: &[u8]) {
    out.push_str("h'");
    put_hex(out, bytes);
    out.push('\'');
}

/// Text in quotes, escaped as in JSON.
fn put_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => put(out, format_args!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn put(out: &mut String, what: impl std::fmt::Display) {
    write!(out, "{what}").expect("a String takes all");
}
