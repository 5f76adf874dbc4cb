//! Decoding, encoding, what is done to a message that does not fit.

use flux_gear::{
    Control, ControlEvent, FaultClass, Value, conformance, keys,
    mock::{Mock, MockGear},
};
use serde_json::{Value as Json, json};

use super::*;

/// An 0200 with PAN, processing code, amount and STAN: bitmap 7020000000000000.
const REQUEST: &[u8] = b"02007020000000000000164111111111111111000000000000010000000042";

fn codec(config: Json) -> MockGear<CodecIso8583> {
    Mock::new().build(config).unwrap_or_else(|why| panic!("{why}"))
}

fn ascii(direction: &str) -> MockGear<CodecIso8583> {
    codec(json!({"spec": "iso87ascii", "direction": direction}))
}

async fn decoded() -> FluxMsg {
    let mut gear = ascii("decode");
    let msg = gear.ctx.message(REQUEST);
    gear.process_msg("in", msg).await.unwrap().remove(0).1
}

fn text(msg: &FluxMsg, path: &str) -> Option<String> {
    msg.data.get(path).and_then(|value| value.as_text().map(str::to_owned))
}

#[test]
fn it_conforms() {
    conformance::check::<CodecIso8583>(json!({"spec": "iso87ascii"}), Mock::new);
}

#[tokio::test]
async fn decoding_gives_fields_aliases_and_metadata() {
    let msg = decoded().await;
    assert_eq!(text(&msg, "iso8583.field.2").as_deref(), Some("4111111111111111"));
    assert_eq!(text(&msg, "card.pan").as_deref(), Some("4111111111111111"));
    assert_eq!(text(&msg, "iso8583.field.11").as_deref(), Some("000042"));
    assert_eq!(msg.metadata.get("iso8583.mti"), Some("0200"));
    assert_eq!(msg.metadata.get("codec.spec_id"), Some("iso87ascii"));
    assert_eq!(&msg.payload[..], REQUEST);
}

#[tokio::test]
async fn what_was_not_edited_is_encoded_byte_for_byte_and_an_edit_shows() {
    let mut gear = ascii("encode");
    let mut msg = decoded().await;
    let same = gear.process_msg("in", msg.clone()).await.unwrap().remove(0).1;
    assert_eq!(&same.payload[..], REQUEST);
    msg.data.set("iso8583.field.39", "00".into()).unwrap();
    msg.data.set("iso8583.mti", "0210".into()).unwrap();
    let answer = gear.process_msg("in", msg).await.unwrap().remove(0).1;
    assert_eq!(&answer.payload[..], b"0210702000000200000016411111111111111100000000000001000000004200");
}

#[tokio::test]
async fn another_dialect_is_a_translation() {
    let mut binary = codec(json!({"spec": "iso87binary", "direction": "encode"}));
    let out = binary.process_msg("in", decoded().await).await.unwrap().remove(0).1;
    assert_eq!(out.payload[..2], [0x02, 0x00]);
    let mut back = codec(json!({"spec": "iso87binary", "direction": "decode"}));
    let msg = back.process_msg("in", out).await.unwrap().remove(0).1;
    assert_eq!(text(&msg, "card.pan").as_deref(), Some("4111111111111111"));
}

#[tokio::test]
async fn a_tree_is_encoded_with_the_type_from_its_metadata() {
    let mut gear = ascii("auto");
    let mut msg = gear.ctx.message("");
    msg.metadata.set("iso8583.mti", "0800");
    msg.data.set("iso8583.field.70", "301".into()).unwrap();
    let out = gear.process_msg("in", msg).await.unwrap().remove(0).1;
    assert_eq!(&out.payload[..], b"080080000000000000000400000000000000301");
}

#[tokio::test]
async fn a_message_that_does_not_fit_is_rejected_without_its_content() {
    let mut gear = ascii("decode");
    let fault = gear.process("in", &REQUEST[..40]).await.unwrap_err();
    assert_eq!((fault.class(), fault.reason_word()), (FaultClass::Invalid, "bad_message"));
    let said = fault.to_string();
    assert!(said.starts_with("cannot decode as `iso87ascii`: ") && !said.contains("4111"), "{said}");
}

#[tokio::test]
async fn drop_discards_and_kill_closes_the_connection() {
    let mut gear = codec(json!({"spec": "iso87ascii", "on_error": "drop"}));
    assert_eq!(gear.process("in", "junk").await.unwrap(), []);
    let control = Control::default();
    let mut events = control.subscribe();
    let config = json!({"spec": "iso87ascii", "on_error": "kill"});
    let mut gear: MockGear<CodecIso8583> = Mock::new().control(control).build(config).unwrap();
    let mut msg = gear.ctx.message("junk");
    msg.metadata.set(keys::CONN_ID, "c7");
    assert!(gear.process_msg("in", msg).await.is_err());
    let close = ControlEvent::ConnClose { conn: "c7".into(), reason: "bad message".into() };
    assert_eq!(events.try_recv(), Ok(close));
}

#[test]
fn a_spec_is_a_file_or_a_layout() {
    let shop = "{id: shop, name: Shop, version: 1.0.0, extends: base.yaml}";
    let base = "{id: base, name: Base, version: 1.0.0, extends: iso87ascii}";
    let mock = || Mock::new().file("specs/shop.yaml", shop).file("specs/base.yaml", base);
    let built = |config| mock().build::<CodecIso8583>(config).map(|gear| gear.gear.spec.id.to_string());
    assert_eq!(built(json!({"spec_path": "specs/shop.yaml"})).unwrap(), "shop");
    for (config, says) in [
        (json!({}), "set either `spec_path`"),
        (json!({"spec": "iso2050"}), "no built-in spec `iso2050`; there are: iso87ascii"),
        (json!({"spec_path": "gone.yaml"}), "no file `gone.yaml`"),
        (json!({"spec_path": "specs/base.yaml", "spec": "iso87ascii"}), "set either"),
    ] {
        let said = built(config).unwrap_err().to_string();
        assert!(said.contains(says), "{said}");
    }
}

#[tokio::test]
async fn a_tree_value_is_what_the_view_says() {
    let tree = decoded().await.data.to_value();
    assert_eq!(tree.get("iso8583.field.4").and_then(Value::as_text), Some("000000010000"));
}
