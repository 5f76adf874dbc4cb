//! Parses the diagnostic notation of RFC 8949 section 8, of which JSON is a part.

mod strings;

use super::{
    BIGNUM, BIGNUM_NEGATIVE, ITEM_NESTING_MAX,
    writer::{Major, put_bignum, put_bytes, put_float, put_head, put_simple, put_text},
};
use crate::NESTING_MAX;

/// Text that is not diagnostic notation: where, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column} of the notation: {what}")]
pub struct NotationError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    what: String,
}

/// Encodes one value in diagnostic notation or JSON. What is written is what is encoded: keys keep their order and
/// repeat if they do, indefinite lengths stay. [`canonicalize`](super::canonicalize) judges them.
///
/// Beside JSON it knows `h'00ff'`, `b64'AP8'`, `'text as bytes'`, `_` for indefinite lengths, `1(..)` for tags,
/// `simple(99)`, `undefined`, `NaN`, `Infinity`, map keys of any kind, integers of up to 128 bits, and comments between
/// slashes. A number with a point or an exponent is a float, in its shortest form.
pub fn parse_diagnostic(text: &str) -> Result<Vec<u8>, NotationError> {
    let mut parser = Parser { text, at: 0 };
    let mut out = Vec::new();
    let parsed = parser.value(&mut out, ITEM_NESTING_MAX).and_then(|()| parser.end());
    match parsed {
        Ok(()) => Ok(out),
        Err(what) => {
            let before = &text[..parser.at];
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            let line = 1 + before.matches('\n').count();
            Err(NotationError { line, column: 1 + before[line_start..].chars().count(), what })
        }
    }
}

/// What is wrong at the place where the parser stands.
type Parsed<T> = Result<T, String>;

struct Parser<'a> {
    text: &'a str,
    /// Always on a character boundary.
    at: usize,
}

const BREAK: u8 = 0xFF;

impl<'a> Parser<'a> {
    /// Appends the encoding of the next value, `room` levels deep at most.
    fn value(&mut self, out: &mut Vec<u8>, room: usize) -> Parsed<()> {
        self.blank()?;
        match self.rest().as_bytes() {
            [b'[', ..] => self.elements(out, Major::List, ']', room),
            [b'{', ..] => self.elements(out, Major::Map, '}', room),
            [b'(', ..] => self.chunks(out),
            [b'0'..=b'9' | b'-', ..] => self.number(out, room),
            [b'"' | b'\'', ..] | [b'h', b'\'', ..] | [b'b', b'6', b'4', b'\'', ..] => {
                let string = self.string()?;
                if string.is_empty() && self.eats("_") {
                    out.extend_from_slice(&[string.indefinite_head(), BREAK]);
                } else {
                    string.put(out);
                }
                Ok(())
            }
            _ => self.word(out),
        }
    }

    /// A list or map, with the opening bracket next.
    fn elements(&mut self, out: &mut Vec<u8>, major: Major, close: char, room: usize) -> Parsed<()> {
        let room = self.deeper(room)?;
        self.at += 1;
        let start = out.len();
        let is_indefinite = self.eats("_");
        let mut count = 0;
        self.blank()?;
        while !self.rest().starts_with(close) {
            if count > 0 {
                self.expect(",")?;
            }
            self.value(out, room)?;
            if matches!(major, Major::Map) {
                self.expect(":")?;
                self.value(out, room)?;
            }
            count += 1;
            self.blank()?;
            if !self.rest().starts_with([',', close]) {
                return Err(format!("expected `,` or `{close}`"));
            }
        }
        self.at += 1;
        let content = out.split_off(start);
        if is_indefinite {
            out.push((major as u8) << 5 | 31);
            out.extend_from_slice(&content);
            out.push(BREAK);
        } else {
            put_head(out, major, count);
            out.extend_from_slice(&content);
        }
        Ok(())
    }

    /// An indefinite-length string, with its parenthesis next.
    fn chunks(&mut self, out: &mut Vec<u8>) -> Parsed<()> {
        self.expect("(")?;
        self.expect("_")?;
        self.blank()?;
        let first = self.string()?;
        let head = first.indefinite_head();
        out.push(head);
        first.put(out);
        self.blank()?;
        while self.eats(",") {
            self.blank()?;
            let start = self.at;
            let chunk = self.string()?;
            if chunk.indefinite_head() != head {
                self.at = start;
                return Err("a chunk of another kind than its string".into());
            }
            chunk.put(out);
            self.blank()?;
        }
        self.expect(")")?;
        out.push(BREAK);
        Ok(())
    }

    /// A number, or the tag whose number it is.
    fn number(&mut self, out: &mut Vec<u8>, room: usize) -> Parsed<()> {
        let start = self.at;
        let is_negative = self.eats("-");
        if is_negative && self.eats("Infinity") {
            put_float(out, f64::NEG_INFINITY);
            return Ok(());
        }
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
            self.at = start;
            return Err("expected digits, the first of several not zero".into());
        }
        if self.rest().starts_with(['.', 'e', 'E']) {
            return self.float(out, start);
        }
        let Ok(magnitude) = digits.parse::<u128>() else {
            self.at = start;
            return Err("an integer beyond 128 bits: write it as 2(h'..')".into());
        };
        if !is_negative && self.rest().starts_with('(') {
            let room = self.deeper(room)?;
            let tag = u64::try_from(magnitude).map_err(|_| "a tag beyond 64 bits".to_owned())?;
            put_head(out, Major::Tag, tag);
            self.expect("(")?;
            self.value(out, room)?;
            return self.expect(")");
        }
        match magnitude.checked_sub(1) {
            Some(below) if is_negative => put_bignum(out, BIGNUM_NEGATIVE, &below.to_be_bytes()),
            _ => put_bignum(out, BIGNUM, &magnitude.to_be_bytes()),
        }
        Ok(())
    }

    /// A float which began at `start`, its point or exponent next.
    fn float(&mut self, out: &mut Vec<u8>, start: usize) -> Parsed<()> {
        if self.eats(".") {
            self.digits()?;
        }
        if self.eats("e") || self.eats("E") {
            let _ = self.eats("+") || self.eats("-");
            self.digits()?;
        }
        let float: f64 = self.text[start..self.at].parse().expect("the grammar of a float");
        if float.is_infinite() {
            self.at = start;
            return Err("a float beyond the range of a double".into());
        }
        put_float(out, float);
        Ok(())
    }

    fn digits(&mut self) -> Parsed<()> {
        if self.take_while(|c| c.is_ascii_digit()).is_empty() {
            Err("expected a digit".into())
        } else {
            Ok(())
        }
    }

    /// A constant or a simple value.
    fn word(&mut self, out: &mut Vec<u8>) -> Parsed<()> {
        let start = self.at;
        let word = self.take_while(|c| c.is_ascii_alphanumeric());
        match word {
            "false" => put_simple(out, 20),
            "true" => put_simple(out, 21),
            "null" => put_simple(out, 22),
            "undefined" => put_simple(out, 23),
            "NaN" => put_float(out, f64::NAN),
            "Infinity" => put_float(out, f64::INFINITY),
            "simple" => {
                self.expect("(")?;
                self.blank()?;
                let at = self.at;
                match self.take_while(|c| c.is_ascii_digit()).parse::<u8>() {
                    Ok(number) if !(24..32).contains(&number) => put_simple(out, number),
                    _ => {
                        self.at = at;
                        return Err("expected a simple value: 0 to 23 or 32 to 255".into());
                    }
                }
                self.expect(")")?;
            }
            _ => {
                self.at = start;
                return Err("expected a value".into());
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Parsed<()> {
        self.blank()?;
        if self.rest().is_empty() { Ok(()) } else { Err("text follows the value".into()) }
    }

    fn deeper(&self, room: usize) -> Parsed<usize> {
        room.checked_sub(1).ok_or_else(|| format!("nested deeper than {NESTING_MAX} levels"))
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Passes over white space and comments.
    fn blank(&mut self) -> Parsed<()> {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
            if !self.rest().starts_with('/') {
                return Ok(());
            }
            let end = self.rest()[1..].find('/').ok_or("a comment without its end")?;
            self.at += end + 2;
        }
    }

    fn eats(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Passes over white space and then over `token`.
    fn expect(&mut self, token: &str) -> Parsed<()> {
        self.blank()?;
        if self.eats(token) { Ok(()) } else { Err(format!("expected `{token}`")) }
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }
}
