//! Generated messages: what is built is read back, and what is read is built again byte for byte.

use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use flux_iso8583::{FieldIndex, Message, Probe, Spec};
use flux_signal::Value;
use proptest::{prelude::*, sample::SizeRange};

use crate::fixture::{ascii, builtin, example, hex, inline};

/// What a generated field may hold.
#[derive(Debug, Clone, Copy)]
enum Content {
    Digits,
    Text,
    Signed,
    Hex,
    Bytes,
    Track2,
    Track1,
}

/// One field of the generated spec.
#[derive(Debug, Clone, Copy)]
struct Kept {
    number: u8,
    content: Content,
    /// Exact length of the value, or none when it varies.
    exact: Option<usize>,
    /// Whether only an even count of characters can be told apart.
    is_even: bool,
}

/// A spec with a field for every encoding, prefix and padding that go together.
static EVERYTHING: LazyLock<(Arc<Spec>, Vec<Kept>)> = LazyLock::new(|| {
    let encodings = [
        ("Numeric", "ASCII", Content::Digits),
        ("String", "ASCII", Content::Text),
        ("Numeric", "BCD", Content::Digits),
        ("Numeric", "LBCD", Content::Digits),
        ("String", "SignedBCD", Content::Signed),
        ("String", "EBCDIC", Content::Text),
        ("Binary", "Binary", Content::Bytes),
        ("Hex", "HexToASCII", Content::Hex),
        ("Hex", "Binary", Content::Hex),
        ("String", "HexToASCII", Content::Text),
        ("String", "ASCIIToHex", Content::Hex),
        ("Track2", "BCD", Content::Track2),
        ("Track3", "LBCD", Content::Track2),
        ("Track1", "EBCDIC", Content::Track1),
    ];
    let prefixes = [
        "ASCII.L",
        "ASCII.LL",
        "ASCII.LLL",
        "ASCII.LLLL",
        "ASCII.LLLLL",
        "ASCII.LLLLLL",
        "BCD.L",
        "BCD.LL",
        "BCD.LLL",
        "BCD.LLLL",
        "Binary.L",
        "Binary.LL",
        "Binary.LLL",
        "EBCDIC.LL",
        "EBCDIC.LLL",
        "Hex.L",
        "Hex.LL",
        "BerTLV",
    ];
    let (mut yaml, mut kept, mut number) = (String::new(), Vec::new(), 2_u8);
    let mut add = |line: String, content, exact, is_even| {
        number += if number == 64 { 2 } else { 1 };
        yaml += &format!("    {number}: {{{line}}}\n");
        kept.push(Kept { number, content, exact, is_even });
    };
    for (turn, (kind, enc, content)) in encodings.into_iter().enumerate() {
        let exact = if matches!(content, Content::Hex) { 14 } else { 7 };
        add(format!("type: {kind}, length: 7, enc: {enc}"), content, Some(exact), false);
        for (place, prefix) in prefixes.iter().enumerate() {
            // A length in bytes does not tell whether there is a filler behind the sign.
            if *prefix == "BerTLV" && matches!(content, Content::Signed) {
                continue;
            }
            // Every encoding meets every prefix or its neighbour; all of them together would not fit 190 fields.
            if (place + turn) % 2 == 0 || *prefix == "BerTLV" {
                let is_even = *prefix == "BerTLV" || matches!(content, Content::Hex);
                add(format!("type: {kind}, length: 9, enc: {enc}, prefix: {prefix}"), content, None, is_even);
            }
        }
    }
    for (side, enc) in [("Left", "ASCII"), ("Right", "ASCII"), ("Left", "EBCDIC"), ("Right", "HexToASCII")] {
        let padding = format!("{{type: {side}, pad: '~'}}");
        add(format!("type: String, length: 9, enc: {enc}, padding: {padding}"), Content::Text, None, false);
    }
    let heads = "    0: {type: String, length: 4, enc: EBCDIC}\n    1: {type: Bitmap, enc: Binary}\n";
    (inline(&format!("wire:\n  fields:\n{heads}{yaml}")), kept)
});

/// A value for a field, as the message gives it back.
fn value(kept: Kept) -> impl Strategy<Value = Value> {
    let length: SizeRange = match kept.exact {
        Some(exact) => exact.into(),
        None => (0..=9).into(),
    };
    let characters = match kept.content {
        Content::Digits => "0123456789",
        Content::Text => "AZaz09 .-/'",
        Content::Signed => "0123456789",
        Content::Hex => "0123456789ABCDEF",
        Content::Bytes => "\0\x01aZ~\x7f",
        Content::Track2 => "0123456789=;",
        Content::Track1 => "ABC^ 0189",
    };
    let characters: Vec<char> = characters.chars().collect();
    prop::collection::vec(prop::sample::select(characters), length).prop_map(move |mut text| {
        if kept.is_even && text.len() % 2 == 1 {
            text.pop();
        }
        let text: String = text.into_iter().collect();
        match kept.content {
            Content::Bytes => Value::Bytes(text.into_bytes().into()),
            Content::Signed if !text.is_empty() => Value::Text(format!("D{}", &text[1..]).as_str().into()),
            _ => Value::Text(text.as_str().into()),
        }
    })
}

/// Values for some of the fields of the generated spec.
fn fields() -> impl Strategy<Value = Vec<(u8, Value)>> {
    prop::sample::subsequence(EVERYTHING.1.clone(), 0..=40).prop_flat_map(|kept| {
        kept.into_iter().map(|kept| (Just(kept.number), value(kept))).collect::<Vec<_>>()
    })
}

fn built(spec: &Arc<Spec>, fields: &[(u8, Value)]) -> Message {
    let mut message = Message::new(Arc::clone(spec), "0200").unwrap();
    for (number, value) in fields {
        message.set(&number.to_string(), value).unwrap_or_else(|error| panic!("{error}"));
    }
    message
}

/// Every way out of a message and in again gives the same bytes.
fn same_every_way(spec: &Arc<Spec>, wire: &Bytes) {
    let message = Message::decode(Arc::clone(spec), wire.clone()).unwrap();
    let mut out = BytesMut::new();
    message.build(&mut out);
    assert_eq!(hex(&out), hex(wire), "unedited");
    let mut edited = message.clone();
    edited.set_mti("0999").unwrap();
    edited.set_mti(message.mti()).unwrap();
    assert_eq!(hex(&edited.to_bytes()), hex(wire), "edited and put back");
    let from_json = Message::from_json(Arc::clone(spec), &message.to_json()).unwrap();
    assert_eq!(hex(&from_json.to_bytes()), hex(wire), "by JSON");
    let from_tree = Message::from_value(Arc::clone(spec), &message.to_value()).unwrap();
    assert_eq!(hex(&from_tree.to_bytes()), hex(wire), "by tree");
    edited.apply(&message.to_value()).unwrap();
    assert_eq!(hex(&edited.to_bytes()), hex(wire), "by applying its own tree");
}

/// Specs for frames that were made by none of them.
static ANY: LazyLock<[Arc<Spec>; 4]> = LazyLock::new(|| {
    [builtin("iso87binary"), example("acquirer-bcd"), example("acquirer"), Arc::clone(&EVERYTHING.0)]
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_built_is_read_back(fields in fields()) {
        let spec = &EVERYTHING.0;
        let wire = built(spec, &fields).to_bytes();
        let message = Message::decode(Arc::clone(spec), wire.clone()).unwrap();
        prop_assert_eq!(message.fields().collect::<Vec<_>>(), fields.iter().map(|(n, _)| *n).collect::<Vec<_>>());
        for (number, value) in &fields {
            let found = message.get(&number.to_string());
            prop_assert_eq!(found.as_ref(), Some(value), "field {}", number);
        }
        same_every_way(spec, &wire);
    }

    #[test]
    fn edits_touch_nothing_else(fields in fields(), edits in fields()) {
        let spec = &EVERYTHING.0;
        let mut message = Message::decode(Arc::clone(spec), built(spec, &fields).to_bytes()).unwrap();
        let mut model: std::collections::BTreeMap<u8, Value> = fields.into_iter().collect();
        for (turn, (number, value)) in edits.into_iter().enumerate() {
            if turn % 3 == 0 {
                let gone = model.keys().next().copied();
                if let Some(gone) = gone {
                    prop_assert!(message.remove(&gone.to_string()));
                    model.remove(&gone);
                }
            }
            message.set(&number.to_string(), &value).unwrap();
            model.insert(number, value);
        }
        let wire = message.to_bytes();
        let all: Vec<(u8, Value)> = model.into_iter().collect();
        prop_assert_eq!(hex(&wire), hex(&built(spec, &all).to_bytes()));
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut frame in prop::collection::vec(any::<u8>(), 0..200), spec in 0..4_usize) {
        let spec = &ANY[spec];
        let mut index = FieldIndex::new();
        drop(Probe::parse(spec, &frame, &mut index).map(|probe| probe.check()));
        drop(flux_iso8583::explain(spec, &frame));
        // A message type and few fields lead further in.
        frame.splice(..frame.len().min(8), [0x02, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x21]);
        if let Ok(message) = Message::parse(Arc::clone(spec), frame.clone().into()) {
            prop_assert_eq!(hex(&message.to_bytes()), hex(&frame));
            drop(message.to_value());
            drop(message.to_json());
        }
    }

    #[test]
    fn a_cut_or_changed_message_is_read_or_refused(at in 0..321_usize, byte in any::<u8>()) {
        let (spec, frame) = (example("acquirer"), ascii());
        let cut = Message::decode(Arc::clone(&spec), frame[..at].to_vec().into()).unwrap_err();
        prop_assert!(cut.offset().is_some_and(|offset| offset <= at));
        let mut changed = frame;
        changed[at] = byte;
        if let Ok(message) = Message::decode(Arc::clone(&spec), changed.clone().into()) {
            let again = Message::from_json(spec, &message.to_json());
            prop_assert!(again.is_ok_and(|again| again.mti() == message.mti()));
        }
    }
}

#[test]
fn the_example_messages_are_the_same_every_way() {
    for name in ["iso87ascii", "moov:spec87ascii"] {
        same_every_way(&builtin(name), &ascii().into());
    }
    same_every_way(&example("acquirer"), &ascii().into());
}
