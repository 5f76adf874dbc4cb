//! Names that cannot hold a bad value: of streams, consumers and buckets, of keys, and the ids of messages.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::{ID_BYTES_MAX, KEY_BYTES_MAX, NAME_BYTES_MAX};
use crate::subject::text;

macro_rules! word {
    ($(#[$doc:meta])* $word:ident, $what:literal, $bytes_max:ident, $is_good:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $word(Arc<str>);

        impl $word {
            /// Takes it if it is a good one.
            pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
                let text = text.as_ref();
                let is_good: fn(&str) -> bool = $is_good;
                if text.is_empty() || text.len() > $bytes_max || !is_good(text) {
                    return Err(Error::Invalid(format!("{text:?} is no {}: {}, 1 to {} bytes", $what, $rule, $bytes_max)));
                }
                Ok(Self(text.into()))
            }

            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        text!($word);
    };
}

word!(
    /// The name of a stream, a consumer, a bucket, a store of objects; also one token of a subject, and of a path.
    Name,
    "name",
    NAME_BYTES_MAX,
    |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')),
    "letters, digits, `-` and `_`"
);

word!(
    /// The key of an entry in a bucket.
    Key,
    "key",
    KEY_BYTES_MAX,
    |text| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=' | b'/');
        text.split('.').all(|token| !token.is_empty() && token.bytes().all(is_good))
    },
    "letters, digits, `-`, `_`, `=` and `/`, in tokens between single dots"
);

word!(
    /// What makes a message the same one when it is stored again.
    MessageId,
    "message id",
    ID_BYTES_MAX,
    |text| text.bytes().all(|byte| byte.is_ascii_graphic()),
    "visible ASCII"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_checked() {
        for bad in ["", "a.b", "a b", "*", ">", "../x", "a/b", "ü", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
        for bad in ["", ".a", "a.", "a..b", "a b", "a*", ">", "a\n"] {
            assert!(Key::new(bad).is_err(), "{bad}");
        }
        for bad in ["", "a b", "a\r\nb"] {
            assert!(MessageId::new(bad).is_err(), "{bad}");
        }
        assert_eq!(Key::new("rack/a-1.x=y").unwrap().as_str(), "rack/a-1.x=y");
        let error = Name::new("a.b").unwrap_err().to_string();
        expect_test::expect![[r#""a.b" is no name: letters, digits, `-` and `_`, 1 to 60 bytes"#]]
            .assert_eq(&error);
    }
}
