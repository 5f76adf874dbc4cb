//! What ISO 8583 message types say of who answers whom. Messages without one say nothing, and nothing is held against them.

use flux_gear::{FluxMsg, Text, Value};
use flux_iso8583::response_mti;

/// The message type, in the data or as the codec noted it in the metadata.
const MTI: &str = "iso8583.mti";

/// The exchange a message belongs to: the message type of its request.
pub(crate) fn of(msg: &FluxMsg) -> Option<[u8; 4]> {
    flux_iso8583::exchange(&mti(msg)?)
}

/// Whether a message is a request itself, and so answers none.
pub(crate) fn is_request(msg: &FluxMsg) -> bool {
    mti(msg).is_some_and(|mti| response_mti(&mti).is_some())
}

/// Whether a message answers a request, and so is none.
pub(crate) fn is_response(msg: &FluxMsg) -> bool {
    let function = |mti: &[u8]| mti.get(2).copied();
    mti(msg).is_some_and(|mti| {
        flux_iso8583::exchange(&mti).is_some_and(|request| function(&request) != function(mti.as_bytes()))
    })
}

/// Whether a reply of this exchange may answer a request.
pub(crate) fn may_answer(reply: Option<[u8; 4]>, request: &FluxMsg) -> bool {
    reply.zip(of(request)).is_none_or(|(reply, request)| reply == request)
}

fn mti(msg: &FluxMsg) -> Option<Text> {
    match msg.data.get(MTI) {
        Some(Value::Text(mti)) => Some(mti),
        _ => msg.metadata.get(MTI).map(Text::from),
    }
}
