//! Values: what either strictness accepts, and the exact complaint about the rest.

use expect_test::{Expect, expect};
use flux_signal::cbor::{Strictness, TooDeep, canonicalize, decode_value, diagnose, encode_value};
use flux_signal::{Bytes, Limits, Map, NESTING_MAX, Value};

use crate::{hex, unhex};

/// What the lenient and the canonical mode make of an encoded value.
fn check(encoded: &str, lenient: Expect, canonical: Expect) {
    let bytes = Bytes::from(unhex(encoded));
    let shown = |strictness| match decode_value(&bytes, strictness, &Limits::DEFAULT) {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.to_string(),
    };
    lenient.assert_eq(&shown(Strictness::Lenient));
    canonical.assert_eq(&shown(Strictness::Canonical));
}

/// A mistake in either mode.
fn check_refused(encoded: &str, expected: Expect) {
    let bytes = Bytes::from(unhex(encoded));
    let error = |strictness| decode_value(&bytes, strictness, &Limits::DEFAULT).unwrap_err();
    assert_eq!(error(Strictness::Lenient), error(Strictness::Canonical));
    expected.assert_eq(&error(Strictness::Lenient).to_string());
}

#[test]
fn heads_longer_than_needed() {
    check(
        "1817",
        expect!["Int(23)"],
        expect!["byte 0 of the CBOR: not canonical: a longer head than its number needs"],
    );
    check(
        "8218ff1900ff",
        expect!["List([Int(255), Int(255)])"],
        expect!["byte 3 of the CBOR: not canonical: a longer head than its number needs"],
    );
    check(
        "1a0000ffff",
        expect!["Int(65535)"],
        expect!["byte 0 of the CBOR: not canonical: a longer head than its number needs"],
    );
    check(
        "1b00000000ffffffff",
        expect!["Int(4294967295)"],
        expect!["byte 0 of the CBOR: not canonical: a longer head than its number needs"],
    );
    check(
        "3817",
        expect!["Int(-24)"],
        expect!["byte 0 of the CBOR: not canonical: a longer head than its number needs"],
    );
    check(
        "580161",
        expect![[r#"Bytes(b"a")"#]],
        expect!["byte 0 of the CBOR: not canonical: a longer head than its number needs"],
    );
    check(
        "780161",
        expect![[r#"Text("a")"#]],
        expect!["byte 0 of the CBOR: not canonical: a longer head than its number needs"],
    );
    check(
        "9800",
        expect!["List([])"],
        expect!["byte 0 of the CBOR: not canonical: a longer head than its number needs"],
    );
    check(
        "b800",
        expect!["Map(Map([]))"],
        expect!["byte 0 of the CBOR: not canonical: a longer head than its number needs"],
    );
    check(
        "d80600",
        expect!["Tag((6, Int(0)))"],
        expect!["byte 0 of the CBOR: not canonical: a longer head than its number needs"],
    );
}

#[test]
fn indefinite_lengths() {
    check(
        "5f4101ff",
        expect![[r#"Bytes(b"\x01")"#]],
        expect!["byte 0 of the CBOR: not canonical: an indefinite length"],
    );
    check(
        "7f6161ff",
        expect![[r#"Text("a")"#]],
        expect!["byte 0 of the CBOR: not canonical: an indefinite length"],
    );
    check(
        "819fff",
        expect!["List([List([])])"],
        expect!["byte 1 of the CBOR: not canonical: an indefinite length"],
    );
    check(
        "bfff",
        expect!["Map(Map([]))"],
        expect!["byte 0 of the CBOR: not canonical: an indefinite length"],
    );
}

#[test]
fn floats_longer_than_needed() {
    check(
        "fa3f800000",
        expect!["Float(1.0)"],
        expect!["byte 0 of the CBOR: not canonical: a longer float than its value needs"],
    );
    check(
        "fb3ff0000000000000",
        expect!["Float(1.0)"],
        expect!["byte 0 of the CBOR: not canonical: a longer float than its value needs"],
    );
    check(
        "fb47efffffe0000000",
        expect!["Float(3.4028234663852886e38)"],
        expect!["byte 0 of the CBOR: not canonical: a longer float than its value needs"],
    );
    check(
        "fb36a0000000000000",
        expect!["Float(1.401298464324817e-45)"],
        expect!["byte 0 of the CBOR: not canonical: a longer float than its value needs"],
    );
    check(
        "f97e01",
        expect!["Float(NaN)"],
        expect!["byte 0 of the CBOR: not canonical: a NaN other than f97e00"],
    );
    check(
        "fa7fc00000",
        expect!["Float(NaN)"],
        expect!["byte 0 of the CBOR: not canonical: a longer float than its value needs"],
    );
}

#[test]
fn maps_out_of_order() {
    check(
        "a2616201616102",
        expect![[r#"Map(Map([("a", Int(2)), ("b", Int(1))]))"#]],
        expect!["byte 4 of the CBOR: not canonical: keys out of order"],
    );
    check(
        "a262616101616202",
        expect![[r#"Map(Map([("b", Int(2)), ("aa", Int(1))]))"#]],
        expect!["byte 5 of the CBOR: not canonical: keys out of order"],
    );
}

#[test]
fn bignums() {
    check(
        "c24100",
        expect!["Int(0)"],
        expect!["byte 1 of the CBOR: not canonical: a bignum with leading zeros, or that an integer holds"],
    );
    check(
        "c240",
        expect!["Int(0)"],
        expect!["byte 1 of the CBOR: not canonical: a bignum with leading zeros, or that an integer holds"],
    );
    check(
        "c248ffffffffffffffff",
        expect!["Wide(18446744073709551615)"],
        expect!["byte 1 of the CBOR: not canonical: a bignum with leading zeros, or that an integer holds"],
    );
    check(
        "c24a00010000000000000000",
        expect!["Wide(18446744073709551616)"],
        expect!["byte 1 of the CBOR: not canonical: a bignum with leading zeros, or that an integer holds"],
    );
    check(
        "c35000000000000000000000000000000001",
        expect!["Int(-2)"],
        expect!["byte 1 of the CBOR: not canonical: a bignum with leading zeros, or that an integer holds"],
    );
    check(
        "c25080000000000000000000000000000000",
        expect![[r#"Tag((2, Bytes(b"\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")))"#]],
        expect![[r#"Tag((2, Bytes(b"\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")))"#]],
    );
    check("c2617a", expect![[r#"Tag((2, Text("z")))"#]], expect![[r#"Tag((2, Text("z")))"#]]);
}

#[test]
fn refused_in_either_mode() {
    check_refused("", expect!["byte 0 of the CBOR: the input ends inside an item"]);
    check_refused("0000", expect!["byte 1 of the CBOR: bytes follow the item"]);
    check_refused("a2616101616102", expect!["byte 4 of the CBOR: a duplicate key"]);
    check_refused("a10102", expect!["byte 1 of the CBOR: expected a text as key"]);
    check_refused("62c328", expect!["byte 1 of the CBOR: text that is not UTF-8"]);
    check_refused("8261ff", expect!["byte 2 of the CBOR: text that is not UTF-8"]);
    check_refused(
        "9bffffffffffffffff",
        expect!["byte 0 of the CBOR: its length goes beyond the end of the input"],
    );
    check_refused(
        "bb8000000000000000",
        expect!["byte 0 of the CBOR: its length goes beyond the end of the input"],
    );
    check_refused(
        "5bffffffffffffffff",
        expect!["byte 0 of the CBOR: its length goes beyond the end of the input"],
    );
    check_refused("f818", expect!["byte 0 of the CBOR: a simple value below 32 in two bytes"]);
}

#[test]
fn a_duplicate_among_shuffled_keys_is_found() {
    check(
        "a3616201616102616203",
        expect!["byte 7 of the CBOR: a duplicate key"],
        expect!["byte 4 of the CBOR: not canonical: keys out of order"],
    );
    // The same key, once in chunks and once with a longer head.
    check(
        "a37f6162ff0161610278016203",
        expect!["byte 9 of the CBOR: a duplicate key"],
        expect!["byte 1 of the CBOR: not canonical: an indefinite length"],
    );
}

#[test]
fn nesting_is_bounded_alike_by_writer_and_reader() {
    let deep = |levels: usize| (0..levels).fold(Value::Int(0), |inner, _| Value::List(vec![inner]));
    let mut out = Vec::new();
    encode_value(&deep(NESTING_MAX), &mut out).unwrap();
    let frame = Bytes::from(out);
    assert!(decode_value(&frame, Strictness::Canonical, &Limits::DEFAULT).is_ok());

    let mut out = b"kept".to_vec();
    assert_eq!(encode_value(&deep(NESTING_MAX + 1), &mut out), Err(TooDeep));
    assert_eq!(out, b"kept");
    let deeper = [&[0x81], &frame[..]].concat();
    let error = decode_value(&deeper.into(), Strictness::Lenient, &Limits::DEFAULT).unwrap_err();
    expect!["byte 64 of the CBOR: nested deeper than 64 levels"].assert_eq(&error.to_string());
}

#[test]
fn endless_nesting_is_refused_by_every_reader() {
    for head in [0x81, 0x9F, 0xA1, 0xBF, 0xC1, 0xD8] {
        let bytes = vec![head; 1_000_000];
        assert!(diagnose(&bytes).is_err());
        assert!(canonicalize(&bytes).is_err());
        assert!(decode_value(&bytes.into(), Strictness::Lenient, &Limits::DEFAULT).is_err());
    }
}

#[test]
fn a_tree_heavier_than_the_limit_is_not_built() {
    // Two million nulls: two megabytes here, many times that in memory.
    let mut bytes = unhex("9a00200000");
    bytes.resize(bytes.len() + 0x20_0000, 0xF6);
    let error = decode_value(&bytes.into(), Strictness::Canonical, &Limits::DEFAULT).unwrap_err();
    expect!["byte 0 of the CBOR: message weighs 16777224 bytes, at most 2097152 are allowed"]
        .assert_eq(&error.to_string());
}

#[test]
fn byte_strings_are_slices_of_the_frame() {
    let frame = Bytes::from(unhex("8244deadbeef45cafebabe00"));
    let value = decode_value(&frame, Strictness::Canonical, &Limits::DEFAULT).unwrap();
    let Some(Value::Bytes(slice)) = value.get("1") else { panic!("{value:?}") };
    assert_eq!(slice.as_ptr(), frame[7..].as_ptr());
}

#[test]
fn maps_with_other_keys_are_rewritten() {
    let check = |encoded: &str, expected: Expect| match canonicalize(&unhex(encoded)) {
        Ok(bytes) => expected.assert_eq(&hex(&bytes)),
        Err(error) => expected.assert_eq(&error.to_string()),
    };
    // The order of RFC 8949 section 4.2.1: 10, 100, -1, "z", "aa", [100], [-1], false.
    check(
        "a8f4008120008118640062616100617a00200018640a0a00",
        expect!["a80a0018640a2000617a006261610081186400812000f400"],
    );
    // Equal keys in different clothes.
    check("a20100180100", expect!["byte 3 of the CBOR: a duplicate key"]);
    check("a2c24101000100", expect!["byte 5 of the CBOR: a duplicate key"]);
}

#[test]
fn hand_made_values_are_written_in_normal_form() {
    let check = |value: Value, expected: Expect| {
        let mut out = Vec::new();
        encode_value(&value, &mut out).unwrap();
        expected.assert_eq(&hex(&out));
    };
    check(Value::Wide(Box::new(5)), expect!["05"]);
    check(Value::Wide(Box::new(i128::MIN)), expect!["c3507fffffffffffffffffffffffffffffff"]);
    check(Value::Tag(Box::new((3, Value::Bytes(vec![0, 0, 1].into())))), expect!["21"]);
    check(Value::Float(f64::from_bits(0xFFF8_0000_0000_0001)), expect!["f97e00"]);
    check(
        Map::from_entries(vec![("bb".into(), 1.into()), ("c".into(), 2.into())]).into(),
        expect!["a261630262626201"],
    );
}
