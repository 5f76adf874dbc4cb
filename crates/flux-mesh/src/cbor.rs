//! The few items of CBOR that packs and reports are made of, in canonical form only: equal content is equal bytes.

use bytes::Bytes;

/// Why bytes from the bus are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (offset {at})")]
pub struct Malformed {
    /// Where.
    pub at: usize,
    /// What is wrong.
    pub problem: &'static str,
}

/// The major types of RFC 8949 that we use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Major {
    Uint = 0,
    Bytes = 2,
    List = 4,
}

/// The longest head of an item.
pub(crate) const HEAD_BYTES_MAX: usize = 9;

/// Appends the head of an item, as short as it can be.
pub(crate) fn push(major: Major, number: u64, into: &mut Vec<u8>) {
    let major = (major as u8) << 5;
    match number {
        0..24 => into.push(major | number as u8),
        24..0x100 => into.extend([major | 24, number as u8]),
        0x100..0x1_0000 => {
            into.push(major | 25);
            into.extend((number as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            into.push(major | 26);
            into.extend((number as u32).to_be_bytes());
        }
        _ => {
            into.push(major | 27);
            into.extend(number.to_be_bytes());
        }
    }
}

pub(crate) fn push_bytes(bytes: &[u8], into: &mut Vec<u8>) {
    push(Major::Bytes, bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}

/// A place in bytes that are read; strings are slices of them.
pub(crate) struct Reader {
    bytes: Bytes,
    at: usize,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn problem(&self, problem: &'static str) -> Malformed {
        Malformed { at: self.at, problem }
    }

    /// All that was read so far.
    pub(crate) fn before(&self) -> &[u8] {
        &self.bytes[..self.at]
    }

    /// Whether the next item is of this type.
    pub(crate) fn is(&self, major: Major) -> bool {
        self.bytes.get(self.at).is_some_and(|first| first >> 5 == major as u8)
    }

    pub(crate) fn uint(&mut self) -> Result<u64, Malformed> {
        self.head(Major::Uint, "no unsigned number")
    }

    /// A list of so many items, which follow. There may be fewer.
    pub(crate) fn list(&mut self) -> Result<u64, Malformed> {
        self.head(Major::List, "no list")
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let length = self.head(Major::Bytes, "no byte string")?;
        let rest = self.bytes.len() - self.at;
        let length = usize::try_from(length).ok().filter(|length| *length <= rest);
        let Some(length) = length else { return Err(self.problem("a byte string is cut short")) };
        self.at += length;
        Ok(self.bytes.slice(self.at - length..self.at))
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.problem("something follows")) }
    }

    fn head(&mut self, major: Major, wanted: &'static str) -> Result<u64, Malformed> {
        if !self.is(major) {
            return Err(self.problem(wanted));
        }
        let info = self.bytes[self.at] & 0x1F;
        let (width, least) = match info {
            0..24 => (0, 0),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(self.problem("a length that is not definite")),
        };
        let Some(digits) = self.bytes.get(self.at + 1..self.at + 1 + width) else {
            return Err(self.problem("a head is cut short"));
        };
        let number = match width {
            0 => info.into(),
            _ => digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit)),
        };
        if number < least {
            return Err(self.problem("a number is longer than it need be"));
        }
        self.at += 1 + width;
        Ok(number)
    }
}
