//! The headers that networks put in front of a message: TPDU and Visa.
//!
//! ```text
//! TPDU    id  dest dest  src src                                    5 bytes
//! Visa    length  format  text  total total  dest*3  src*3  ...     22 bytes, 26 when the message is rejected
//! ```

/// Bytes of a TPDU.
pub const TPDU_BYTES: usize = 5;
/// Bytes of a Visa header.
pub const VISA_HEADER_BYTES: usize = 22;
/// Bytes of the Visa header of a rejected message.
pub const VISA_REJECT_HEADER_BYTES: usize = 26;

/// The kinds of header a link may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeaderVariant {
    /// None, or bytes that are passed along.
    #[default]
    Generic,
    /// A Visa header of 22 or 26 bytes.
    Visa,
    /// None; Mastercard messages start with their message type.
    Mastercard,
}

impl HeaderVariant {
    /// The names as configurations write them.
    pub const NAMES: [(&'static str, HeaderVariant); 3] = [
        ("generic", HeaderVariant::Generic),
        ("visa", HeaderVariant::Visa),
        ("mastercard", HeaderVariant::Mastercard),
    ];
}

/// The metadata keys that hold what headers said.
pub mod metadata {
    /// The TPDU of the frame, as hexadecimal text.
    pub const TPDU: &str = "iso8583.tpdu";
    /// The header of the frame, as hexadecimal text.
    pub const HEADER: &str = "iso8583.header";
    /// The station a Visa header names as its destination, six hexadecimal digits.
    pub const VISA_DESTINATION: &str = "iso8583.visa.dst_id";
    /// The station a Visa header names as its source, six hexadecimal digits.
    pub const VISA_SOURCE: &str = "iso8583.visa.src_id";
    /// Whether a Visa header says that the message was rejected.
    pub const VISA_REJECTED: &str = "iso8583.visa.rejected";
}

/// A transport protocol data unit header, as terminals and their concentrators use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tpdu {
    /// The kind of transport; 0x60 for transactions.
    pub id: u8,
    /// Where the frame goes: the network international identifier in BCD.
    pub destination: [u8; 2],
    /// Where it comes from.
    pub source: [u8; 2],
}

impl Tpdu {
    /// The TPDU at the start of a frame, and what follows it. `None` when the frame is too short.
    pub fn split(frame: &[u8]) -> Option<(Tpdu, &[u8])> {
        let ([id, d1, d2, s1, s2], rest) = frame.split_first_chunk::<TPDU_BYTES>()?;
        Some((Tpdu { id: *id, destination: [*d1, *d2], source: [*s1, *s2] }, rest))
    }

    /// The TPDU of the answer: back to where the frame came from.
    #[must_use]
    pub fn swapped(self) -> Tpdu {
        Tpdu { id: self.id, destination: self.source, source: self.destination }
    }

    /// The header as bytes.
    pub fn to_bytes(self) -> [u8; TPDU_BYTES] {
        let Tpdu { id, destination: [d1, d2], source: [s1, s2] } = self;
        [id, d1, d2, s1, s2]
    }
}

/// A Visa message header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisaHeader {
    /// The station the message goes to.
    pub destination: [u8; 3],
    /// The station it comes from.
    pub source: [u8; 3],
    /// Whether it is the longer header of a rejected message.
    pub is_reject: bool,
}

impl VisaHeader {
    /// Format of a header with a bitmap of its own, and the text format that follows it.
    const FORMAT: u8 = 0x01;
    const TEXT_FORMAT: u8 = 0x02;

    /// The header at the start of a frame, and what follows it. `None` when its length byte is neither 22 nor 26, or
    /// the frame is shorter than that.
    pub fn split(frame: &[u8]) -> Option<(VisaHeader, &[u8])> {
        let length = usize::from(*frame.first()?);
        if !matches!(length, VISA_HEADER_BYTES | VISA_REJECT_HEADER_BYTES) || frame.len() < length {
            return None;
        }
        let (header, rest) = frame.split_at(length);
        let station = |at: usize| [header[at], header[at + 1], header[at + 2]];
        let is_reject = length == VISA_REJECT_HEADER_BYTES;
        Some((VisaHeader { destination: station(5), source: station(8), is_reject }, rest))
    }

    /// The header of a message of `message_bytes`. `None` when header and message do not fit a 16-bit length.
    pub fn to_bytes(self, message_bytes: usize) -> Option<[u8; VISA_HEADER_BYTES]> {
        let total = u16::try_from(message_bytes + VISA_HEADER_BYTES).ok()?.to_be_bytes();
        let mut header = [0; VISA_HEADER_BYTES];
        header[..3].copy_from_slice(&[VISA_HEADER_BYTES as u8, VisaHeader::FORMAT, VisaHeader::TEXT_FORMAT]);
        header[3..5].copy_from_slice(&total);
        header[5..8].copy_from_slice(&self.destination);
        header[8..11].copy_from_slice(&self.source);
        Some(header)
    }

    /// The header of the answer: back to where the message came from.
    #[must_use]
    pub fn swapped(self) -> VisaHeader {
        VisaHeader { destination: self.source, source: self.destination, is_reject: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tpdu_is_split_off_and_turned_round() {
        let (tpdu, rest) = Tpdu::split(&[0x60, 0x00, 0x01, 0x80, 0x22, 0x02, 0x00]).unwrap();
        assert_eq!((tpdu.destination, tpdu.source, rest), ([0x00, 0x01], [0x80, 0x22], &[0x02, 0x00][..]));
        assert_eq!(tpdu.swapped().to_bytes(), [0x60, 0x80, 0x22, 0x00, 0x01]);
        assert_eq!(tpdu.swapped().swapped(), tpdu);
        assert_eq!(Tpdu::split(&[0x60, 0, 1, 2]), None);
    }

    #[test]
    fn a_visa_header_is_built_and_read_back() {
        let header = VisaHeader { destination: [1, 2, 3], source: [4, 5, 6], is_reject: false };
        let bytes = header.to_bytes(100).unwrap();
        assert_eq!(&bytes[..11], [0x16, 0x01, 0x02, 0x00, 122, 1, 2, 3, 4, 5, 6]);
        assert_eq!(VisaHeader::split(&bytes), Some((header, &[][..])));
        assert_eq!(header.swapped().source, [1, 2, 3]);
        assert_eq!(header.to_bytes(70_000), None);
        let mut reject = [0; 30];
        reject[0] = 26;
        let (header, rest) = VisaHeader::split(&reject).unwrap();
        assert_eq!((header.is_reject, rest.len()), (true, 4));
        assert_eq!(VisaHeader::split(&[22; 21]), None);
        assert_eq!(VisaHeader::split(&[23; 40]), None);
    }
}
