//! What lies between the length of a frame and its message: taken off on the way in, put on again on the way out.
//!
//! A reply carries the header of its request, turned round: whoever sent the one gets the other back, also when a
//! concentrator with many terminals behind it stands in between.

use flux_gear::{Bytes, Fault, FluxMsg, Metadata};
use flux_iso8583::header::{TPDU_BYTES, Tpdu, VISA_HEADER_BYTES, VisaHeader};

use super::{
    config::{Config, Variant},
    visa,
};

/// Metadata: the header of the frame a message came in, in hexadecimal after `hex:`.
pub(super) const RAW_HEADER: &str = "iso8583.raw_header";

const HEX: &str = "hex:";

/// The header of a gear's frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Header {
    /// There is none.
    None,
    /// A TPDU; `default` is that of messages which bring none.
    Tpdu { default: Bytes, is_swapped: bool },
    /// So many bytes, of which nothing is known.
    Opaque { default: Bytes, is_preserved: bool },
    /// A Visa header; the stations of messages that answer nothing.
    Visa { source: Option<[u8; 3]>, destination: Option<[u8; 3]>, is_preserved: bool },
}

impl Header {
    /// The header a configuration asks for, or what is wrong with it.
    pub(super) fn new(config: &Config) -> Result<Header, String> {
        let size = usize::from(config.protocol_header_size);
        let kinds = [config.tpdu_enabled, config.variant == Variant::Visa, size > 0];
        if kinds.iter().filter(|is_asked_for| **is_asked_for).count() > 1 {
            return Err("set one of `tpdu_enabled`, `variant: visa` and `protocol_header_size`".into());
        }
        Ok(match kinds {
            [true, ..] => {
                let length = usize::from(config.tpdu_length.get());
                let is_swapped = config.tpdu_swap && length == TPDU_BYTES;
                Header::Tpdu { default: default_tpdu(config.tpdu.as_deref(), length)?, is_swapped }
            }
            [_, true, _] => Header::Visa {
                source: station(config.visa_src_id.as_deref(), "visa_src_id")?,
                destination: station(config.visa_dst_id.as_deref(), "visa_dst_id")?,
                is_preserved: config.preserve_headers,
            },
            [_, _, true] => {
                Header::Opaque { default: vec![0; size].into(), is_preserved: config.preserve_headers }
            }
            [false, false, false] => Header::None,
        })
    }

    /// Whether there is none.
    pub(super) fn is_none(&self) -> bool {
        *self == Header::None
    }

    /// Takes the header off the front of a frame.
    pub(super) fn split_off(&self, frame: &mut Bytes) -> Result<Bytes, &'static str> {
        let length = match self {
            Header::None => 0,
            Header::Tpdu { default, .. } | Header::Opaque { default, .. } => default.len(),
            Header::Visa { .. } => match VisaHeader::split(frame) {
                Some((_, message)) => frame.len() - message.len(),
                None => return Err("the frame does not begin with a Visa header"),
            },
        };
        if frame.len() < length {
            Err("the frame ends within its header")
        } else {
            Ok(frame.split_to(length))
        }
    }

    /// Writes into the metadata of a message what its header said.
    pub(super) fn describe(&self, header: &[u8], metadata: &mut Metadata) {
        let is_kept = match self {
            Header::None | Header::Opaque { is_preserved: false, .. } => false,
            Header::Tpdu { .. } | Header::Opaque { is_preserved: true, .. } => true,
            Header::Visa { .. } => {
                visa::describe(header, metadata);
                true
            }
        };
        if is_kept {
            metadata.set(RAW_HEADER, format!("{HEX}{}", hex(header)));
        }
    }

    /// The frame of a message, without its length. `is_reply` when it goes back where its header came from.
    pub(super) fn frame(&self, msg: &FluxMsg, is_reply: bool) -> Result<Bytes, Fault> {
        if self.is_none() {
            return Ok(msg.payload.clone());
        }
        let mut room = [0; u8::MAX as usize];
        let former = msg.metadata.get(RAW_HEADER).and_then(|text| unhex(text.strip_prefix(HEX)?, &mut room));
        self.framed(former, is_reply, &msg.payload)
    }

    /// The frame of a message that has, or answers one that had, the header `former`.
    pub(super) fn framed(
        &self,
        former: Option<&[u8]>,
        is_reply: bool,
        message: &[u8],
    ) -> Result<Bytes, Fault> {
        match self {
            Header::None => Ok(Bytes::copy_from_slice(message)),
            Header::Tpdu { default, is_swapped } => {
                let header = former.filter(|former| former.len() == default.len());
                match header.and_then(Tpdu::split) {
                    Some((tpdu, [])) if *is_swapped && is_reply => {
                        Ok(joined(&tpdu.swapped().to_bytes(), message))
                    }
                    _ => Ok(joined(header.unwrap_or(default), message)),
                }
            }
            Header::Opaque { default, is_preserved } => {
                let header = former.filter(|former| *is_preserved && former.len() == default.len());
                Ok(joined(header.unwrap_or(default), message))
            }
            Header::Visa { source, destination, is_preserved } => {
                let request = former.and_then(VisaHeader::split).map(|(header, _)| header);
                let header = match request {
                    Some(request) if is_reply => request.swapped(),
                    other => VisaHeader {
                        source: source.or(other.map(|header| header.source)).unwrap_or_default(),
                        destination: destination
                            .or(other.map(|header| header.destination))
                            .unwrap_or_default(),
                        is_reject: false,
                    },
                };
                let Some(mut bytes) = header.to_bytes(message.len()) else {
                    let problem = format!("a message of {} bytes does not fit a Visa header", message.len());
                    return Err(Fault::invalid(problem).reason("frame_too_large"));
                };
                if let Some(former) =
                    former.filter(|former| *is_preserved && former.len() >= VISA_HEADER_BYTES)
                {
                    bytes[visa::PRESERVED].copy_from_slice(&former[visa::PRESERVED]);
                }
                Ok(joined(&bytes, message))
            }
        }
    }
}

fn joined(header: &[u8], message: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(header.len() + message.len());
    frame.extend_from_slice(header);
    frame.extend_from_slice(message);
    frame.into()
}

fn default_tpdu(text: Option<&str>, length: usize) -> Result<Bytes, String> {
    let Some(text) = text else {
        let mut default = vec![0; length];
        default[0] = 0x60;
        return Ok(default.into());
    };
    let mut room = [0; u8::MAX as usize];
    match unhex(text, &mut room) {
        Some(tpdu) if tpdu.len() == length => Ok(Bytes::copy_from_slice(tpdu)),
        _ => Err(format!("`tpdu` is `{text}`, not {length} bytes in hexadecimal")),
    }
}

fn station(text: Option<&str>, option: &str) -> Result<Option<[u8; 3]>, String> {
    let Some(text) = text else { return Ok(None) };
    let mut room = [0; 3];
    match unhex(text, &mut room) {
        Some(_) if text.len() == 6 => Ok(Some(room)),
        _ => Err(format!("`{option}` is `{text}`, not six hexadecimal digits")),
    }
}

/// Bytes as hexadecimal text.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xF]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// The bytes of hexadecimal text; `None` when it is no such thing, or too long for `room`.
fn unhex<'r>(text: &str, room: &'r mut [u8]) -> Option<&'r [u8]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = room.get_mut(..pairs.len()).filter(|_| rest.is_empty())?;
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = (high? << 4 | low?) as u8;
    }
    Some(bytes)
}
