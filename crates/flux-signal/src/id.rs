//! Identities: the UUIDv7 of a message or component (RFC 9562 section 5.7) and the W3C trace id.

use std::{fmt, num::NonZeroU128, str::FromStr};

use smallvec::SmallVec;

/// A UUIDv7. Ordered by time of birth; `Option<FluxId>` is as small as a `FluxId`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FluxId(NonZeroU128);

const VERSION_7: u128 = 0x7 << 76;
const VARIANT: u128 = 0b10 << 62;

impl FluxId {
    /// A version 7 UUID from Unix milliseconds (48 bits kept) and 74 bits chosen by the caller.
    pub fn v7(unix_ms: u64, chosen: u128) -> FluxId {
        let time = u128::from(unix_ms & 0xFFFF_FFFF_FFFF) << 80;
        let rand_a = (chosen >> 62 & 0xFFF) << 64;
        let rand_b = chosen & 0x3FFF_FFFF_FFFF_FFFF;
        FluxId(
            NonZeroU128::new(time | VERSION_7 | rand_a | VARIANT | rand_b).expect("the version bits are set"),
        )
    }

    /// Any UUID but the nil one, which means "no id".
    pub fn from_bytes(bytes: [u8; 16]) -> Option<FluxId> {
        NonZeroU128::new(u128::from_be_bytes(bytes)).map(FluxId)
    }

    /// The sixteen bytes, most significant first.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }

    /// Milliseconds since the Unix epoch at which a version 7 id was made.
    pub fn unix_ms(self) -> u64 {
        (self.0.get() >> 80) as u64
    }
}

impl fmt::Display for FluxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0.get();
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            (n >> 96) as u32,
            (n >> 80) as u16,
            (n >> 64) as u16,
            (n >> 48) as u16,
            n & 0xFFFF_FFFF_FFFF
        )
    }
}

impl fmt::Debug for FluxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text was not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id: expected {1}")]
pub struct IdParseError(String, &'static str);

impl FromStr for FluxId {
    type Err = IdParseError;

    /// Reads 32 hexadecimal digits, with or without hyphens.
    fn from_str(text: &str) -> Result<FluxId, IdParseError> {
        let digits: SmallVec<[u8; 36]> = text.bytes().filter(|digit| *digit != b'-').collect();
        hex_128(&digits)
            .and_then(NonZeroU128::new)
            .map(FluxId)
            .ok_or_else(|| IdParseError(text.into(), "32 hexadecimal digits, not all zero"))
    }
}

/// A W3C trace id (Trace Context section 3.2.2.3): sixteen bytes, not all zero, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(NonZeroU128);

impl TraceId {
    /// Any value but zero, which the standard forbids.
    pub fn new(value: u128) -> Option<TraceId> {
        NonZeroU128::new(value).map(TraceId)
    }

    /// Reads 32 hexadecimal digits of either case.
    pub(crate) fn from_digits(digits: &[u8]) -> Option<TraceId> {
        hex_128(digits).and_then(TraceId::new)
    }

    /// The sixteen bytes as one number.
    pub fn get(self) -> u128 {
        self.0.get()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TraceId {
    type Err = IdParseError;

    fn from_str(text: &str) -> Result<TraceId, IdParseError> {
        TraceId::from_digits(text.as_bytes())
            .ok_or_else(|| IdParseError(text.into(), "32 hexadecimal digits, not all zero"))
    }
}

/// Exactly 32 hexadecimal digits as a number.
fn hex_128(digits: &[u8]) -> Option<u128> {
    let (high, low) = <&[u8; 32]>::try_from(digits).ok()?.split_at(16);
    Some(u128::from(hex_64(high)?) << 64 | u128::from(hex_64(low)?))
}

fn hex_64(digits: &[u8]) -> Option<u64> {
    let mut value = 0;
    let mut mistakes = 0;
    for digit in digits {
        let nibble = NIBBLES[usize::from(*digit)];
        value = value << 4 | u64::from(nibble & 0xF);
        mistakes |= nibble;
    }
    (mistakes <= 0xF).then_some(value)
}

/// What each byte is worth as a hexadecimal digit; more than 15 where it is none.
const NIBBLES: [u8; 256] = {
    let mut nibbles = [0xFF; 256];
    let mut n = 0;
    while n < 16 {
        nibbles[b"0123456789abcdef"[n] as usize] = n as u8;
        nibbles[b"0123456789ABCDEF"[n] as usize] = n as u8;
        n += 1;
    }
    nibbles
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v7_id_carries_version_variant_and_time() {
        // RFC 9562 appendix A.6.
        let id: FluxId = "017F22E2-79B0-7CC3-98C4-DC0C0C07398F".parse().unwrap();
        assert_eq!(id.unix_ms(), 0x017F_22E2_79B0);
        let chosen = 0xCC3 << 62 | 0x18C4_DC0C_0C07_398F;
        assert_eq!(FluxId::v7(0x017F_22E2_79B0, chosen), id);
        assert_eq!(id.to_string(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
        assert_eq!(FluxId::from_bytes(id.to_bytes()), Some(id));
        assert_eq!(size_of::<Option<FluxId>>(), 16);
    }

    #[test]
    fn nonsense_is_not_an_id() {
        for text in ["", "0", "00000000-0000-0000-0000-000000000000", "017f22e2-79b0-7cc3-98c4-dc0c0c07398g"]
        {
            assert!(text.parse::<FluxId>().is_err(), "{text}");
            assert!(text.parse::<TraceId>().is_err(), "{text}");
        }
    }
}
