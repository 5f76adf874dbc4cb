//! Arbitrary values and messages.

use flux_signal::{Data, FluxId, FluxMsg, Hop, Map, Simple, Text, TraceId, Value};
use proptest::{collection::vec, option, prelude::*, test_runner::RngSeed};

/// The same cases in every run; the fuzz target is for finding new ones.
pub(crate) fn config() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(8949), failure_persistence: None, ..ProptestConfig::default() }
}

/// Short keys that collide often; some contain the dot of a path, some are numbers.
pub(crate) fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[abc]{0,2}", "[ab]\\.[ab]", "[0-2]", "(tag|text):[0-9]{0,2}", ".{0,30}"]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-300i64..300).prop_map(Value::Int),
        any::<i128>().prop_map(Value::integer),
        any::<u64>().prop_map(|n| Value::integer(n.into())),
        any::<u64>().prop_map(|n| Value::integer(!i128::from(n))),
        any::<f64>().prop_map(Value::Float),
        any::<f32>().prop_map(|n| Value::Float(n.into())),
        (-64i8..64).prop_map(|n| Value::Float(f64::from(n) / 8.0)),
        prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(f64::NAN), Just(-0.0)]
            .prop_map(Value::Float),
        prop_oneof![".{0,40}", "(hex|int|float|simple|text):.{0,3}"]
            .prop_map(|text| Value::Text(text.into())),
        vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Bytes(bytes.into())),
        any::<u8>().prop_filter_map("no such simple value", |n| Simple::new(n).map(Value::Simple)),
        // A bignum that no i128 holds stays a tag.
        (2u64..4, vec(any::<u8>(), 16..20)).prop_map(|(tag, mut bytes)| {
            bytes.insert(0, 1);
            Value::Tag(Box::new((tag, Value::Bytes(bytes.into()))))
        }),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::List),
            vec((key(), inner.clone()), 0..8).prop_map(map),
            (4u64.., inner).prop_map(|tagged| Value::Tag(Box::new(tagged))),
        ]
    })
}

pub(crate) fn map(entries: Vec<(String, Value)>) -> Value {
    Value::Map(Map::from_entries(entries.into_iter().map(|(k, v)| (Text::from(k), v)).collect()))
}

fn id() -> impl Strategy<Value = FluxId> {
    (any::<u64>(), any::<u128>()).prop_map(|(ms, chosen)| FluxId::v7(ms, chosen))
}

fn trail() -> impl Strategy<Value = Vec<Hop>> {
    vec((id(), id(), any::<i64>()).prop_map(|(gear, port, unix_ns)| Hop { gear, port, unix_ns }), 0..4)
}

pub(crate) fn msg() -> impl Strategy<Value = FluxMsg> {
    let ids = (id(), option::of(id()), option::of(id()), option::of(any::<u128>()));
    let context = (vec((key(), ".{0,30}"), 0..7), any::<i64>(), any::<u32>(), 0u16..64, trail());
    let content = (vec(any::<u8>(), 0..400), value());
    (ids, context, content).prop_map(
        |((id, cause, source, trace), (metadata, born, flags, hops, trail), (payload, data))| {
            let mut msg = FluxMsg::new(id, born, payload);
            msg.cause = cause;
            msg.source = source;
            msg.trace = trace.and_then(TraceId::new);
            msg.metadata = metadata.into_iter().collect();
            msg.flags = flags;
            msg.set_hops(hops, trail);
            msg.data = Data::from(data);
            msg
        },
    )
}
