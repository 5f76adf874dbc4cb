//! Answers network management requests on the spot: 0800 to 0810, approved, the other fields as they came.

use std::sync::Arc;

use flux_gear::Bytes;
use flux_iso8583::{Message, Spec, WireError, response_mti};

/// Field 39, the response code, and what it says when all is well.
const RESPONSE_CODE: u8 = 39;
const APPROVED: &str = "00";

/// Whether a message type is a network management request, in any edition.
pub(super) fn is_request(mti: &[u8; 4]) -> bool {
    mti[1..3] == *b"80"
}

/// The answer to a request, read by the spec of the link.
pub(super) fn answer(spec: &Arc<Spec>, request: Bytes) -> Result<Bytes, WireError> {
    let mut message = Message::decode(spec.clone(), request)?;
    if let Some(mti) = response_mti(message.mti()) {
        message.set_mti(&String::from_utf8_lossy(&mti))?;
    }
    message.set_text(RESPONSE_CODE, APPROVED)?;
    Ok(message.to_bytes())
}
