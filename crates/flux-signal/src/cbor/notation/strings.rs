//! The strings of the diagnostic notation: JSON text, and bytes in base 16, base 64 or as text.

use super::{Parsed, Parser, put_bytes, put_text};

/// A string as written, before it is encoded.
pub(super) enum Literal {
    Text(String),
    Bytes(Vec<u8>),
}

impl Literal {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Literal::Text(text) => text.is_empty(),
            Literal::Bytes(bytes) => bytes.is_empty(),
        }
    }

    /// The first byte of an indefinite-length string of this kind.
    pub(super) fn indefinite_head(&self) -> u8 {
        match self {
            Literal::Text(_) => 0x7F,
            Literal::Bytes(_) => 0x5F,
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Literal::Text(text) => put_text(out, text),
            Literal::Bytes(bytes) => put_bytes(out, bytes),
        }
    }
}

impl Parser<'_> {
    /// The string that begins here.
    pub(super) fn string(&mut self) -> Parsed<Literal> {
        if self.eats("\"") {
            self.quoted('"').map(Literal::Text)
        } else if self.eats("'") {
            self.quoted('\'').map(|text| Literal::Bytes(text.into_bytes()))
        } else if self.eats("h'") {
            self.based(4, |digit| digit.to_digit(16)).map(Literal::Bytes)
        } else if self.eats("b64'") {
            self.based(6, base64_digit).map(Literal::Bytes)
        } else {
            Err("expected a string".into())
        }
    }

    /// Text up to the closing quote, with the escapes of JSON.
    fn quoted(&mut self, quote: char) -> Parsed<String> {
        let mut text = String::new();
        loop {
            let plain = self.take_while(|c| c != quote && c != '\\' && c >= ' ');
            text.push_str(plain);
            if self.eats("\\") {
                text.push(self.escape()?);
            } else if self.rest().starts_with(quote) {
                self.at += 1;
                return Ok(text);
            } else if self.rest().is_empty() {
                return Err("a string without its end".into());
            } else {
                return Err("a control character in a string: write it as \\u".into());
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Parsed<char> {
        let c = self.rest().chars().next().ok_or("a string without its end")?;
        let meant = match c {
            '"' | '\'' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                self.at += 1;
                let mut unit = self.hex_unit()?;
                if (0xD800..0xDC00).contains(&unit) && self.eats("\\u") {
                    let low = self.hex_unit()?;
                    if (0xDC00..0xE000).contains(&low) {
                        unit = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                    }
                }
                return char::from_u32(unit).ok_or_else(|| "half of a surrogate pair".into());
            }
            _ => return Err("an escape that JSON does not have".into()),
        };
        self.at += 1;
        Ok(meant)
    }

    /// Four hexadecimal digits.
    fn hex_unit(&mut self) -> Parsed<u32> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|d| d.is_ascii_hexdigit()));
        let digits = digits.ok_or("expected four hexadecimal digits")?;
        self.at += 4;
        Ok(u32::from_str_radix(digits, 16).expect("four hexadecimal digits"))
    }

    /// Bytes up to the closing quote, each digit worth `bits`; white space between digits counts for nothing.
    fn based(&mut self, bits: u32, digit: impl Fn(char) -> Option<u32>) -> Parsed<Vec<u8>> {
        let mut bytes = Vec::new();
        let (mut held, mut held_bits) = (0u32, 0);
        loop {
            self.take_while(|c| c.is_ascii_whitespace());
            if self.eats("'") {
                // Base 64 leaves up to four bits over; half a byte of base 16 is a mistake.
                let is_whole = held_bits < bits && held == 0;
                return if is_whole {
                    Ok(bytes)
                } else {
                    Err("a byte string that ends inside a byte".into())
                };
            }
            if bits == 6 && self.eats("=") {
                continue;
            }
            let c = self.rest().chars().next().ok_or("a string without its end")?;
            held = held << bits | digit(c).ok_or("expected a digit of the string's base")?;
            held_bits += bits;
            self.at += c.len_utf8();
            if held_bits >= 8 {
                held_bits -= 8;
                bytes.push((held >> held_bits) as u8);
                held &= (1 << held_bits) - 1;
            }
        }
    }
}

/// A digit of base 64, in either alphabet of RFC 4648.
fn base64_digit(c: char) -> Option<u32> {
    Some(match c {
        'A'..='Z' => u32::from(c) - 65,
        'a'..='z' => u32::from(c) - 97 + 26,
        '0'..='9' => u32::from(c) - 48 + 52,
        '+' | '-' => 62,
        '/' | '_' => 63,
        _ => return None,
    })
}
