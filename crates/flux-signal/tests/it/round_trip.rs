//! What is written is read back, whoever wrote it.

use flux_signal::cbor::{
    Envelope, Strictness, canonicalize, decode, decode_value, diagnose, encode, encode_value, from_json,
    parse_diagnostic, peek, to_json,
};
use flux_signal::{Bytes, FluxMsg, Limits, Value};
use proptest::prelude::*;

use crate::{
    foreign::{Choices, careless},
    strategies,
};

fn encoded(msg: &FluxMsg) -> Bytes {
    let mut out = b"before".to_vec();
    encode(msg, &mut out).unwrap();
    Bytes::from(out).slice(6..)
}

fn encoded_value(value: &Value) -> Bytes {
    let mut out = Vec::new();
    encode_value(value, &mut out).unwrap();
    assert_eq!(out.capacity(), out.len().max(8), "grown once, to what is needed");
    out.into()
}

/// Field by field, since a message has no equality of its own. Data is compared by its encoding: NaN equals NaN.
fn assert_same(a: &FluxMsg, b: &FluxMsg) {
    let plain = |m: &FluxMsg| (m.id, m.cause, m.trace, m.source, m.born_unix_ns, m.flags, m.hops());
    assert_eq!(plain(a), plain(b));
    assert_eq!(a.trail(), b.trail());
    assert_eq!(a.payload, b.payload);
    assert_eq!(a.metadata.iter().collect::<Vec<_>>(), b.metadata.iter().collect::<Vec<_>>());
    assert_eq!(encoded_value(&a.data.to_value()), encoded_value(&b.data.to_value()));
    assert_eq!(a.weight_bytes(), b.weight_bytes());
}

proptest! {
    #![proptest_config(crate::strategies::config())]

    #[test]
    fn a_value_comes_back(value in strategies::value()) {
        let bytes = encoded_value(&value);
        let back = decode_value(&bytes, Strictness::Canonical, &Limits::DEFAULT).unwrap();
        prop_assert_eq!(encoded_value(&back), &bytes);
        prop_assert_eq!(back.weight_bytes(), value.weight_bytes());
        if !diagnose(&bytes).unwrap().contains("NaN") {
            prop_assert_eq!(back, value);
        }
    }

    #[test]
    fn a_message_comes_back(msg in strategies::msg()) {
        let bytes = encoded(&msg);
        let back = decode(&bytes, Strictness::Canonical, &Limits::DEFAULT).unwrap();
        assert_same(&back, &msg);
        prop_assert_eq!(encoded(&back), &bytes);
    }

    #[test]
    fn an_envelope_tells_what_the_message_holds(msg in strategies::msg()) {
        let bytes = encoded(&msg);
        let envelope = Envelope::decode(&bytes, Strictness::Canonical, &Limits::DEFAULT).unwrap();
        prop_assert_eq!(envelope.hops(), msg.hops());
        prop_assert_eq!(envelope.weight_bytes(), msg.weight_bytes());
        prop_assert!(envelope.metadata().map(|(k, v)| (k.into_owned(), v.into_owned())).eq(
            msg.metadata.iter().map(|(k, v)| (k.to_owned(), v.to_owned()))));
        prop_assert!(envelope.trail().eq(msg.trail().iter().copied()));
        assert_same(&envelope.to_msg(), &msg);
        let header = peek(&bytes).unwrap();
        prop_assert_eq!((header.id, header.born_unix_ns, header.payload_bytes),
            (msg.id, msg.born_unix_ns, msg.payload.len()));
    }

    #[test]
    fn a_careless_writer_is_understood(msg in strategies::msg(), seed: u64) {
        let canonical = encoded(&msg);
        let foreign = Bytes::from(careless(&canonical, &mut Choices(seed)));
        let back = decode(&foreign, Strictness::Lenient, &Limits::DEFAULT).unwrap();
        assert_same(&back, &msg);
        prop_assert_eq!(encoded(&back), &canonical);
        prop_assert_eq!(&canonicalize(&foreign).unwrap(), &canonical);
        let header = peek(&foreign).unwrap();
        prop_assert_eq!((header.id, header.payload_bytes), (msg.id, msg.payload.len()));
        prop_assert_eq!(
            decode(&foreign, Strictness::Canonical, &Limits::DEFAULT).is_ok(), foreign == canonical);
    }

    #[test]
    fn notation_comes_back(msg in strategies::msg(), seed: u64) {
        let canonical = encoded(&msg);
        let notation = diagnose(&canonical).unwrap();
        prop_assert_eq!(parse_diagnostic(&notation).unwrap(), canonical.to_vec());
        let foreign = careless(&canonical, &mut Choices(seed));
        let again = parse_diagnostic(&diagnose(&foreign).unwrap()).unwrap();
        prop_assert_eq!(canonicalize(&again).unwrap(), canonical.to_vec());
    }

    #[test]
    fn json_is_notation(msg in strategies::msg()) {
        let json = to_json(&msg);
        let bytes = parse_diagnostic(&json.to_string()).unwrap();
        let read: serde_json::Value = ciborium::from_reader(&bytes[..]).unwrap();
        prop_assert_eq!(read, json);
    }

    #[test]
    fn json_comes_back(msg in strategies::msg()) {
        let text = to_json(&msg).to_string();
        let read = from_json(&serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(encoded(&read), encoded(&msg));
    }

    #[test]
    fn another_implementation_reads_what_we_write(value in strategies::value()) {
        let bytes = encoded_value(&value);
        // It knows no simple values.
        let notation = diagnose(&bytes).unwrap();
        if notation.contains("simple(") || notation.contains("undefined") {
            return Ok(());
        }
        let read: ciborium::Value = ciborium::from_reader(&bytes[..]).unwrap();
        let mut again = Vec::new();
        ciborium::into_writer(&read, &mut again).unwrap();
        prop_assert_eq!(canonicalize(&again).unwrap(), bytes.to_vec());
    }
}
