//! The key of a ticket: the correlated values of a message, joined without collisions.

use flux_gear::{FluxMsg, Key};

/// Longest value that may be part of a key, in bytes: its length is written in one.
const PART_BYTES_MAX: usize = u8::MAX as usize;

/// The values a request and its reply have in common.
pub(crate) struct Correlation(pub(crate) Vec<Key>);

/// Why a message has no key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoKey {
    /// It has none of the values.
    #[error("the message has none of the values of the correlation key")]
    Empty,
    /// One is too long to be part of a key.
    #[error("the value of `{0}` is longer than {PART_BYTES_MAX} bytes, too long for a correlation key")]
    TooLong(Key),
}

impl Correlation {
    /// Whether it names fields of ISO 8583 messages and takes all their message types for one.
    pub(crate) fn mixes_exchanges(&self) -> bool {
        let names = |part: &str| self.0.iter().any(|key| key.as_str().contains(part));
        names("iso8583.field.") && !names("iso8583.exchange") && !names("iso8583.mti")
    }

    /// Writes the key of a message into `key`: each value with its length before it, so that `12` and `3` are not
    /// taken for `1` and `23`.
    pub(crate) fn write(&self, msg: &FluxMsg, key: &mut Vec<u8>) -> Result<(), NoKey> {
        key.clear();
        for part in &self.0 {
            let value = part.text(msg).unwrap_or_default();
            let length = u8::try_from(value.len()).map_err(|_| NoKey::TooLong(part.clone()))?;
            key.push(length);
            key.extend_from_slice(value.as_bytes());
        }
        // One length byte per part and nothing else.
        if key.len() == self.0.len() { Err(NoKey::Empty) } else { Ok(()) }
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
        Correlation(parts).write(&msg, &mut key).map(|()| key)
    }

    #[test]
    fn some_values_make_a_key_and_none_do_not() {
        assert_eq!(key(&[Some("12".into()), None]), Ok(b"\x0212\0".to_vec()));
        assert_eq!(key(&[None, Some(String::new())]), Err(NoKey::Empty));
        let long = key(&[Some("9".repeat(256)), None]).unwrap_err();
        assert!(long.to_string().contains("`meta.k0` is longer than 255 bytes"), "{long}");
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
