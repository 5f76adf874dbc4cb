//! Edits inside fields: the parent follows its parts, and what was not edited stays byte for byte.

use std::sync::Arc;

use bytes::Bytes;
use flux_iso8583::{Message, Spec};
use flux_signal::Value;

use crate::fixture::{ascii, example, hex, inline, unhex};

fn received() -> Message {
    Message::decode(example("acquirer"), ascii().into()).unwrap()
}

/// A message with field 55 only.
fn chip(spec: &Arc<Spec>, content: &str) -> Message {
    let mut message = Message::new(Arc::clone(spec), "0200").unwrap();
    message.set("55", &Value::Bytes(unhex(content).into())).unwrap();
    message
}

fn content(message: &Message, field: u8) -> String {
    hex(message.raw(field).unwrap())
}

#[test]
fn an_edited_part_changes_its_parent_and_nothing_else() {
    let mut message = received();
    let before = content(&message, 55);
    message.set("55.9F36", &"0043".into()).unwrap();
    assert_eq!(content(&message, 55), before.replace("9F36020042", "9F36020043"));
    assert_eq!(message.get("55.9F36"), Some("0043".into()));
    let wire = String::from_utf8_lossy(&ascii()).replace('\u{fffd}', "?");
    assert_eq!(message.to_bytes().len(), ascii().len(), "{}", wire.len());
    message.set("55.9F36", &"0042".into()).unwrap();
    assert_eq!(message.to_bytes(), Bytes::from(ascii()));
}

#[test]
fn parts_at_positions_are_written_into_the_whole() {
    let mut message = received();
    message.set("3.account_from", &"20".into()).unwrap();
    assert_eq!(message.raw(3), Some(&b"002000"[..]));
    message.set("43.city", &"ROMA".into()).unwrap();
    assert_eq!(message.raw(43), Some(&b"FINE FOODS STORE         ROMA         NL"[..]));
    assert!(message.remove("43.city"));
    assert_eq!(message.raw(43), Some(&b"FINE FOODS STORE                      NL"[..]));
    let long = message.set("43.country", &"NLD".into()).unwrap_err();
    assert_eq!(long.to_string(), "field 43 part country: expected a length of exactly 2, got 3");
    let letters = message.set("3.account_from", &"2A".into()).unwrap_err();
    assert_eq!(letters.to_string(), "field 3 part account_from: expected decimal digits only");
}

#[test]
fn unknown_tags_keep_their_place_and_long_forms_their_bytes() {
    let spec = example("acquirer");
    let mut message = chip(&spec, "DF01 01 AA  9F36 81 02 0042  00  DF7F 82 0002 BBCC  95 05 0000000000");
    assert_eq!(message.get("55.DF01"), Some("AA".into()));
    message.set("55.95", &"8000000000".into()).unwrap();
    let expected = "DF01 01 AA  9F36 81 02 0042  00  DF7F 82 0002 BBCC  95 05 8000000000";
    assert_eq!(content(&message, 55), hex(&unhex(expected)));
    message.set("55.9F36", &"0042".into()).unwrap();
    assert_eq!(content(&message, 55), hex(&unhex(expected)), "an equal value changes nothing");
    assert!(message.remove("55.DF01"));
    message.set("55.9A", &"261105".into()).unwrap();
    let expected = "9F36 81 02 0042  00  DF7F 82 0002 BBCC  95 05 8000000000  9A 03 261105";
    assert_eq!(content(&message, 55), hex(&unhex(expected)), "a new tag comes last");
}

#[test]
fn a_repeated_tag_is_a_list() {
    let spec = example("acquirer");
    let mut message = chip(&spec, "9F34 03 010203  DF01 01 AA  9F34 03 040506");
    let list = Value::List(vec!["010203".into(), "040506".into()]);
    assert_eq!(message.get("55.9F34"), Some(list.clone()));
    assert_eq!(message.get("55.9F34.1"), Some("040506".into()));
    assert_eq!(message.to_json()["fields"]["55"]["9F34"], serde_json::json!(["010203", "040506"]));
    message.set("55.9F34", &list).unwrap();
    assert_eq!(content(&message, 55), hex(&unhex("9F34 03 010203  DF01 01 AA  9F34 03 040506")));
    let longer = Value::List(vec!["01".into(), "040506".into(), "07".into()]);
    message.set("55.9F34", &longer).unwrap();
    assert_eq!(content(&message, 55), hex(&unhex("9F34 01 01  DF01 01 AA  9F34 03 040506  9F34 01 07")));
    message.set("55.9F34", &"FF".into()).unwrap();
    assert_eq!(content(&message, 55), hex(&unhex("9F34 01 FF  DF01 01 AA")));
}

#[test]
fn a_map_replaces_the_parts_and_keeps_the_order() {
    let spec = example("acquirer");
    let mut message = chip(&spec, "9F36 02 0042  95 05 0000000000  9A 03 261105");
    let mut parts = flux_signal::Map::new();
    for (tag, value) in [("95", "0000000001"), ("9F36", "0042"), ("82", "5800")] {
        parts.insert(tag, value.into());
    }
    message.set("55", &parts.into()).unwrap();
    assert_eq!(content(&message, 55), hex(&unhex("9F36 02 0042  95 05 0000000001  82 02 5800")));
}

#[test]
fn policies_decide_over_unknown_tags() {
    let with = |policy: &str| {
        inline(&format!(
            "extends: iso87ascii
wire: {{fields: {{55: {{type: Composite, subfields: {{layout: tlv, unknown_tags: {policy}, parts: [{{tag: 95}}]}}}}}}}}"
        ))
    };
    let reject = with("reject");
    let mut message = Message::new(Arc::clone(&reject), "0200").unwrap();
    let refused = message.set("55", &Value::Bytes(unhex("950100 DF0101AA").into())).unwrap_err();
    assert_eq!(refused.to_string(), "field 55: expected a tag that the spec lists");
    assert!(message.set("55.DF01", &"AA".into()).is_err());
    let mut message = chip(&with("drop"), "DF0101AA 950100");
    assert_eq!((message.get("55.DF01"), message.get("55.95")), (None, Some("00".into())));
    assert_eq!(content(&message, 55), "DF0101AA950100", "unedited, it is passed on as it came");
    message.set("55.95", &"01".into()).unwrap();
    assert_eq!(content(&message, 55), "950101");
}

#[test]
fn parts_of_parts_are_reached() {
    let spec = inline(
        "extends: iso87ascii
wire:
  fields:
    55:
      type: Composite
      subfields:
        layout: tlv
        parts:
          - tag: E1
            type: Composite
            subfields: {layout: tlv, parts: [{tag: 9F26}, {tag: 95, type: Binary}]}",
    );
    let mut message = chip(&spec, "E1 0A 9F26 02 AABB 95 02 0102 00");
    assert_eq!(message.get("55.E1.9F26"), Some("AABB".into()));
    message.set("55.E1.9F26", &"AABBCC".into()).unwrap();
    assert_eq!(content(&message, 55), hex(&unhex("E1 0B 9F26 03 AABBCC 95 02 0102 00")));
    message.set("55.E1.DF01", &"FF".into()).unwrap();
    assert!(message.remove("55.E1.95"));
    assert_eq!(content(&message, 55), hex(&unhex("E1 0B 9F26 03 AABBCC 00 DF01 01 FF")));
}

#[test]
fn bitmapped_parts_come_and_go() {
    let spec = example("acquirer-bcd");
    let mut message = Message::new(spec, "0200").unwrap();
    message.set("62.validation", &"ABCD".into()).unwrap();
    assert_eq!(content(&message, 62), "2041424344");
    message.set("62.1", &"Y".into()).unwrap();
    assert_eq!(content(&message, 62), "A05941424344");
    assert!(message.remove("62.validation"));
    assert_eq!(content(&message, 62), "8059");
    assert!(!message.remove("62.validation"));
}

#[test]
fn what_cannot_be_set_says_why_and_changes_nothing() {
    let mut message = received();
    let cases = [
        ("2", Value::from("41111111111111111111"), "field 2: expected a length of at most 19, got 20"),
        ("4", Value::from("1234567890123"), "field 4: expected a length of exactly 12, got 13"),
        ("4", Value::from("12.34"), "field 4: expected decimal digits only"),
        ("52", Value::from("0102"), "field 52: expected a length of exactly 8, got 2"),
        ("52", Value::from("xyz"), "field 52: expected pairs of hexadecimal digits"),
        ("11.x", Value::from("1"), "field 11: expected no path below a field without parts"),
        ("43.street", Value::from("1"), "field 43 part street: expected a part that the spec defines"),
        ("129", Value::from("1"), "field 129: expected a field that the spec defines"),
        ("1", Value::from("00"), "field 1: expected a field that the spec defines"),
        ("11", Value::Null, "field 11: expected text, bytes, a whole number, or parts by name"),
        ("55.9", Value::from("00"), "field 55 part 9: expected a part that the spec defines"),
    ];
    for (path, value, error) in cases {
        assert_eq!(message.set(path, &value).unwrap_err().to_string(), error);
    }
    assert_eq!(message.to_bytes(), Bytes::from(ascii()));
    message.set("4", &Value::Int(250)).unwrap();
    assert_eq!(message.raw(4), Some(&b"000000000250"[..]));
}

#[test]
fn many_edits_do_not_fill_the_memory() {
    let mut message = received();
    for turn in 0..10_000_u32 {
        message.set_text(43, &format!("{turn:<40}")).unwrap();
        message.set_text(11, &format!("{:06}", turn % 1_000_000)).unwrap();
    }
    assert_eq!(message.raw(11), Some(&b"009999"[..]));
    assert_eq!(
        Message::decode(example("acquirer"), message.to_bytes()).unwrap().raw(11),
        Some(&b"009999"[..])
    );
}
