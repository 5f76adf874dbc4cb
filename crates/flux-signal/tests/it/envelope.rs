//! The envelope: its golden bytes, what a foreign writer may do, and the exact complaint about the rest.

use expect_test::{Expect, expect};
use flux_signal::cbor::{
    Envelope, Strictness, decode, diagnose, encode, from_json, parse_diagnostic, peek, to_json,
};
use flux_signal::{Bytes, Data, FluxId, FluxMsg, Hop, Limits, TraceId, Value};

use crate::{hex, unhex};

fn full_message() -> FluxMsg {
    let id = |n| FluxId::v7(0x0198_0000_0000, n);
    let mut msg = FluxMsg::new(id(1), 1_752_000_000_123_456_789, &b"0200"[..]);
    msg.cause = Some(id(2));
    msg.source = Some(id(3));
    msg.trace = TraceId::new(0x4BF9_2F35_77B3_4DA6_A3CE_929D_0E0E_4736);
    msg.metadata = [("peer.port", "40112"), ("conn.id", "c1"), ("peer.ip", "::1")].into_iter().collect();
    msg.data.set("iso8583.field.4", "000000012000".into()).unwrap();
    msg.data.set("ok", true.into()).unwrap();
    msg.flags = 1;
    msg.set_hops(3, vec![Hop { gear: id(3), port: id(4), unix_ns: 1_752_000_000_123_460_000 }]);
    msg
}

fn encoded(msg: &FluxMsg) -> Bytes {
    let mut out = Vec::new();
    encode(msg, &mut out).unwrap();
    out.into()
}

#[test]
fn golden_bytes() {
    let bytes = encoded(&full_message());
    expect!["ab62696450019800000000700080000000000000016274731b18505ab7b5d7cd156372617744303230306464617461a2626f6bf56769736f38353833a1656669656c64a161346c30303030303030313230303064686f707303646d657461a367636f6e6e2e696462633167706565722e6970633a3a3169706565722e706f7274653430313132647061746881a3616750019800000000700080000000000000036170500198000000007000800000000000000461741b18505ab7b5d7d9a065666c6167730165747261636578203462663932663335373762333464613661336365393239643065306534373336667265665f69645001980000000070008000000000000002667372635f69645001980000000070008000000000000003"].assert_eq(&hex(&bytes));
    expect![[r#"{"id": h'01980000000070008000000000000001', "ts": 1752000000123456789, "raw": h'30323030', "data": {"ok": true, "iso8583": {"field": {"4": "000000012000"}}}, "hops": 3, "meta": {"conn.id": "c1", "peer.ip": "::1", "peer.port": "40112"}, "path": [{"g": h'01980000000070008000000000000003', "p": h'01980000000070008000000000000004', "t": 1752000000123460000}], "flags": 1, "trace": "4bf92f3577b34da6a3ce929d0e0e4736", "ref_id": h'01980000000070008000000000000002', "src_id": h'01980000000070008000000000000003'}"#]].assert_eq(&diagnose(&bytes).unwrap());
    expect![[r#"
        {
          "id": "01980000-0000-7000-8000-000000000001",
          "ts": 1752000000123456789,
          "raw": "hex:30323030",
          "data": {
            "ok": true,
            "iso8583": {
              "field": {
                "4": "000000012000"
              }
            }
          },
          "hops": 3,
          "meta": {
            "conn.id": "c1",
            "peer.ip": "::1",
            "peer.port": "40112"
          },
          "path": [
            {
              "g": "01980000-0000-7000-8000-000000000003",
              "p": "01980000-0000-7000-8000-000000000004",
              "t": 1752000000123460000
            }
          ],
          "flags": 1,
          "trace": "4bf92f3577b34da6a3ce929d0e0e4736",
          "ref_id": "01980000-0000-7000-8000-000000000002",
          "src_id": "01980000-0000-7000-8000-000000000003"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&to_json(&full_message())).unwrap());
}

#[test]
fn json_that_is_no_message_is_refused_with_its_place() {
    let check = |json: &str, want: &str| {
        let json = serde_json::from_str(json).unwrap();
        assert_eq!(from_json(&json).unwrap_err().to_string(), want);
    };
    let with = |rest: &str| format!(r#"{{"id": "01980000-0000-7000-8000-000000000003", "ts": 1{rest}}}"#);
    check("[]", "`the whole` of the message: expected an object");
    check(r#"{"ts": 1}"#, "`id` of the message: it is missing");
    check(&with(r#", "payload": 1"#), "`payload` of the message: a message has no such key");
    check(&with(r#", "raw": "00""#), "`raw` of the message: expected bytes, as \"hex:00ff\"");
    check(&with(r#", "meta": {"a": 1}"#), "`meta.a` of the message: expected text");
    check(&with(r#", "hops": 70000"#), "`hops` of the message: expected an integer in its range");
    check(
        &with(r#", "data": {"a": {"b": "hex:0"}}"#),
        "`data.a.b` of the message: what follows the colon is no even number of hexadecimal digits",
    );
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    check(&with(&format!(r#", "data": {deep}"#)), "`data` of the message: deeper than 64 levels");
}

#[test]
fn a_bare_message_is_its_id_and_its_time() {
    let msg = FluxMsg::new(FluxId::v7(1, 1), -1, Bytes::new());
    expect![[r#"{"id": h'00000000000170008000000000000001', "ts": -1}"#]]
        .assert_eq(&diagnose(&encoded(&msg)).unwrap());
    let mut null = msg.clone();
    null.data = Data::Tree(Value::Null.into());
    assert_eq!(encoded(&null), encoded(&msg));
}

#[test]
fn the_payload_is_a_slice_of_the_frame() {
    let frame = encoded(&full_message());
    let msg = decode(&frame, Strictness::Canonical, &Limits::DEFAULT).unwrap();
    assert!(frame.as_ptr_range().contains(&msg.payload.as_ptr()));
    let borrowed = Envelope::decode(&frame, Strictness::Canonical, &Limits::DEFAULT).unwrap();
    assert!(!frame.as_ptr_range().contains(&borrowed.to_msg().payload.as_ptr()));
}

/// Decodes an envelope in diagnostic notation, its id left out, in either mode; shows the message as written again.
fn check(fields: &str, lenient: Expect, canonical: Expect) {
    let bytes = Bytes::from(parse_diagnostic(&format!("{{{ID}, {fields}}}")).unwrap());
    lenient.assert_eq(&shown(&bytes, Strictness::Lenient));
    canonical.assert_eq(&shown(&bytes, Strictness::Canonical));
}

const ID: &str = r#""id": h'01980000000070008000000000000001'"#;

fn shown(bytes: &Bytes, strictness: Strictness) -> String {
    match decode(bytes, strictness, &Limits::DEFAULT) {
        Ok(msg) => diagnose(&encoded(&msg)).unwrap().replace(&format!("{ID}, "), ""),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_foreign_writers_do() {
    // Everything present, everything empty.
    check(
        r#""ref_id": h'00000000000000000000000000000000', "trace": "", "src_id": h'00000000000000000000000000000000',
           "meta": {}, "data": {}, "flags": 0, "raw": h'', "path": [], "ts": 7"#,
        expect![[r#"{"ts": 7, "data": {}}"#]],
        expect!["byte 28 of the CBOR: not canonical: an empty field, which is left out"],
    );
    check(
        r#""ts": 7, "raw": null"#,
        expect![[r#"{"ts": 7}"#]],
        expect!["byte 29 of the CBOR: not canonical: an empty field, which is left out"],
    );
    check(
        r#""ts": 7, "data": null"#,
        expect![[r#"{"ts": 7}"#]],
        expect!["byte 30 of the CBOR: not canonical: an empty field, which is left out"],
    );
    check(
        r#""ts": 7, "flags": 0"#,
        expect![[r#"{"ts": 7}"#]],
        expect!["byte 31 of the CBOR: not canonical: an empty field, which is left out"],
    );
    check(
        r#""ts": 7, "meta": {_ }"#,
        expect![[r#"{"ts": 7}"#]],
        expect!["byte 30 of the CBOR: not canonical: an indefinite length"],
    );
    check(
        r#""ts": 7, "trace": "00000000000000000000000000000000""#,
        expect![[r#"{"ts": 7}"#]],
        expect!["byte 31 of the CBOR: not canonical: an empty field, which is left out"],
    );
    check(
        r#""ts": 7, "trace": "4BF92F3577B34DA6A3CE929D0E0E4736""#,
        expect![[r#"{"ts": 7, "trace": "4bf92f3577b34da6a3ce929d0e0e4736"}"#]],
        expect!["byte 31 of the CBOR: not canonical: a trace id with capital digits"],
    );
    check(
        r#""raw": h'00'"#,
        expect![[r#"{"ts": 0, "raw": h'00'}"#]],
        expect!["byte 0 of the CBOR: the message has no `ts`"],
    );
    check(
        r#""ts": 7, "raw": (_ h'01', h'02')"#,
        expect![[r#"{"ts": 7, "raw": h'0102'}"#]],
        expect!["byte 29 of the CBOR: not canonical: an indefinite length"],
    );
    check(
        r#""ts": 7, "newer": [1, {2: 3}]"#,
        expect![[r#"{"ts": 7}"#]],
        expect!["byte 25 of the CBOR: an unknown key"],
    );
    check(
        r#""ts": 7, "meta": {"b": "1", "a": "2"}"#,
        expect![[r#"{"ts": 7, "meta": {"a": "2", "b": "1"}}"#]],
        expect!["byte 35 of the CBOR: not canonical: keys out of order"],
    );
}

#[test]
fn hops_are_at_least_those_of_the_path() {
    let path = r#""path": [{"g": h'01980000000070008000000000000001', "p": h'01980000000070008000000000000002', "t": 1}]"#;
    check(
        &format!(r#""ts": 7, {path}"#),
        expect![[
            r#"{"ts": 7, "hops": 1, "path": [{"g": h'01980000000070008000000000000001', "p": h'01980000000070008000000000000002', "t": 1}]}"#
        ]],
        expect!["byte 0 of the CBOR: not canonical: fewer hops than its path"],
    );
    check(
        &format!(r#""ts": 7, "hops": 9, {path}"#),
        expect![[
            r#"{"ts": 7, "hops": 9, "path": [{"g": h'01980000000070008000000000000001', "p": h'01980000000070008000000000000002', "t": 1}]}"#
        ]],
        expect![[
            r#"{"ts": 7, "hops": 9, "path": [{"g": h'01980000000070008000000000000001', "p": h'01980000000070008000000000000002', "t": 1}]}"#
        ]],
    );
    check(
        r#""ts": 7, "path": [{"g": h'01980000000070008000000000000001', "t": 1}]"#,
        expect!["byte 31 of the CBOR: the message has no `p`"],
        expect!["byte 31 of the CBOR: the message has no `p`"],
    );
    check(
        r#""ts": 7, "path": [{"x": 1}]"#,
        expect!["byte 31 of the CBOR: the message has no `g`"],
        expect!["byte 32 of the CBOR: an unknown key"],
    );
}

/// A mistake in either mode.
fn check_refused(fields: &str, expected: Expect) {
    let bytes = Bytes::from(parse_diagnostic(&format!("{{{ID}, {fields}}}")).unwrap());
    let error = shown(&bytes, Strictness::Lenient);
    assert_eq!(error, shown(&bytes, Strictness::Canonical));
    expected.assert_eq(&error);
}

#[test]
fn refused_in_either_mode() {
    check_refused(&format!(r#"{ID}, "ts": 7"#), expect!["byte 21 of the CBOR: a duplicate key"]);
    check_refused(r#""ts": 7, "ts": 8"#, expect!["byte 25 of the CBOR: a duplicate key"]);
    check_refused(r#""ts": "now""#, expect!["byte 24 of the CBOR: expected nanoseconds in 64 bits"]);
    check_refused(
        r#""ts": 9223372036854775808"#,
        expect!["byte 24 of the CBOR: expected nanoseconds in 64 bits"],
    );
    check_refused(r#""ts": 7, "raw": "0200""#, expect!["byte 29 of the CBOR: expected a byte string"]);
    check_refused(
        r#""ts": 7, "hops": 65536"#,
        expect!["byte 30 of the CBOR: expected a hop count in 16 bits"],
    );
    check_refused(r#""ts": 7, "hops": -1"#, expect!["byte 30 of the CBOR: expected a hop count in 16 bits"]);
    check_refused(r#""ts": 7, "meta": {"a": 1}"#, expect!["byte 33 of the CBOR: expected a text"]);
    check_refused(
        r#""ts": 7, "meta": {"a": "1", "a": "2"}"#,
        expect!["byte 35 of the CBOR: a duplicate key"],
    );
    check_refused(
        r#""ts": 7, "flags": 4294967296"#,
        expect!["byte 31 of the CBOR: expected flags in 32 bits"],
    );
    check_refused(
        r#""ts": 7, "trace": "4bf9""#,
        expect!["byte 31 of the CBOR: expected a trace id in 32 hexadecimal digits"],
    );
    check_refused(
        r#""ts": 7, "ref_id": h'01'"#,
        expect!["byte 32 of the CBOR: expected an id, which is a byte string of 16"],
    );
    check_refused(r#""ts": 7, "data": {1: 2}"#, expect!["byte 31 of the CBOR: expected a text as key"]);
    check_refused(r#""ts": 7, 1: 2"#, expect!["byte 25 of the CBOR: expected a text as key"]);
}

#[test]
fn a_duplicate_among_unknown_keys_is_refused() {
    check(
        r#""x": 1, "ts": 7, "x": 2"#,
        expect!["byte 28 of the CBOR: a duplicate key"],
        expect!["byte 21 of the CBOR: not canonical: keys out of order"],
    );
}

#[test]
fn what_is_no_message_at_all() {
    let check = |notation: &str, expected: Expect| {
        let bytes = Bytes::from(parse_diagnostic(notation).unwrap());
        expected.assert_eq(&shown(&bytes, Strictness::Lenient));
        assert_eq!(
            peek(&bytes).map_err(|error| error.to_string()).unwrap_err(),
            shown(&bytes, Strictness::Lenient)
        );
    };
    check("[]", expect!["byte 0 of the CBOR: expected a message, which is a map"]);
    check("{}", expect!["byte 0 of the CBOR: the message has no `id`"]);
    check(
        r#"{"id": h'00000000000000000000000000000000'}"#,
        expect!["byte 4 of the CBOR: expected an id other than nil"],
    );
    check(r#"{"id": "text"}"#, expect!["byte 4 of the CBOR: expected an id, which is a byte string of 16"]);
}

#[test]
fn limits_hold_before_a_tree_is_built() {
    let bytes = encoded(&full_message());
    let check = |limits: Limits, expected: Expect| {
        expected.assert_eq(&decode(&bytes, Strictness::Canonical, &limits).unwrap_err().to_string());
    };
    let weight = full_message().weight_bytes();
    check(
        Limits { message_bytes_max: weight - 1, ..Limits::DEFAULT },
        expect!["byte 0 of the CBOR: message weighs 104 bytes, at most 103 are allowed"],
    );
    check(
        Limits { hops_max: 2, ..Limits::DEFAULT },
        expect![
            "byte 0 of the CBOR: message travelled 3 hops, at most 2 are allowed: does the scenario loop?"
        ],
    );
    assert!(
        decode(&bytes, Strictness::Canonical, &Limits { message_bytes_max: weight, hops_max: 3 }).is_ok()
    );
}

#[test]
fn peek_looks_no_further_than_the_payload() {
    let mut bytes = encoded(&full_message()).to_vec();
    let header = peek(&bytes).unwrap();
    assert_eq!((header.id, header.payload_bytes), (full_message().id, 4));
    let end_of_payload = 1 + 3 + 17 + 3 + 9 + 4 + 5;
    bytes.truncate(end_of_payload);
    assert_eq!(peek(&bytes), Ok(header));
    bytes.truncate(end_of_payload - 1);
    assert!(peek(&bytes).is_err());
}

#[test]
fn the_example_of_the_reference_page_is_a_message() {
    let page = include_str!("../../../../docs/reference/message.md");
    let block = |kind: &str| page.split_once(&format!("```{kind}\n")).unwrap().1.split_once("```").unwrap().0;
    let bytes = Bytes::from(parse_diagnostic(block("cbor-diag")).unwrap());
    assert!(decode(&bytes, Strictness::Canonical, &Limits::DEFAULT).is_ok());
    assert_eq!(hex(&unhex(block("hex"))), hex(&bytes));
}
