//! What ISO 8583 message types say of who answers whom. Messages without one say nothing, and nothing is held against them.

use flux_gear::{FluxMsg, Text, Value};

/// The message type, in the data or as the codec noted it in the metadata.
const MTI: &str = "iso8583.mti";

/// The exchange of a message: the message type of its request.
pub(crate) type Exchange = [u8; 4];

/// The part of a message in its exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// It asks, and answers none.
    Request(Exchange),
    /// It answers, and asks nothing.
    Response(Exchange),
    /// It has no message type, or one that is kept for other uses.
    Unknown(Option<Exchange>),
}

impl Part {
    pub(crate) fn of(msg: &FluxMsg) -> Part {
        let Some(mti) = mti(msg) else { return Part::Unknown(None) };
        let exchange = flux_iso8583::exchange(&mti);
        match exchange {
            Some(exchange) if flux_iso8583::response_mti(&mti).is_some() => Part::Request(exchange),
            Some(exchange) if exchange[2] != mti.as_bytes()[2] => Part::Response(exchange),
            other => Part::Unknown(other),
        }
    }

    pub(crate) fn exchange(self) -> Option<Exchange> {
        match self {
            Part::Request(exchange) | Part::Response(exchange) => Some(exchange),
            Part::Unknown(exchange) => exchange,
        }
    }
}

fn mti(msg: &FluxMsg) -> Option<Text> {
    match msg.data.get(MTI) {
        Some(Value::Text(mti)) => Some(mti),
        _ => msg.metadata.get(MTI).map(Text::from),
    }
}
