//! Messages as JSON: readable, and the same message when read back.

use std::sync::Arc;

use expect_test::expect;
use flux_iso8583::{Encoding, Field, Kind, Message, Prefix, Spec};
use flux_signal::Value;
use proptest::{prelude::*, sample::select};
use serde_json::json;

use crate::fixture::{ascii, builtin, example, hex};

#[test]
fn a_message_is_shown_by_number_in_the_order_of_the_wire() {
    let message = Message::decode(example("acquirer"), ascii().into()).unwrap();
    expect![[r#"
        {
          "mti": "0200",
          "fields": {
            "2": "4111111111111111",
            "3": {
              "transaction": "00",
              "account_from": "00",
              "account_to": "00"
            },
            "4": "000000012345",
            "7": "1105143015",
            "11": "000042",
            "12": "143015",
            "13": "1105",
            "14": "2812",
            "18": "5411",
            "22": "051",
            "25": "00",
            "32": "123456",
            "35": "4111111111111111=28121010000012300000",
            "37": "630914000042",
            "41": "TERM0001",
            "42": "MERCHANT0000001",
            "43": {
              "name": "FINE FOODS STORE         ",
              "city": "AMSTERDAM    ",
              "country": "NL"
            },
            "49": "978",
            "55": {
              "9F26": "A1B2C3D4E5F60708",
              "9F27": "80",
              "9F10": "06011203A00000",
              "9F37": "11223344",
              "9F36": "0042",
              "95": "0000008000",
              "9A": "261105",
              "9C": "00",
              "9F02": "000000012345",
              "5F2A": "0978",
              "82": "5800",
              "9F1A": "0528",
              "9F03": "000000000000",
              "9F33": "E0F8C8",
              "5F34": "01",
              "9F35": "22"
            }
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&message.to_json()).unwrap());
}

#[test]
fn what_is_no_message_is_refused_with_its_place() {
    let spec = builtin("iso87ascii");
    let cases = [
        (json!([]), "message: expected an object with `mti` and `fields`"),
        (json!({"fields": {}}), "mti: expected `mti` as text"),
        (json!({"mti": "02"}), "mti: expected a message type of four digits"),
        (json!({"mti": "0200", "x": 1}), "message: expected no other keys than `mti` and `fields`"),
        (json!({"mti": "0200", "fields": {"a": "1"}}), "message: expected field numbers from 2 to 192"),
        (
            json!({"mti": "0200", "fields": {"11": true}}),
            "field 11: expected text, bytes, a whole number, or parts by name",
        ),
        (
            json!({"mti": "0200", "fields": {"11": {"x": "1"}}}),
            "field 11: expected text or bytes: it has no parts",
        ),
        (
            json!({"mti": "0200", "fields": {"43": {"hex": "0"}}}),
            "field 43: expected pairs of hexadecimal digits",
        ),
    ];
    for (json, error) in cases {
        assert_eq!(Message::from_json(Arc::clone(&spec), &json).unwrap_err().to_string(), error);
    }
}

#[test]
fn text_that_is_not_utf8_is_hexadecimal() {
    let spec = builtin("iso87ascii");
    let mut message = Message::new(Arc::clone(&spec), "0200").unwrap();
    message.set("44", &flux_signal::Value::Bytes(vec![0xc1, 0xff].into())).unwrap();
    let json = message.to_json();
    assert_eq!(json["fields"]["44"], json!({"hex": "C1FF"}));
    assert_eq!(Message::from_json(spec, &json).unwrap().to_bytes(), message.to_bytes());
}

/// The characters of anything that a field of a built-in layout can hold.
fn content(field: &Field) -> impl Strategy<Value = Vec<u8>> + use<> {
    let longest = field.length as usize;
    let length = if field.prefix == Prefix::Fixed { longest..=longest } else { 0..=longest.min(40) };
    let characters: Vec<u8> = match (field.kind, field.encoding) {
        (Kind::Numeric, _) | (_, Encoding::SignedBcd) => (b'0'..=b'9').collect(),
        (Kind::Track1, _) => (0x20..=0x5f).collect(),
        (Kind::Track2 | Kind::Track3, _) => (b'0'..=b'?').collect(),
        _ => (0..=255).collect(),
    };
    let is_signed = field.encoding == Encoding::SignedBcd;
    (prop::collection::vec(select(characters), length), select(vec![b'C', b'D'])).prop_map(
        move |(mut content, sign)| {
            content.first_mut().filter(|_| is_signed).into_iter().for_each(|first| *first = sign);
            content
        },
    )
}

/// A built-in layout, with content for some of its fields.
fn message() -> impl Strategy<Value = (Arc<Spec>, Vec<(u8, Vec<u8>)>)> {
    select(vec!["iso87ascii", "iso87binary", "iso87hex"]).prop_flat_map(|layout| {
        let spec = builtin(layout);
        let numbers: Vec<u8> = spec.fields().map(|(number, _)| number).collect();
        prop::sample::subsequence(numbers, 0..=40).prop_flat_map(move |numbers| {
            let content = |number: u8| (Just(number), content(spec.field(number).unwrap()));
            (Just(Arc::clone(&spec)), numbers.into_iter().map(content).collect::<Vec<_>>())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_shown_as_json_is_the_same_message_again((spec, fields) in message()) {
        let mut message = Message::new(Arc::clone(&spec), "0200").unwrap();
        for (number, content) in &fields {
            message.set(&number.to_string(), &Value::Bytes(content.clone().into())).unwrap();
        }
        let wire = message.to_bytes();
        let decoded = Message::decode(Arc::clone(&spec), wire.clone()).unwrap();
        let text = decoded.to_json().to_string();
        let again = Message::from_json(spec, &serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(hex(&again.to_bytes()), hex(&wire), "{}", text);
        for (number, content) in &fields {
            let characters = again.characters(*number).unwrap_or_default();
            prop_assert_eq!(&characters[..], &content[..], "field {}", number);
        }
    }
}
