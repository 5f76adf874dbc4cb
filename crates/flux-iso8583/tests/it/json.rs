//! Messages as JSON: readable, and the same message when read back.

use std::sync::Arc;

use expect_test::expect;
use flux_iso8583::Message;
use serde_json::json;

use crate::fixture::{ascii, builtin, example};

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
