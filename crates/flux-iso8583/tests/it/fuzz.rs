//! Any bytes from outside are read or refused. Each target replays its corpus here; `cargo bolero test` goes further.

use std::sync::{Arc, LazyLock};

use flux_iso8583::{FrameEncoding, Message, Spec, explain, render, sniff};

use crate::fixture::{builtin, example, inline};

/// Specs a frame may be read by; the last one is made to be hostile to its reader.
static SPECS: LazyLock<Vec<Arc<Spec>>> = LazyLock::new(|| {
    let hostile = inline(
        "wire:
  fields:
    0: {type: String, length: 4, enc: BCD}
    1: {type: Bitmap, enc: Binary}
    2: {type: String, length: 999999, prefix: BerTLV}
    3: {type: Binary, length: 999999, enc: Binary, prefix: Binary.LLLLLL}
    4: {type: Hex, length: 999999, enc: HexToASCII, prefix: Hex.LLLLLL}
    5: {type: Numeric, length: 999999, enc: BCD, prefix: BerTLV}
    6: {type: Composite, length: 999999, enc: Binary, prefix: BerTLV,
        subfields: {layout: tlv, parts: [{tag: E1, type: Composite, subfields: {layout: tlv}}, {tag: 5A, type: Numeric, enc: BCD}]}}
    7: {type: Composite, length: 999999, enc: Binary, prefix: BerTLV,
        subfields: {layout: bitmapped, parts: [{bit: 1, length: 999999, prefix: BerTLV}, {bit: 64, length: 9, prefix: BCD.L, enc: BCD, type: Numeric}]}}
    8: {type: Composite, length: 999, enc: BCD, prefix: BCD.LLL,
        subfields: {layout: positional, parts: [{name: a, from: 1, to: 1}, {name: z, from: 999, to: 999}]}}
    9: {type: Composite, length: 99, enc: EBCDIC, prefix: EBCDIC.LL,
        subfields: {layout: tlv, tag: {length: 8}, prefix: ASCII.L}}
    10: {type: Composite, length: 99, enc: HexToASCII, prefix: Hex.L,
        subfields: {layout: tlv, tag: {length: 1, enc: Binary}, prefix: Binary.L, unknown_tags: reject}}
    192: {type: Track2, length: 37, enc: LBCD, prefix: Binary.L}",
    );
    vec![builtin("iso87ascii"), builtin("iso87binary"), example("acquirer"), example("acquirer-bcd"), hostile]
});

/// The first byte chooses the spec, the rest is the frame.
#[test]
fn wire() {
    bolero::check!().for_each(|input: &[u8]| {
        let Some((choice, frame)) = input.split_first() else { return };
        let spec = &SPECS[usize::from(*choice) % SPECS.len()];
        drop(render(&explain(spec, frame)));
        let decoded = Message::decode(Arc::clone(spec), frame.to_vec().into());
        let Ok(message) = decoded else { return };
        assert_eq!(message.to_bytes(), frame);
        let again = Message::from_value(Arc::clone(spec), &message.to_value()).unwrap();
        let same = |field| again.whole(field) == message.whole(field);
        assert!(message.fields().all(same));
        drop(message.to_json());
    });
}

/// The whole input is the content of field 55, read as BER-TLV, edited, and put back.
#[test]
fn ber_tlv() {
    bolero::check!().for_each(|input: &[u8]| {
        let mut message = Message::new(Arc::clone(&SPECS[4]), "0200").unwrap();
        let content = flux_signal::Value::Bytes(input.to_vec().into());
        if message.set("6", &content).is_ok() {
            assert_eq!(message.raw(6), Some(input));
            message.set("6.9F26", &"A1B2".into()).unwrap();
            let is_there = message.get("6.9F26") == Some("A1B2".into());
            assert!(is_there && message.check().is_ok());
            assert!(message.remove("6.9F26") && message.get("6.9F26").is_none());
        }
    });
}

/// The whole input is a spec file.
#[test]
fn spec_files() {
    bolero::check!().for_each(|input: &[u8]| {
        let loaded = Spec::load("fuzz.yaml", input, &|name| match name {
            "self" => Ok(input.to_vec()),
            _ => Err("there is no such file".to_owned()),
        });
        match loaded {
            Ok(spec) => drop(Message::parse(Arc::new(spec), b"0200".as_slice().into())),
            Err(report) => assert!(report.has_errors()),
        }
    });
}

/// The whole input is a frame of an unknown kind.
#[test]
fn unknown_frames() {
    bolero::check!().for_each(|input: &[u8]| {
        for (_, encoding) in FrameEncoding::NAMES {
            let _ = sniff(input, encoding);
        }
        let _ = flux_iso8583::header::Tpdu::split(input);
        let _ = flux_iso8583::header::VisaHeader::split(input);
    });
}
