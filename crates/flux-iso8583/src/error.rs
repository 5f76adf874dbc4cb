//! What is wrong with a message: the place, the byte, and what was expected there; never the content.

use std::fmt;

use flux_signal::Text;

/// A message, or a value for one, that does not fit its spec.
///
/// One pointer wide, so that results stay cheap on the hot path. It never holds content of the message: it may be
/// logged.
#[derive(Clone, PartialEq, Eq)]
pub struct WireError(Box<Body>);

#[derive(Clone, PartialEq, Eq)]
struct Body {
    place: Place,
    parts: Vec<Text>,
    offset: Option<usize>,
    expected: Expected,
}

/// Which element of a message is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The message as a whole.
    Message,
    /// The message type indicator.
    Mti,
    /// One of the bitmaps.
    Bitmap,
    /// A field by number.
    Field(u8),
}

/// What a codec expected and did not find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Expected {
    /// The message or the element around it ends too early.
    #[error("expected {needed} bytes, {left} left")]
    Bytes {
        /// Bytes the element takes.
        needed: usize,
        /// Bytes there are.
        left: usize,
    },
    /// A length prefix that is no number in its encoding.
    #[error("expected a length prefix of {digits} {code}")]
    LengthPrefix {
        /// Its `L`s.
        digits: u8,
        /// What it is written in.
        code: &'static str,
    },
    /// More than the spec allows.
    #[error("expected a length of at most {max}, got {got}")]
    LengthMax {
        /// The bound of the spec.
        max: usize,
        /// The length found.
        got: usize,
    },
    /// Another length than the spec fixes.
    #[error("expected a length of exactly {exact}, got {got}")]
    LengthExact {
        /// The length of the spec.
        exact: usize,
        /// The length found.
        got: usize,
    },
    /// Something else where a decimal digit belongs.
    #[error("expected decimal digits only")]
    Digits,
    /// Something else where pairs of hexadecimal digits belong.
    #[error("expected pairs of hexadecimal digits")]
    HexDigits,
    /// A character that the magnetic stripe of this track cannot hold (ISO/IEC 7813, ISO/IEC 4909).
    #[error("expected characters of track {0} only")]
    Track(u8),
    /// Text with a character outside the encoding.
    #[error("expected text that {0} can express")]
    Charset(&'static str),
    /// A BER tag that does not end (ISO/IEC 8825-1 section 8.1.2).
    #[error("expected a BER tag of at most four bytes")]
    BerTag,
    /// A BER length that is indefinite or absurd (ISO/IEC 8825-1 section 8.1.3).
    #[error("expected a definite BER length of at most four bytes")]
    BerLength,
    /// A tag outside the spec, under `unknown_tags: reject`.
    #[error("expected a tag that the spec lists")]
    ListedTag,
    /// A part the spec does not define.
    #[error("expected a part that the spec defines")]
    DefinedPart,
    /// A field the spec does not define.
    #[error("expected a field that the spec defines")]
    DefinedField,
    /// A path into a field that has no parts.
    #[error("expected no path below a field without parts")]
    NoParts,
    /// Bytes after the last field.
    #[error("expected the end, {left} bytes left")]
    End {
        /// Bytes that nothing describes.
        left: usize,
    },
    /// A message type that is not four digits.
    #[error("expected a message type of four digits")]
    Mti,
    /// A value of the wrong shape.
    #[error("expected {0}")]
    Shape(&'static str),
    /// A message over the limit.
    #[error("expected a message of at most {max} bytes, got {got}")]
    MessageBytes {
        /// The bound.
        max: usize,
        /// Its size.
        got: usize,
    },
}

/// A failure below the message: where in the bytes at hand, in which part, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fail {
    pub(crate) at: usize,
    pub(crate) parts: Vec<Text>,
    pub(crate) expected: Expected,
}

impl Fail {
    pub(crate) fn new(at: usize, expected: Expected) -> Fail {
        Fail { at, parts: Vec::new(), expected }
    }

    /// The same failure seen from the composite around it.
    pub(crate) fn within(mut self, part: &str, at: usize) -> Fail {
        self.parts.insert(0, part.into());
        self.at += at;
        self
    }
}

impl From<Expected> for Fail {
    fn from(expected: Expected) -> Fail {
        Fail::new(0, expected)
    }
}

impl WireError {
    #[cold]
    pub(crate) fn new(place: Place, offset: Option<usize>, expected: Expected) -> WireError {
        WireError(Box::new(Body { place, parts: Vec::new(), offset, expected }))
    }

    /// A failure while decoding the content that starts at `offset` of the message.
    #[cold]
    pub(crate) fn decoding(place: Place, offset: usize, fail: Fail) -> WireError {
        WireError(Box::new(Body {
            place,
            parts: fail.parts,
            offset: Some(offset + fail.at),
            expected: fail.expected,
        }))
    }

    /// A failure while encoding a value: there is no byte to point at yet.
    #[cold]
    pub(crate) fn encoding(place: Place, fail: Fail) -> WireError {
        WireError(Box::new(Body { place, parts: fail.parts, offset: None, expected: fail.expected }))
    }

    /// The element it is about.
    pub fn place(&self) -> Place {
        self.0.place
    }

    /// The part inside the field, dotted; empty when the field itself is meant.
    pub fn part(&self) -> String {
        self.0.parts.join(".")
    }

    /// The byte of the message, when one was being read. Inside a composite whose own encoding is not one byte per
    /// character it is counted in characters from the start of the field.
    pub fn offset(&self) -> Option<usize> {
        self.0.offset
    }

    /// What was expected.
    pub fn expected(&self) -> Expected {
        self.0.expected
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.place {
            Place::Message => f.write_str("message")?,
            Place::Mti => f.write_str("mti")?,
            Place::Bitmap => f.write_str("bitmap")?,
            Place::Field(number) => write!(f, "field {number}")?,
        }
        if !self.0.parts.is_empty() {
            write!(f, " part {}", self.part())?;
        }
        if let Some(offset) = self.0.offset {
            write!(f, " at byte {offset}")?;
        }
        write!(f, ": {}", self.0.expected)
    }
}

impl fmt::Debug for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WireError({self})")
    }
}

impl std::error::Error for WireError {}
