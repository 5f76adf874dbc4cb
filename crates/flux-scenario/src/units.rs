//! Durations and sizes as people write them: `250ms`, `1m30s`, `64KiB`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span of time, written with units: `250ms`, `5s`, `1m30s`, `2h`. From nanoseconds to days; a bare `0` is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub std::time::Duration);

/// A number of bytes, written with a unit (`64KiB`, `2MiB`, `1GB`) or as a whole number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing was written.
    #[error("a duration is a number with a unit, like \"250ms\", \"5s\" or \"1m30s\"")]
    Empty,
    /// A number without a unit.
    #[error("{0:?} needs a unit: ns, us, ms, s, m, h or d, as in \"{0}s\"")]
    NoUnit(String),
    /// Not a unit.
    #[error("{0:?} is not a unit of time: use ns, us, ms, s, m, h or d")]
    UnknownUnit(String),
    /// More than 2^64 nanoseconds, about 584 years.
    #[error("the duration is too long")]
    TooLong,
}

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ByteSizeError {
    /// No number at the start.
    #[error("a size is a whole number of bytes, or one with a unit, like \"64KiB\" or \"2MiB\"")]
    NoNumber,
    /// Not a unit.
    #[error("{0:?} is not a unit of size: use B, KB, MB, GB (thousands) or KiB, MiB, GiB (1024)")]
    UnknownUnit(String),
    /// More than 2^64 bytes.
    #[error("the size is too large")]
    TooLarge,
}

/// Units from large to small, in nanoseconds.
const TIME_UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units from large to small, in bytes; the first that divides a size is how it is shown.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let mut rest = text.trim();
        match rest {
            "" => return Err(DurationError::Empty),
            "0" => return Ok(Duration::default()),
            _ => {}
        }
        let mut nanos: u64 = 0;
        while !rest.is_empty() {
            let (digits, tail) = split_while(rest, |c| c.is_ascii_digit());
            let (unit, tail) = split_while(tail, |c| !c.is_ascii_digit());
            if digits.is_empty() {
                return Err(DurationError::UnknownUnit(unit.to_owned()));
            }
            let number: u64 = digits.parse().map_err(|_| DurationError::TooLong)?;
            let factor = match unit.trim() {
                "" => return Err(DurationError::NoUnit(digits.to_owned())),
                "\u{b5}s" => 1_000,
                word => TIME_UNITS
                    .iter()
                    .find(|(name, _)| *name == word)
                    .map(|(_, factor)| *factor)
                    .ok_or_else(|| DurationError::UnknownUnit(word.to_owned()))?,
            };
            nanos = number
                .checked_mul(factor)
                .and_then(|part| nanos.checked_add(part))
                .ok_or(DurationError::TooLong)?;
            rest = tail;
        }
        Ok(Duration(std::time::Duration::from_nanos(nanos)))
    }
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in TIME_UNITS {
            let count = nanos / u128::from(factor);
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
            nanos %= u128::from(factor);
        }
        Ok(())
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let (digits, unit) = split_while(text.trim(), |c| c.is_ascii_digit());
        if digits.is_empty() {
            return Err(ByteSizeError::NoNumber);
        }
        let number: u64 = digits.parse().map_err(|_| ByteSizeError::TooLarge)?;
        let unit = unit.trim_start();
        let factor = match unit {
            "" => 1,
            word => SIZE_UNITS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(word))
                .map(|(_, factor)| *factor)
                .ok_or_else(|| ByteSizeError::UnknownUnit(word.to_owned()))?,
        };
        number.checked_mul(factor).map(ByteSize).ok_or(ByteSizeError::TooLarge)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = SIZE_UNITS
            .into_iter()
            .find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor))
            .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of bytes or a size like \"64KiB\"")
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes).map(ByteSize).map_err(|_| E::custom("a size is not negative"))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "duration" })
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "format": "byte-size", "minimum": 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_as_people_write_them() {
        let nanos = |text: &str| text.parse::<Duration>().map(|d| d.0.as_nanos()).map_err(|e| e.to_string());
        assert_eq!(nanos("250ms"), Ok(250_000_000));
        assert_eq!(nanos("1m30s"), Ok(90_000_000_000));
        assert_eq!(nanos(" 2h "), Ok(7_200_000_000_000));
        assert_eq!(nanos("0"), Ok(0));
        assert_eq!(nanos("15\u{b5}s"), Ok(15_000));
        assert_eq!(nanos("5"), Err("\"5\" needs a unit: ns, us, ms, s, m, h or d, as in \"5s\"".into()));
        assert_eq!(nanos("5 sec"), Err("\"sec\" is not a unit of time: use ns, us, ms, s, m, h or d".into()));
        assert_eq!(nanos("-5s"), Err("\"-\" is not a unit of time: use ns, us, ms, s, m, h or d".into()));
        assert_eq!(nanos("999999d9h"), Err("the duration is too long".into()));
        assert_eq!(nanos("99999999999999999999s"), Err("the duration is too long".into()));
    }

    #[test]
    fn sizes_as_people_write_them() {
        let bytes = |text: &str| text.parse::<ByteSize>().map(|s| s.0).map_err(|e| e.to_string());
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(bytes("2 mib"), Ok(2_097_152));
        assert_eq!(bytes("1GB"), Ok(1_000_000_000));
        assert_eq!(bytes("512"), Ok(512));
        assert!(bytes("KiB").unwrap_err().starts_with("a size is a whole number of bytes"));
        assert!(bytes("5 parsecs").unwrap_err().starts_with("\"parsecs\" is not a unit of size"));
        assert_eq!(bytes("99999999999GiB"), Err("the size is too large".into()));
        assert_eq!(serde_json::from_str::<ByteSize>("4096").unwrap(), ByteSize(4096));
        assert!(serde_json::from_str::<ByteSize>("-1").is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(nanos: u64, bytes: u64) {
            let duration = Duration(std::time::Duration::from_nanos(nanos));
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }

        #[test]
        fn any_text_is_an_answer(text in ".{0,40}") {
            let _ = text.parse::<Duration>();
            let _ = text.parse::<ByteSize>();
        }
    }
}
