//! Any bytes and any text: refused with an error, or understood the same by every reader.

use flux_signal::cbor::{
    Envelope, Strictness, canonicalize, decode, decode_value, diagnose, encode, encode_value,
    parse_diagnostic, peek,
};
use flux_signal::{Bytes, Limits};
use proptest::prelude::*;

/// Replays the committed corpus; under `cargo bolero test fuzz_cbor::corpus` it is a fuzz target.
#[test]
fn corpus() {
    bolero::check!().with_iterations(0).for_each(hold_the_laws);
}

#[test]
fn the_corpus_is_there() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/__fuzz__/fuzz_cbor__corpus/corpus");
    assert!(std::fs::read_dir(corpus).unwrap().count() > 20);
}

fn hold_the_laws(input: &[u8]) {
    messages(&Bytes::copy_from_slice(input));
    values(&Bytes::copy_from_slice(input));
    notation(input);
}

fn messages(frame: &Bytes) {
    let lenient = Envelope::decode(frame, Strictness::Lenient, &Limits::DEFAULT);
    let canonical = decode(frame, Strictness::Canonical, &Limits::DEFAULT);
    let header = peek(frame);
    let Ok(envelope) = lenient else {
        assert!(canonical.is_err(), "canonical mode takes what lenient mode refuses");
        return;
    };
    let msg = envelope.to_msg();
    assert_eq!(envelope.weight_bytes(), msg.weight_bytes());
    assert_eq!(header.unwrap().id, msg.id);
    let mut out = Vec::new();
    encode(&msg, &mut out).unwrap();
    assert_eq!(canonical.is_ok(), out == frame[..], "canonical means: as the encoder would have written it");
    let mut again = Vec::new();
    encode(&decode(&out.clone().into(), Strictness::Canonical, &Limits::DEFAULT).unwrap(), &mut again)
        .unwrap();
    assert_eq!(out, again);
}

fn values(frame: &Bytes) {
    let canonical = decode_value(frame, Strictness::Canonical, &Limits::DEFAULT);
    let Ok(value) = decode_value(frame, Strictness::Lenient, &Limits::DEFAULT) else {
        assert!(canonical.is_err());
        return;
    };
    let mut out = Vec::new();
    encode_value(&value, &mut out).unwrap();
    assert_eq!(canonical.is_ok(), out == frame[..]);
    assert_eq!(canonicalize(frame).unwrap(), out);
}

fn notation(input: &[u8]) {
    if let Ok(shown) = diagnose(input) {
        let parsed = parse_diagnostic(&shown).unwrap();
        assert_eq!(canonicalize(&parsed), canonicalize(&parsed).and_then(|bytes| canonicalize(&bytes)));
        assert_eq!(canonicalize(&parsed).ok(), canonicalize(input).ok());
    } else {
        assert!(canonicalize(input).is_err());
    }
    if let Ok(parsed) = parse_diagnostic(&String::from_utf8_lossy(input)) {
        diagnose(&parsed).unwrap();
    }
}

/// Bytes that look like CBOR more often than noise does.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let head = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        prop::sample::select(vec![0x40u8, 0x61, 0x80, 0x81, 0x9F, 0xA1, 0xBF, 0xC2, 0xF6, 0xFF])
            .prop_map(|b| vec![b]),
        prop::sample::select(vec![
            "\u{62}id\u{50}",
            "\u{62}ts",
            "\u{63}raw",
            "\u{64}meta",
            "\u{64}data",
            "\u{61}a"
        ])
        .prop_map(|key| key.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 16),
    ];
    proptest::collection::vec(head, 0..24).prop_map(|heads| heads.concat())
}

proptest! {
    #![proptest_config(crate::strategies::config())]

    #[test]
    fn any_bytes(input in heads()) {
        hold_the_laws(&input);
    }

    #[test]
    fn a_message_with_a_byte_changed(msg in crate::strategies::msg(), at: prop::sample::Index, byte: u8) {
        let mut bytes = Vec::new();
        encode(&msg, &mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        hold_the_laws(&bytes);
        hold_the_laws(&bytes[..at]);
    }

    #[test]
    fn any_text(text in "[\\[\\]{}()_,: h'b64\"0-9.eE+/a-zN-]{0,40}") {
        notation(text.as_bytes());
    }
}
