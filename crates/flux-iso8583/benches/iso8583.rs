//! What a message costs: the 321-byte ASCII 0200 with 19 fields of the tests, beside another crate in the same run.
//!
//! `iso8583-core` 0.1 (MIT or Apache-2.0) reads ASCII messages with binary bitmaps under one built-in layout, so it
//! gets the same fields with such a bitmap, and field 55 as text. `iso8583_rs` 0.1 (Apache-2.0) is not compared: it
//! takes its one spec from the file that an environment variable names, and pulls in a logger and a metrics registry.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that cannot go on may panic")]

#[path = "../tests/it/fixture.rs"]
#[allow(dead_code)]
mod fixture;

use std::{hint::black_box, sync::Arc};

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, criterion_group, criterion_main};
use flux_iso8583::{FieldIndex, Message, MessageView, Probe};
use flux_signal::{Data, Value};

fn parse(c: &mut Criterion) {
    let spec = fixture::builtin("iso87ascii");
    let acquirer = fixture::example("acquirer");
    let frame = fixture::ascii();
    let payload = Bytes::from(frame.clone());
    let mut index = FieldIndex::new();
    c.bench_function("parse/probe", |b| {
        b.iter(|| Probe::parse(&spec, black_box(&frame), &mut index).unwrap().raw(11).is_some());
    });
    c.bench_function("parse/message", |b| {
        b.iter(|| Message::parse(Arc::clone(&spec), black_box(payload.clone())).unwrap());
    });
    c.bench_function("parse/owned_and_checked", |b| {
        b.iter(|| Message::decode(Arc::clone(&spec), Bytes::copy_from_slice(black_box(&frame))).unwrap());
    });
    c.bench_function("parse/owned_and_checked_with_parts", |b| {
        b.iter(|| Message::decode(Arc::clone(&acquirer), Bytes::copy_from_slice(black_box(&frame))).unwrap());
    });
}

fn build(c: &mut Criterion) {
    let spec = fixture::builtin("iso87ascii");
    let payload = Bytes::from(fixture::ascii());
    let received = Message::parse(Arc::clone(&spec), payload.clone()).unwrap();
    let mut answer = received.clone();
    answer.set_mti("0210").unwrap();
    answer.set_text(39, "00").unwrap();
    let chip = Value::Bytes(fixture::unhex(fixture::CHIP).into());
    let mut out = BytesMut::with_capacity(1024);
    let mut build = |message: &Message| {
        out.clear();
        message.build(&mut out);
        out.len()
    };
    c.bench_function("build/unedited", |b| b.iter(|| build(black_box(&received))));
    c.bench_function("build/edited", |b| b.iter(|| build(black_box(&answer))));
    c.bench_function("build/from_19_values", |b| {
        b.iter(|| {
            let mut message = Message::new(Arc::clone(&spec), "0200").unwrap();
            for (field, text) in fixture::FIELDS {
                message.set_text(field, text).unwrap();
            }
            message.set("55", &chip).unwrap();
            build(&message)
        });
    });
    c.bench_function("parse_set_two_build", |b| {
        b.iter(|| {
            let mut message = Message::parse(Arc::clone(&spec), black_box(payload.clone())).unwrap();
            message.set_mti("0210").unwrap();
            message.set_text(38, "123456").unwrap();
            message.set_text(39, "00").unwrap();
            build(&message)
        });
    });
}

fn view(c: &mut Criterion) {
    let payload = Bytes::from(fixture::ascii());
    let message = Message::parse(fixture::example("acquirer"), payload).unwrap();
    let data = Data::View(Arc::new(MessageView::new(message.clone())));
    c.bench_function("view/get_alias", |b| b.iter(|| data.get(black_box("trace.stan"))));
    c.bench_function("view/get_part", |b| b.iter(|| data.get(black_box("iso8583.field.55.9F26"))));
    c.bench_function("view/to_value", |b| b.iter(|| message.to_value()));
    c.bench_function("view/set_part", |b| {
        b.iter(|| {
            let mut message = message.clone();
            message.set("55.9F36", black_box(&"0043".into())).unwrap();
            message
        });
    });
}

fn others(c: &mut Criterion) {
    let mut frame = fixture::ascii();
    // Their bitmap is eight bytes, and their field 55 is text.
    frame.splice(4..20, 0x723C_4481_28E0_8200_u64.to_be_bytes());
    let chip = frame.len() - 98;
    frame[chip..].fill(b'A');
    c.bench_function("other/iso8583-core/parse", |b| {
        b.iter(|| iso8583_core::ISO8583Message::from_bytes(black_box(&frame)).unwrap());
    });
    let message = iso8583_core::ISO8583Message::from_bytes(&frame).unwrap();
    c.bench_function("other/iso8583-core/build", |b| b.iter(|| black_box(&message).to_bytes()));
}

/// A chain of a hundred multiplications, nothing else: what the machine does to a figure at the time.
fn calibration(c: &mut Criterion) {
    c.bench_function("calibration/100_multiplications", |b| {
        b.iter(|| {
            (0..100_u64).fold(black_box(1), |n: u64, _| black_box(n.wrapping_mul(6_364_136_223_846_793_005)))
        });
    });
}

criterion_group!(benches, calibration, parse, build, view, others);
criterion_main!(benches);
