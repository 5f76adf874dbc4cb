//! The lazy view: the same paths as the tree, edits that reach the message, and data beside it.

use std::sync::Arc;

use expect_test::expect;
use flux_iso8583::{Message, MessageView};
use flux_signal::{Data, Value, View};

use crate::fixture::{FIELDS, ascii, example, hex, unhex};

fn view() -> MessageView {
    MessageView::new(Message::decode(example("acquirer"), ascii().into()).unwrap())
}

/// Every path of a tree with its value.
fn leaves(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Map(map) => {
            for (key, value) in map.iter() {
                let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                found.push((path.clone(), value.clone()));
                leaves(value, &path, found);
            }
        }
        _ => found.push((path.to_owned(), value.clone())),
    }
}

#[test]
fn view_and_tree_agree_on_every_path() {
    let view = view();
    let mut found = Vec::new();
    leaves(&view.to_value(), "", &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for (path, value) in found {
        assert_eq!(view.get(&path).as_ref(), Some(&value), "{path}");
    }
    for path in [
        "iso8583.field.5",
        "iso8583.field.3.x",
        "iso8583.raw.2",
        "iso8583.x",
        "card.cvv",
        "x",
        "iso8583.field.x",
    ] {
        assert_eq!(view.get(path), None, "{path}");
    }
}

#[test]
fn the_tree_has_the_published_layout() {
    let view = view();
    let text = |path| view.get(path).and_then(|value| value.as_text().map(str::to_owned)).unwrap_or_default();
    let lines: Vec<String> = [
        "iso8583.mti",
        "iso8583.field.11",
        "iso8583.field.3.transaction",
        "iso8583.raw.3",
        "iso8583.field.43.city",
        "iso8583.field.55.9F26",
        "card.pan",
        "card.exp",
        "amount.transaction",
        "trace.stan",
        "trace.rrn",
        "merchant.country",
    ]
    .into_iter()
    .map(|path| format!("{path} = {}", text(path)))
    .collect();
    expect![[r#"
        iso8583.mti = 0200
        iso8583.field.11 = 000042
        iso8583.field.3.transaction = 00
        iso8583.raw.3 = 000000
        iso8583.field.43.city = AMSTERDAM    
        iso8583.field.55.9F26 = A1B2C3D4E5F60708
        card.pan = 4111111111111111
        card.exp = 2812
        amount.transaction = 000000012345
        trace.stan = 000042
        trace.rrn = 630914000042
        merchant.country = NL"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn edits_by_path_reach_the_message() {
    let mut view = view();
    view.set("iso8583.mti", "0210".into()).unwrap();
    view.set("trace.stan", "000043".into()).unwrap();
    view.set("merchant.country", "BE".into()).unwrap();
    view.set("iso8583.field.55.9F36", "0043".into()).unwrap();
    assert!(view.delete("iso8583.field.52") || view.get("iso8583.field.52").is_none());
    assert!(view.delete("card.track2"));
    assert!(!view.delete("card.track2"));
    let message = view.message();
    assert_eq!((message.mti(), message.raw(11)), ("0210", Some(&b"000043"[..])));
    assert!(message.raw(43).unwrap().ends_with(b"BE") && !message.has(35));
    assert_eq!(message.get("55.9F36"), Some("0043".into()));
    let refused = view.set("iso8583.raw.55", "00".into()).unwrap_err().to_string();
    assert_eq!(refused, "cannot set `iso8583.raw.55`: it is read only: set `iso8583.field` and the number");
    let refused = view.set("card.pan", "4111x".into()).unwrap_err().to_string();
    assert_eq!(refused, "cannot set `card.pan`: field 2: expected decimal digits only");
    assert!(view.set("iso8583.mti", Value::Int(200)).is_err());
    assert!(view.set("iso8583.other", Value::Int(200)).is_err());
}

#[test]
fn data_beside_the_message_is_kept_and_not_encoded() {
    let mut view = view();
    let wire = view.message().to_bytes();
    view.set("route.scheme", "visa".into()).unwrap();
    view.set("card.country", "528".into()).unwrap();
    assert_eq!(view.get("route.scheme"), Some("visa".into()));
    assert_eq!((view.get("card.country"), view.get("card.exp")), (Some("528".into()), Some("2812".into())));
    assert_eq!(view.to_value().get("card.pan"), view.get("card.pan").as_ref());
    assert!(view.weight_bytes() > 0);
    assert_eq!(view.message().to_bytes(), wire);
    assert!(view.delete("route.scheme") && view.delete("card.country"));
    assert_eq!((view.get("route.scheme"), view.get("card.country")), (None, None));
}

#[test]
fn a_map_can_be_set_and_deleted_as_a_whole() {
    let mut view = view();
    let mut card = flux_signal::Map::new();
    card.insert("pan", "5500000000000004".into());
    view.set("card", card.into()).unwrap();
    assert_eq!(view.message().raw(2), Some(&b"5500000000000004"[..]));
    assert!(view.message().has(14), "a field is removed by its own path only");
    assert!(view.delete("iso8583.field"));
    assert_eq!(view.message().fields().count(), 0);
}

#[test]
fn a_fork_is_independent() {
    let mut first = Data::View(Arc::new(view()));
    let second = first.clone();
    first.set("trace.stan", "000099".into()).unwrap();
    assert_eq!(first.get("trace.stan"), Some("000099".into()));
    assert_eq!(second.get("trace.stan"), Some("000042".into()));
    let Data::View(view) = first else { panic!("it is a view") };
    assert!(view.as_any().downcast_ref::<MessageView>().is_some());
}

#[test]
fn a_tree_is_encoded_aliases_and_fields() {
    let spec = example("acquirer");
    let mut tree = Value::Null;
    for (path, value) in [
        ("iso8583.mti", "0200"),
        ("card.pan", "4111111111111111"),
        ("trace.stan", "000001"),
        ("iso8583.field.11", "000002"),
        ("iso8583.field.3", "010000"),
        ("iso8583.field.43.city", "ROMA"),
        ("other.data", "ignored"),
    ] {
        tree.set(path, value.into()).unwrap();
    }
    let message = Message::from_value(Arc::clone(&spec), &tree).unwrap();
    assert_eq!(message.fields().collect::<Vec<_>>(), [2, 3, 11, 43]);
    assert_eq!((message.raw(11), message.raw(3)), (Some(&b"000002"[..]), Some(&b"010000"[..])));
    assert_eq!(message.raw(43).map(|raw| &raw[25..29]), Some(&b"ROMA"[..]));
    assert!(Message::from_value(spec, &Value::Null).is_err(), "there is no message type");
}

#[test]
fn a_tree_that_crossed_a_wire_is_applied_with_its_order() {
    let spec = example("acquirer");
    let mut message = Message::new(Arc::clone(&spec), "0200").unwrap();
    message.set("55", &Value::Bytes(unhex("DF0101AA 9F36020042 9505000000000A").into())).unwrap();
    let mut tree = message.to_value();
    assert_eq!(tree.get("iso8583.unknown_tags.55"), Some(&Value::List(vec!["DF01".into()])));
    tree.set("iso8583.field.55.9F36", "0043".into()).unwrap();
    let again = Message::from_value(spec, &tree).unwrap();
    assert_eq!(hex(again.raw(55).unwrap()), hex(&unhex("DF0101AA 9F36020043 9505000000000A")));
    tree.set("trace.stan", "000007".into()).unwrap();
    message.apply(&tree).unwrap();
    assert_eq!(message.raw(11), Some(&b"000007"[..]));
}

#[test]
fn of_a_field_and_its_alias_the_changed_one_wins() {
    let mut message = view().into_message();
    let mut tree = message.to_value();
    tree.set("trace.stan", "000077".into()).unwrap();
    message.apply(&tree).unwrap();
    assert_eq!(message.raw(11), Some(&b"000077"[..]));
    let mut tree = message.to_value();
    tree.set("iso8583.field.11", "000078".into()).unwrap();
    message.apply(&tree).unwrap();
    assert_eq!(message.raw(11), Some(&b"000078"[..]));
    let mut tree = message.to_value();
    tree.delete("iso8583.field.11");
    message.apply(&tree).unwrap();
    assert!(!message.has(11));
}

/// What people may see of a message, and of data set beside it.
#[test]
fn what_the_spec_classifies_is_masked_by_every_path() {
    let mut message = Message::new(example("acquirer"), "0400").unwrap();
    let track_1 = "B4111111111111111^DOE/JANE^2812101";
    for (field, text) in FIELDS {
        message.set(&field.to_string(), &text.into()).unwrap();
    }
    for (path, text) in
        [("45", track_1), ("48.note", "call me"), ("48.order", "A1"), ("52", "0123456789ABCDEF")]
    {
        message.set(path, &text.into()).unwrap();
    }
    for (path, hex) in
        [("55.57", "4111111111111111D28120"), ("55.5F20", "444F45"), ("55.9F26", "A1B2C3D4E5F60708")]
    {
        message.set(path, &Value::Bytes(unhex(hex).into())).unwrap();
    }
    let mut view = MessageView::new(message);
    view.set("note.ref", "order 4111111111111111".into()).unwrap();
    let paths = [
        "iso8583.mti",
        "iso8583.exchange",
        "iso8583.field.2",
        "card.pan",
        "card.exp",
        "card",
        "iso8583.field.3",
        "iso8583.field.3.transaction",
        "iso8583.raw.3",
        "iso8583.field.11",
        "iso8583.field.35",
        "iso8583.field.45",
        "iso8583.field.48.order",
        "iso8583.field.48.note",
        "iso8583.raw.48",
        "iso8583.field.52",
        "iso8583.field.55.57",
        "iso8583.field.55.5F20",
        "iso8583.field.55.9F26",
        "iso8583.raw.55",
        "merchant.city",
        "note.ref",
        "iso8583.field.5",
    ];
    let lines: Vec<String> =
        paths.iter().map(|path| format!("{path} = {}", view.masked(path).unwrap_or("-".into()))).collect();
    expect![[r#"
        iso8583.mti = 0400
        iso8583.exchange = 0400
        iso8583.field.2 = 411111******1111
        card.pan = 411111******1111
        card.exp = ****
        card = -
        iso8583.field.3 = -
        iso8583.field.3.transaction = 00
        iso8583.raw.3 = 000000
        iso8583.field.11 = 000042
        iso8583.field.35 = *************************************
        iso8583.field.45 = **********************************
        iso8583.field.48.order = A1
        iso8583.field.48.note = *******
        iso8583.raw.48 = *****************
        iso8583.field.52 = ****************
        iso8583.field.55.57 = **********************
        iso8583.field.55.5F20 = ******
        iso8583.field.55.9F26 = A1B2C3D4E5F60708
        iso8583.raw.55 = ************************************************************
        merchant.city = AMSTERDAM    
        note.ref = order 411111******1111
        iso8583.field.5 = -"#]]
    .assert_eq(&lines.join("\n"));
}
