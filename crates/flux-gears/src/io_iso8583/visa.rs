//! What a Visa header says, as metadata.
//!
//! ```text
//!  0 length   1 format  2 text format  3-4 total length  5-7 destination  8-10 source  11 round trip
//! 12-13 flags  14-16 status flags  17 batch number  18-20 reserved  21 user info
//! 22-23 bitmap and 24-25 code of a rejected message
//! ```

use std::ops::Range;

use flux_gear::Metadata;

use super::header::hex;

/// What a reply keeps of the header of its request, when headers are preserved.
pub(super) const PRESERVED: Range<usize> = 11..22;

/// A part of the header, and the metadata it becomes: a number in decimal, or bytes in hexadecimal.
const PARTS: [(&str, Range<usize>, Form); 13] = [
    ("iso8583.dst_id", 5..8, Form::Hex),
    ("iso8583.src_id", 8..11, Form::Hex),
    ("iso8583.visa.header_length", 0..1, Form::Number),
    ("iso8583.visa.header_format", 1..2, Form::Hex),
    ("iso8583.visa.text_format", 2..3, Form::Hex),
    ("iso8583.visa.message_length", 3..5, Form::Number),
    ("iso8583.visa.round_trip", 11..12, Form::Hex),
    ("iso8583.visa.flags", 12..14, Form::Hex),
    ("iso8583.visa.status_flags", 14..17, Form::Hex),
    ("iso8583.visa.batch_number", 17..18, Form::Number),
    ("iso8583.visa.user_info", 21..22, Form::Hex),
    ("iso8583.visa.reject_bitmap", 22..24, Form::Hex),
    ("iso8583.visa.reject_code", 24..26, Form::Hex),
];

enum Form {
    Number,
    Hex,
}

/// Writes the parts of a header, of 22 or 26 bytes, into metadata.
pub(super) fn describe(header: &[u8], metadata: &mut Metadata) {
    for (key, place, form) in PARTS {
        let Some(part) = header.get(place) else { continue };
        let text = match form {
            Form::Number => {
                part.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)).to_string()
            }
            Form::Hex => hex(part),
        };
        metadata.set(key, text);
    }
}
