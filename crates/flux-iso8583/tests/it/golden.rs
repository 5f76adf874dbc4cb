//! Messages computed by hand: what is on the wire, byte by byte.

use std::sync::Arc;

use flux_iso8583::{Message, Spec};
use flux_signal::Value;

use crate::fixture::{CHIP, FIELDS, ascii, builtin, example, hex, inline, unhex};

/// `wire` is read as `fields`, and `fields` are written as `wire`.
#[track_caller]
fn check(spec: &Arc<Spec>, wire: &[u8], mti: &str, fields: &[(&str, &str)]) {
    let message = Message::decode(Arc::clone(spec), wire.to_vec().into()).unwrap();
    assert_eq!(message.mti(), mti);
    let mut built = Message::new(Arc::clone(spec), mti).unwrap();
    for (path, text) in fields {
        let found = message.get(path).unwrap_or_else(|| panic!("no field {path}"));
        let expected = match found {
            Value::Bytes(_) => Value::Bytes(unhex(text).into()),
            _ => Value::from(*text),
        };
        assert_eq!(found, expected, "field {path}");
        built.set(path, &expected).unwrap();
    }
    assert_eq!(hex(&built.to_bytes()), hex(wire));
}

#[test]
fn ascii_network_management() {
    // Bits 1, 7, 11; then bit 70.
    let wire = ["0800", "8220000000000000", "0400000000000000", "1105143015", "000042", "301"].concat();
    let fields = [("7", "1105143015"), ("11", "000042"), ("70", "301")];
    check(&builtin("iso87ascii"), wire.as_bytes(), "0800", &fields);
}

#[test]
fn content_is_checked_behind_every_bitmap() {
    let wire = ["0800", "8220000000000000", "0400000000000000", "1105143015", "000042", "3x1"].concat();
    let refused = Message::decode(builtin("iso87ascii"), wire.into_bytes().into()).unwrap_err();
    assert_eq!(refused.to_string(), "field 70 at byte 52: expected decimal digits only");
}

#[test]
fn ascii_request_of_321_bytes() {
    let wire = ascii();
    assert_eq!(wire.len(), 321);
    let numbers: Vec<(String, &str)> = FIELDS.iter().map(|(n, text)| (n.to_string(), *text)).collect();
    let fields: Vec<(&str, &str)> =
        numbers.iter().map(|(n, text)| (n.as_str(), *text)).chain([("55", CHIP)]).collect();
    assert_eq!(fields.len(), 19);
    check(&builtin("iso87ascii"), &wire, "0200", &fields);
}

#[test]
fn ascii_response() {
    // Bits 3, 4, 7, 11, 39.
    let wire = ["0210", "3220000002000000", "000000", "000000010000", "1105143015", "000042", "00"].concat();
    let fields =
        [("3", "000000"), ("4", "000000010000"), ("7", "1105143015"), ("11", "000042"), ("39", "00")];
    check(&builtin("iso87ascii"), wire.as_bytes(), "0210", &fields);
    check(&builtin("moov:spec87ascii"), wire.as_bytes(), "0210", &fields);
}

#[test]
fn binary_request() {
    // Bits 2, 3, 4, 7, 11, 35, 41, 42, 52. The 37 characters of track 2 have a filler in front.
    let wire = unhex(
        "0200 7220000020C01000
         16 4111111111111111  000000  000000010000  1105143015  000042
         37 04111111111111111D28121010000012300000
         5445524D30303031  4D45524348414E5430303030303031  1122334455667788",
    );
    let fields = [
        ("2", "4111111111111111"),
        ("3", "000000"),
        ("4", "000000010000"),
        ("7", "1105143015"),
        ("11", "000042"),
        ("35", "4111111111111111=28121010000012300000"),
        ("41", "TERM0001"),
        ("42", "MERCHANT0000001"),
        ("52", "1122334455667788"),
    ];
    check(&builtin("iso87binary"), &wire, "0200", &fields);
}

#[test]
fn hexadecimal_text_doubles_everything() {
    // Bits 3 and 32: "0800", "990000", a length of 3, "123", all as hexadecimal text.
    let wire = b"303830302000000100000000393930303030000033313233".to_vec();
    let wire = [&wire[..8], b"2000000100000000", b"393930303030", b"0003", b"313233"].concat();
    check(&builtin("moov:spec87hex"), &wire, "0800", &[("3", "990000"), ("32", "123")]);
}

#[test]
fn a_tertiary_bitmap_reaches_field_192() {
    let spec = inline(
        "extends: iso87binary
wire: {fields: {130: {type: String, length: 99, prefix: BCD.LL}, 192: {type: Binary, length: 2, enc: Binary}}}",
    );
    // Bits 1 and 3; bit 65 of the secondary; bits 130 and 192 of the tertiary.
    let wire = unhex(
        "0800  A000000000000000  8000000000000000  4000000000000001
         990000  03 616263  BEEF",
    );
    check(&spec, &wire, "0800", &[("3", "990000"), ("130", "abc"), ("192", "BEEF")]);
}

#[test]
fn ebcdic_letters_and_lengths() {
    let spec = inline(
        "wire:
  fields:
    0: {type: String, length: 4, enc: EBCDIC}
    1: {type: Bitmap, length: 8, enc: Binary}
    2: {type: Numeric, length: 19, enc: EBCDIC, prefix: EBCDIC.LL}
    41: {type: String, length: 8, enc: EBCDIC, padding: {type: Right, pad: \" \"}}
    48: {type: Composite, length: 99, enc: EBCDIC, prefix: EBCDIC.LLL,
         subfields: {layout: tlv, tag: {length: 2}, parts: [{tag: \"01\", name: order}]}}",
    );
    let wire = unhex(
        "F0F2F0F0  4000000000810000
         F1F2 F4F1F1F1F1F1F1F1F1F1F1F1
         E3C5D9D440404040
         F0F0F7 F0F1 F0F3 C1C2C3",
    );
    let fields = [("2", "411111111111"), ("41", "TERM"), ("48.order", "ABC")];
    check(&spec, &wire, "0200", &fields);
}

#[test]
fn the_binary_layout_packs_amounts_behind_their_sign_and_indicators() {
    // Bits 28, 31, 93 and 97 behind a secondary bitmap.
    let wire = unhex(
        "0420  8000001200000000  0000000880000000
         44 00000125  43 12345678  001203  43 0000000000001000",
    );
    let fields = [("28", "D00000125"), ("31", "C12345678"), ("93", "01203"), ("97", "C0000000000001000")];
    check(&builtin("iso87binary"), &wire, "0420", &fields);
}

#[test]
fn composites_of_every_layout() {
    // Bits 3, 48, 55, 62.
    let wire = unhex(
        "0200  2000000000010204
         010020
         0024 3031 3035 41422D3132  3032 3032 3033  3939 3035 78797A7A79
         0015 9F2608A1B2C3D4E5F60708  DF0101FF
         0010 C0  59  0123456789012345",
    );
    let fields = [
        ("3.transaction", "01"),
        ("3.account_from", "00"),
        ("3.account_to", "20"),
        ("48.order", "AB-12"),
        ("48.installments", "03"),
        ("48.99", "xyzzy"),
        ("55.9F26", "A1B2C3D4E5F60708"),
        ("55.DF01", "FF"),
        ("62.characteristics", "Y"),
        ("62.transaction_id", "123456789012345"),
    ];
    check(&example("acquirer-bcd"), &wire, "0200", &fields);
}
