//! Literals: numbers and strings.

use super::scan::{Scanner, is_of_name};
use super::{Expr, Kind, Parsed};
use crate::diagnostic::Problem;
use crate::{Text, Value};

impl Scanner<'_> {
    /// Whether a number is next, its sign included.
    pub(super) fn is_at_number(&self) -> bool {
        let rest = self.rest();
        rest.strip_prefix('-').unwrap_or(rest).starts_with(|c: char| c.is_ascii_digit())
    }

    /// The number that is next.
    pub(super) fn number(&mut self) -> Parsed<Expr> {
        let start = self.at;
        self.eat("-");
        self.take_while(|c| c.is_ascii_digit());
        let mut is_whole = true;
        let has_digit = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
        if self.rest().strip_prefix('.').is_some_and(has_digit) {
            is_whole = false;
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
        }
        if let Some(rest) = self.rest().strip_prefix(['e', 'E'])
            && has_digit(rest.strip_prefix(['+', '-']).unwrap_or(rest))
        {
            is_whole = false;
            self.at += if has_digit(rest) { 1 } else { 2 };
            self.take_while(|c| c.is_ascii_digit());
        }
        let text = &self.text[start..self.at];
        if self.peek().is_some_and(is_of_name) {
            self.take_while(is_of_name);
            return Err(Problem::new(self.since(start), "this is no number", "expected digits"));
        }
        let whole = text.parse().ok().map(Value::whole).filter(|value| !matches!(value, Value::Float(_)));
        let float = text.parse().ok().filter(|n: &f64| n.is_finite()).map(Value::Float);
        match if is_whole { whole } else { float } {
            Some(value) => Expr::new(Kind::Literal(value), self.since(start)),
            None => Err(Problem::new(self.since(start), "this number is out of range", "no 64 bits hold it")),
        }
    }

    /// A string, whose first quote is next.
    pub(super) fn string(&mut self) -> Parsed<Text> {
        let start = self.at;
        if self.eat("\"\"\"") {
            let Some(length) = self.rest().find("\"\"\"") else {
                return Err(Problem::new(
                    self.since(start),
                    "this string has no end",
                    "expected `\"\"\"` after it",
                ));
            };
            let text = Text::new(&self.rest()[..length]);
            self.at += length + 3;
            return Ok(text);
        }
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let plain = self.take_while(|c| !matches!(c, '"' | '\\' | '\n'));
            bytes.extend_from_slice(plain.as_bytes());
            if self.eat("\"") {
                break;
            }
            if !self.is_at("\\") {
                let help = Some("a string over several lines has three quotes at each end".into());
                let why = "this string has no end on its line";
                return Err(Problem::new(self.since(start), why, "expected `\"` after it").help(help));
            }
            self.escape(&mut bytes)?;
        }
        let not_text =
            |_| Problem::new(self.since(start), "this string is not UTF-8", "its escapes make other bytes");
        Ok(Text::from(String::from_utf8(bytes).map_err(not_text)?))
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Parsed<()> {
        let start = self.at;
        self.at += 1;
        let Some(letter) = self.peek() else { return Err(self.unexpected("an escape")) };
        self.at += letter.len_utf8();
        let plain = match letter {
            'n' => b'\n',
            't' => b'\t',
            'r' => b'\r',
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'v' => 11,
            '\\' | '"' | '\'' | '/' => letter as u8,
            '0'..='7' => {
                self.at -= 1;
                let digits = self.rest().get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
                let digits = digits.ok_or_else(|| {
                    Problem::new(
                        self.since(start),
                        "this escape is too short",
                        "expected 3 octal digits, at most \\377",
                    )
                })?;
                self.at += 3;
                digits
            }
            'x' => {
                bytes.push(self.hex(start, 2)? as u8);
                return Ok(());
            }
            'u' | 'U' => {
                let c = self.unicode(start, if letter == 'u' { 4 } else { 8 })?;
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => {
                let help =
                    Some("write a backslash as `\\\\`, or use a raw string: three quotes at each end".into());
                let label = "expected one of \\n \\t \\r \\\" \\\\ \\xFF \\uFFFF";
                return Err(Problem::new(self.since(start), "no such escape", label).help(help));
            }
        };
        bytes.push(plain);
        Ok(())
    }

    /// A code point; a surrogate takes the other half with it.
    fn unicode(&mut self, start: usize, digits: usize) -> Parsed<char> {
        let mut code = self.hex(start, digits)?;
        if (0xd800..0xdc00).contains(&code) && self.eat("\\u") {
            let low = self.hex(start, 4)?;
            code = 0x10000 + ((code - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
        }
        char::from_u32(code)
            .ok_or_else(|| Problem::new(self.since(start), "no such character", "expected a code point"))
    }

    fn hex(&mut self, start: usize, digits: usize) -> Parsed<u32> {
        let found = self.rest().get(..digits).and_then(|text| {
            text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(text, 16).ok())?
        });
        let label = format!("expected {digits} hexadecimal digits");
        let found =
            found.ok_or_else(|| Problem::new(self.since(start), "this escape is too short", label))?;
        self.at += digits;
        Ok(found)
    }
}

/// What a quoted string says; none if that is not what the text is. Backquotes leave escapes alone.
pub(crate) fn unquote(text: &str) -> Option<Text> {
    if let Some(raw) = text.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        return (!raw.contains('`')).then(|| Text::new(raw));
    }
    if !text.starts_with('"') || (text.len() > 2 && text.starts_with("\"\"")) {
        return None;
    }
    let mut scan = Scanner::new(text);
    scan.string().ok().filter(|_| scan.is_at_end())
}
