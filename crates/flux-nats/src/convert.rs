//! Messages, as we and as `async-nats` know them.

use async_nats::HeaderMap;
use flux_bus::{Error, Headers, Message, MessageId, Subject};

/// What the server de-duplicates by.
pub(crate) const HEADER_ID: &str = "Nats-Msg-Id";

pub(crate) fn headers(ours: &Headers) -> HeaderMap {
    let mut theirs = HeaderMap::new();
    for (name, value) in ours.iter() {
        theirs.insert(name, value);
    }
    theirs
}

/// A message and its id. Headers that are not ours to read, the server's own among them, are left out.
pub(crate) fn message(theirs: async_nats::Message) -> Result<(Message, Option<MessageId>), Error> {
    let mut message = Message::new(Subject::new(theirs.subject.as_str())?, theirs.payload);
    message.reply = theirs.reply.and_then(|reply| Subject::new(reply.as_str()).ok());
    let mut id = None;
    for (name, values) in theirs.headers.iter().flat_map(|headers| headers.iter()) {
        let (name, value) = (name.to_string(), values.last().map_or("", |value| value.as_str()));
        match name == HEADER_ID {
            true => id = MessageId::new(value).ok(),
            false => drop(message.headers.set(&name, value)),
        }
    }
    Ok((message, id))
}
