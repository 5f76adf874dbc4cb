//! The envelope of a card authorization: five metadata pairs, a payload of 321 bytes. Ours and `ciborium`, side by side.

use std::{collections::BTreeMap, fmt, hint::black_box};

use ciborium::{from_reader, into_writer};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flux_signal::cbor::{Envelope, Strictness, canonicalize, decode, encode, peek};
use flux_signal::{Bytes, FluxId, FluxMsg, Limits, TraceId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const METADATA: [(&str, &str); 5] = [
    ("conn.id", "0198f2c4-7d10-7cc3-98c4-dc0c0c07398f"),
    ("peer.ip", "192.0.2.17"),
    ("spec.id", "iso8583-1987-ascii"),
    ("peer.port", "40112"),
    ("flux.source", "terminals"),
];

fn message() -> FluxMsg {
    let mut msg = FluxMsg::new(FluxId::v7(1_752_000_000_123, 1), 1_752_000_000_123_456_789, vec![b'0'; 321]);
    msg.source = Some(FluxId::v7(1_752_000_000_000, 2));
    msg.trace = TraceId::new(0x4BF9_2F35_77B3_4DA6_A3CE_929D_0E0E_4736);
    msg.metadata = METADATA.into_iter().collect();
    msg.set_hops(2, vec![]);
    msg
}

/// The same envelope as `serde` sees it.
#[derive(Serialize, Deserialize)]
struct Plain {
    id: Blob,
    ts: i64,
    raw: Blob,
    hops: u16,
    meta: BTreeMap<String, String>,
    trace: String,
    src_id: Blob,
}

impl Plain {
    fn of(msg: &FluxMsg) -> Plain {
        Plain {
            id: Blob(msg.id.to_bytes().to_vec()),
            ts: msg.born_unix_ns,
            raw: Blob(msg.payload.to_vec()),
            hops: msg.hops(),
            meta: msg.metadata.iter().map(|(k, v)| (k.into(), v.into())).collect(),
            trace: msg.trace.expect("it was set").to_string(),
            src_id: Blob(msg.source.expect("it was set").to_bytes().to_vec()),
        }
    }
}

struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Blob, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Blob;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

fn envelope(c: &mut Criterion) {
    let msg = message();
    let plain = Plain::of(&msg);
    let mut frame = Vec::new();
    encode(&msg, &mut frame).expect("it is flat");
    let mut foreign = Vec::new();
    into_writer(&plain, &mut foreign).expect("a vector takes all");
    assert_eq!(canonicalize(&foreign).as_ref(), Ok(&frame), "both sides write the same message");
    let frame = Bytes::from(frame);

    let mut group = c.benchmark_group("envelope");
    group.throughput(Throughput::Bytes(frame.len() as u64));
    let mut out = Vec::with_capacity(1024);
    group.bench_function("encode", |b| {
        b.iter(|| {
            out.clear();
            encode(black_box(&msg), &mut out)
        });
    });
    group.bench_function("encode/ciborium", |b| {
        b.iter(|| {
            out.clear();
            into_writer(black_box(&plain), &mut out)
        });
    });
    for strictness in [Strictness::Canonical, Strictness::Lenient] {
        group.bench_function(format!("decode borrowed/{strictness:?}"), |b| {
            b.iter(|| {
                Envelope::decode(black_box(&frame), strictness, &Limits::DEFAULT).map(|e| e.payload.len())
            });
        });
    }
    group.bench_function("decode to message", |b| {
        b.iter(|| decode(black_box(&frame), Strictness::Canonical, &Limits::DEFAULT));
    });
    group.bench_function("decode/ciborium", |b| b.iter(|| from_reader::<Plain, _>(black_box(&frame[..]))));
    group.bench_function("peek", |b| b.iter(|| peek(black_box(&frame))));
    group.finish();
}

criterion_group!(benches, envelope);
criterion_main!(benches);
