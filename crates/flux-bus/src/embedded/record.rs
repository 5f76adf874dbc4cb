//! A message as a record of its stream's journal.
//!
//! ```text
//! offset 0        1            3       4          5
//!        +--------+------------+-------+----------+---------+----+---------------------------+------+
//!        | format | subject, n | id, n | headers  | subject | id | n, name, n (two), value   | body |
//!        | 1      | two bytes  | one   | how many |         |    | for each header           |      |
//!        +--------+------------+-------+----------+---------+----+---------------------------+------+
//! ```
//!
//! Numbers are little-endian. A message that was stored without an id has one of length 0.

use bytes::{Buf, Bytes};

use crate::message::{Headers, Message};
use crate::names::MessageId;
use crate::subject::Subject;

const FORMAT: u8 = 1;

/// What a record has besides the body, at most: what the limits allow, rounded up.
pub(super) const OVERHEAD_BYTES: usize = 8 << 10;

const _: () = {
    use crate::limits::{HEADERS_BYTES_MAX, HEADERS_MAX, ID_BYTES_MAX, SUBJECT_BYTES_MAX};
    assert!(5 + SUBJECT_BYTES_MAX + ID_BYTES_MAX + HEADERS_BYTES_MAX + 4 * HEADERS_MAX < OVERHEAD_BYTES);
    assert!(ID_BYTES_MAX <= 255 && HEADERS_MAX <= 100, "each is counted by one byte");
};

pub(super) fn encode(id: Option<&MessageId>, message: &Message) -> Vec<u8> {
    let (subject, id) = (message.subject.as_str(), id.map_or("", MessageId::as_str));
    let mut record = Vec::with_capacity(5 + subject.len() + id.len() + message.body.len());
    record.push(FORMAT);
    record.extend_from_slice(&(subject.len() as u16).to_le_bytes());
    record.push(id.len() as u8);
    record.push(message.headers.iter().len() as u8);
    record.extend_from_slice(subject.as_bytes());
    record.extend_from_slice(id.as_bytes());
    for (name, value) in message.headers.iter() {
        for text in [name, value] {
            record.extend_from_slice(&(text.len() as u16).to_le_bytes());
            record.extend_from_slice(text.as_bytes());
        }
    }
    record.extend_from_slice(&message.body);
    record
}

/// `None` when the record holds no message.
pub(super) fn decode(mut record: Bytes) -> Option<(Option<MessageId>, Message)> {
    let format = record.try_get_u8().ok()?;
    let subject_bytes = record.try_get_u16_le().ok()?;
    let id_bytes = record.try_get_u8().ok()?;
    let headers_count = record.try_get_u8().ok()?;
    let subject = Subject::new(text(&mut record, subject_bytes.into())?).ok()?;
    let id = match text(&mut record, id_bytes.into())? {
        id if id.is_empty() => None,
        id => Some(MessageId::new(id).ok()?),
    };
    let mut headers = Headers::default();
    for _ in 0..headers_count {
        let mut next = || {
            let bytes = record.try_get_u16_le().ok()?;
            text(&mut record, bytes.into())
        };
        headers.set(&next()?, &next()?).ok()?;
    }
    let is_whole = format == FORMAT && headers.iter().len() == usize::from(headers_count);
    is_whole.then_some((id, Message { subject, reply: None, headers, body: record }))
}

fn text(record: &mut Bytes, bytes: usize) -> Option<String> {
    if record.len() < bytes {
        return None;
    }
    String::from_utf8(record.split_to(bytes).into()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_format_is_pinned() {
        let id = MessageId::new("i7").unwrap();
        let message = Message::new(Subject::new("a.b").unwrap(), "body").with("H", "va").unwrap();
        let hex: Vec<String> = encode(Some(&id), &message).iter().map(|byte| format!("{byte:02x}")).collect();
        let want = "01 03 00 02 01 61 2e 62 69 37 01 00 48 02 00 76 61 62 6f 64 79";
        assert_eq!(hex.join(" "), want);
    }

    proptest! {
        #[test]
        fn a_message_reads_back(
            subject in "[a-z]{1,9}(\\.[a-z0-9]{1,9}){0,4}",
            id in prop::option::of("[!-~]{1,40}"),
            headers in prop::collection::btree_map("[A-M][a-z]{0,9}", "([!-~][ -~]{0,30}[!-~])?", 0..8),
            body: Vec<u8>,
        ) {
            let mut message = Message::new(Subject::new(subject).unwrap(), body);
            for (name, value) in &headers {
                message.headers.set(name, value).unwrap();
            }
            let id = id.map(|id| MessageId::new(id).unwrap());
            prop_assert_eq!(decode(encode(id.as_ref(), &message).into()), Some((id, message)));
        }

        #[test]
        fn any_bytes_are_a_message_or_none(record: Vec<u8>) {
            a_message_or_none(&record);
        }
    }

    fn a_message_or_none(record: &[u8]) {
        if let Some((id, message)) = decode(Bytes::copy_from_slice(record)) {
            assert_eq!(encode(id.as_ref(), &message), record);
        }
    }

    /// Replays the committed corpus; under `cargo bolero test` it is a fuzz target.
    #[test]
    fn messages_take_anything() {
        bolero::check!().with_iterations(0).for_each(a_message_or_none);
    }
}
