//! Tags of TLV composites: BER tags, or a fixed count of characters.

use flux_signal::{Bytes, Text, Value};

use crate::{
    ber,
    composite::Layout,
    encoding::{Encoding, hex_decode, hex_text},
    error::Expected,
};

/// How a tag is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagCode {
    /// A BER tag, shown as hexadecimal text.
    Ber,
    /// `length` characters in `encoding`.
    Text { length: u8, encoding: Encoding },
}

impl TagCode {
    /// Bytes of the tag at the start of `bytes`.
    pub(crate) fn measure(self, bytes: &[u8]) -> Result<usize, Expected> {
        match self {
            TagCode::Ber => ber::tag_len(bytes),
            TagCode::Text { length, encoding } => {
                let needed = encoding.unit().bytes(length.into());
                if needed > bytes.len() {
                    return Err(Expected::Bytes { needed, left: bytes.len() });
                }
                Ok(needed)
            }
        }
    }

    /// The tag as people write it.
    pub(crate) fn text(self, wire: &[u8]) -> Text {
        match self {
            TagCode::Ber | TagCode::Text { encoding: Encoding::Binary, .. } => hex_text(wire).into(),
            TagCode::Text { length, encoding } => match encoding.decode(wire, length.into(), true) {
                Ok(text) => text.iter().copied().map(char::from).collect(),
                Err(_) => hex_text(wire).into(),
            },
        }
    }

    /// The tag as it stands on the wire; `None` for text that is no such tag.
    pub(crate) fn wire(self, text: &str) -> Option<Vec<u8>> {
        let wire = match self {
            TagCode::Ber | TagCode::Text { encoding: Encoding::Binary, .. } => {
                hex_decode(text.as_bytes()).ok()?
            }
            TagCode::Text { length, encoding } => {
                let latin1: Vec<u8> = text.chars().map(|c| u8::try_from(c).ok()).collect::<Option<_>>()?;
                let mut wire = Vec::new();
                (latin1.len() == usize::from(length))
                    .then(|| encoding.encode(&latin1, true, &mut wire))?
                    .ok()?;
                wire
            }
        };
        let is_filler = self == TagCode::Ber && wire.first() == Some(&0);
        (!is_filler && self.measure(&wire) == Ok(wire.len())).then_some(wire)
    }
}

/// A tag as a number to be looked up by. Tags of one code never collide: they are of one length, or say their own.
pub(crate) fn number(wire: &[u8]) -> u64 {
    wire.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The value of a tag the spec does not list: hexadecimal text under BER tags, text elsewhere.
pub(crate) fn unknown_value(layout: Layout, body: &[u8]) -> Value {
    match (layout, std::str::from_utf8(body)) {
        (Layout::Tlv { tag: TagCode::Ber, .. }, _) => Value::Text(hex_text(body).into()),
        (_, Ok(text)) => Value::Text(text.into()),
        (_, Err(_)) => Value::Bytes(Bytes::copy_from_slice(body)),
    }
}
