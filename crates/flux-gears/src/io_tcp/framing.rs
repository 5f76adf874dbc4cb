//! The framing of a configuration, and the escapes of its delimiter.

use std::sync::Arc;

use flux_gear::{Bytes, Fault};
use flux_pool::framing::{self, Decoder, Delimited, Encoder, LengthPrefixed, Raw, Width};

use super::config::{Config, Framing, Position};

/// The framing a configuration asks for, and the largest payload it can send. Frames are up to `frame_bytes_max`.
pub(super) fn framing(
    config: &Config,
    frame_bytes_max: usize,
) -> Result<(Arc<dyn framing::Framing>, usize), Fault> {
    let prefixed = |width| Arc::new(LengthPrefixed::big_endian(width, frame_bytes_max));
    let framing: Arc<dyn framing::Framing> = match config.framing {
        Framing::Delimiter => {
            let delimited = delimited(config, frame_bytes_max)?;
            let added = if delimited.adds_delimiter { delimited.delimiter.len() } else { 0 };
            let payload_bytes_max = delimited.frame_bytes_max - added;
            return Ok((Arc::new(delimited), payload_bytes_max));
        }
        Framing::LengthPrefix2 => prefixed(Width::Two),
        Framing::LengthPrefix4 => prefixed(Width::Four),
        Framing::Raw => Arc::new(Raw { frame_bytes_max }),
    };
    let payload_bytes_max = framing.frame_bytes_max();
    Ok((framing, payload_bytes_max))
}

fn delimited(config: &Config, frame_bytes_max: usize) -> Result<Delimited, Fault> {
    let delimiter = unescape(&config.delimiter)
        .map_err(|why| Fault::fatal(format!("`delimiter`: {why}")).reason("config"))?;
    let lines = Delimited::lines(frame_bytes_max);
    let base = match &delimiter[..] {
        [] => lines,
        _ => Delimited { trims_carriage_return: false, delimiter, ..lines },
    };
    Ok(Delimited {
        position: match config.delimiter_position {
            Position::Suffix => framing::Position::Suffix,
            Position::Prefix => framing::Position::Prefix,
        },
        keeps_delimiter: config.delimiter_include,
        adds_delimiter: config.delimiter_append,
        // A frame of the largest size still has room for its delimiter.
        frame_bytes_max: frame_bytes_max + base.delimiter.len(),
        ..base
    })
}

/// Writes frames as another framing does, and reads whatever comes as it comes.
#[derive(Debug)]
pub(super) struct WriteOnly(pub(super) Arc<dyn framing::Framing>);

impl framing::Framing for WriteOnly {
    fn decoder(&self) -> Box<dyn Decoder> {
        Raw { frame_bytes_max: self.frame_bytes_max() }.decoder()
    }

    fn encoder(&self) -> Box<dyn Encoder> {
        self.0.encoder()
    }

    fn frame_bytes_max(&self) -> usize {
        self.0.frame_bytes_max()
    }
}

/// The bytes of a text with escapes.
pub(super) fn unescape(text: &str) -> Result<Bytes, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match rest.next() {
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                let mut digit = || rest.next().and_then(|c| c.to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high << 4 | low) as u8,
                    _ => return Err("`\\x` takes two hexadecimal digits".into()),
                }
            }
            Some(other) => {
                return Err(format!("`\\{other}` is no escape: there are \\n \\r \\t \\0 \\\\ \\xHH"));
            }
            None => return Err("a backslash at the end escapes nothing".into()),
        });
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&match unescape(text) {
            Ok(bytes) => format!("{:02x?}", &bytes[..]),
            Err(why) => format!("error: {why}"),
        });
    }

    #[test]
    fn escapes() {
        check("", expect!["[]"]);
        check("|", expect!["[7c]"]);
        check(r"\r\n", expect!["[0d, 0a]"]);
        check(r"\x02\xFf\0\\", expect!["[02, ff, 00, 5c]"]);
        check("\u{a7}", expect!["[c2, a7]"]);
        check(r"\x2", expect![r"error: `\x` takes two hexadecimal digits"]);
        check(r"\q", expect![r"error: `\q` is no escape: there are \n \r \t \0 \\ \xHH"]);
        check("a\\", expect!["error: a backslash at the end escapes nothing"]);
    }
}
