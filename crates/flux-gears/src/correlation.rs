//! What a request and its reply have in common: the values of a message, joined into a key without collisions.

use flux_gear::{Fault, FluxMsg, Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest value that may be part of a key, in bytes: its length is written in one.
const PART_BYTES_MAX: usize = u8::MAX as usize;

/// The values a request and its reply have in common.
pub(crate) struct Correlation {
    parts: Vec<Key>,
    normalize: Normalize,
}

/// How the two sides of a value are made to look alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// White space around it does not count.
    #[default]
    Trim,
    /// As `trim`; and of a number leading zeros do not count, so that `000042` in one dialect is `42` in another.
    Numeric,
    /// Every character counts.
    None,
}

impl Normalize {
    fn of(self, value: &str) -> &str {
        let trimmed = value.trim();
        let is_number = || !trimmed.is_empty() && trimmed.bytes().all(|digit| digit.is_ascii_digit());
        match self {
            Normalize::None => value,
            Normalize::Numeric if is_number() => match trimmed.trim_start_matches('0') {
                "" => "0",
                digits => digits,
            },
            Normalize::Trim | Normalize::Numeric => trimmed,
        }
    }
}

/// Why a message has no key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoKey {
    /// It has none of the values.
    #[error("the message has none of the values of the key")]
    Empty,
    /// One is too long to be part of a key.
    #[error("the value of `{0}` is longer than {PART_BYTES_MAX} bytes, too long for a key")]
    TooLong(Key),
}

impl Correlation {
    pub(crate) fn new(parts: Vec<Key>, normalize: Normalize) -> Correlation {
        Correlation { parts, normalize }
    }

    /// The values, by name.
    pub(crate) fn parts(&self) -> &[Key] {
        &self.parts
    }

    /// Whether it names fields of ISO 8583 messages and takes all their message types for one.
    pub(crate) fn mixes_exchanges(&self) -> bool {
        let names = |part: &str| self.parts.iter().any(|key| key.as_str().contains(part));
        names("iso8583.field.") && !names("iso8583.exchange") && !names("iso8583.mti")
    }

    /// Writes the key of a message into `key`: each value with its length before it, so that `12` and `3` are not
    /// taken for `1` and `23`.
    pub(crate) fn write(&self, msg: &FluxMsg, key: &mut Vec<u8>) -> Result<(), NoKey> {
        key.clear();
        for part in &self.parts {
            let value = part.text(msg).unwrap_or_default();
            let value = self.normalize.of(&value);
            let length = u8::try_from(value.len()).map_err(|_| NoKey::TooLong(part.clone()))?;
            key.push(length);
            key.extend_from_slice(value.as_bytes());
        }
        // One length byte per part and nothing else.
        if key.len() == self.parts.len() { Err(NoKey::Empty) } else { Ok(()) }
    }
}

impl From<NoKey> for Fault {
    fn from(no_key: NoKey) -> Fault {
        Fault::invalid(no_key.to_string()).reason("no_key")
    }
}

#[cfg(test)]
mod tests {
    use flux_gear::FluxId;
    use proptest::prelude::*;

    use super::*;

    fn key(values: &[Option<String>]) -> Result<Vec<u8>, NoKey> {
        let names: Vec<String> = (0..values.len()).map(|at| format!("k{at}")).collect();
        let mut msg = FluxMsg::new(FluxId::v7(1, 1), 0, "");
        for (name, value) in names.iter().zip(values) {
            if let Some(value) = value {
                msg.metadata.set(name, value.as_str());
            }
        }
        let parts = names.iter().map(|name| format!("meta.{name}").parse().unwrap()).collect();
        let mut key = b"left over".to_vec();
        Correlation::new(parts, Normalize::None).write(&msg, &mut key).map(|()| key)
    }

    #[test]
    fn some_values_make_a_key_and_none_do_not() {
        assert_eq!(key(&[Some("12".into()), None]), Ok(b"\x0212\0".to_vec()));
        assert_eq!(key(&[None, Some(String::new())]), Err(NoKey::Empty));
        let long = key(&[Some("9".repeat(256)), None]).unwrap_err();
        assert!(long.to_string().contains("`meta.k0` is longer than 255 bytes"), "{long}");
    }

    #[test]
    fn two_dialects_write_one_value() {
        for (normalize, value, want) in [
            (Normalize::Trim, " 0042 ", "0042"),
            (Normalize::Numeric, " 0042 ", "42"),
            (Normalize::Numeric, "000", "0"),
            (Normalize::Numeric, " 00T1 ", "00T1"),
            (Normalize::Numeric, "  ", ""),
            (Normalize::None, " 0042 ", " 0042 "),
        ] {
            assert_eq!(normalize.of(value), want, "{normalize:?}");
        }
    }

    proptest! {
        #[test]
        fn different_values_have_different_keys(
            a in prop::collection::vec("[0-9]{0,3}", 3),
            b in prop::collection::vec("[0-9]{0,3}", 3),
        ) {
            let keyed = |values: &[String]| key(&values.iter().cloned().map(Some).collect::<Vec<_>>());
            prop_assume!(keyed(&a).is_ok());
            prop_assert_eq!(keyed(&a) == keyed(&b), a == b);
        }
    }
}
