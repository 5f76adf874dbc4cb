//! Ids that nobody has given yet, made of the host's time and chance.

use std::sync::PoisonError;

use data_encoding::HEXLOWER;

use crate::Value;
use crate::library::world::random;
use crate::library::{Call, Default, Param, Spec};
use crate::run::{Outcome, fail};

pub(crate) const FUNCTIONS: &[Spec] = &[
    Spec::function("ksuid", &[], ksuid),
    Spec::function("nanoid", &[Param::int("length").optional(), Param::text("alphabet").optional()], nanoid),
    Spec::function("snowflake_id", &[Param::int("node_id").or(Default::Int(1))], snowflake),
    Spec::function(
        "ulid",
        &[
            Param::text("encoding").or(Default::Text("crockford")),
            Param::text("random_source").or(Default::Text("secure_random")),
        ],
        ulid,
    ),
    Spec::function("uuid_v4", &[], |call| Ok(Value::from(uuid(random(call))))),
];

/// The bytes of a random UUID in its usual form, the version and variant put in.
pub(crate) fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = HEXLOWER.encode(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Digits of a number in a base, the highest first.
fn digits(mut number: u128, alphabet: &[u8], length: usize) -> String {
    let base = alphabet.len() as u128;
    let mut digits = vec![0; length];
    for digit in digits.iter_mut().rev() {
        *digit = alphabet[(number % base) as usize];
        number /= base;
    }
    digits.into_iter().map(char::from).collect()
}

const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CROCKFORD: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Seconds since 2014 in four bytes, and sixteen bytes of chance, as 27 digits of base 62.
fn ksuid(call: &mut Call) -> Outcome {
    const EPOCH: i64 = 1_400_000_000;
    let seconds = (call.runner.program.host.now().as_second() - EPOCH) as u32;
    let mut number: Vec<u8> = seconds.to_be_bytes().into_iter().chain(random::<16>(call)).collect();
    let mut out = [0; 27];
    for digit in out.iter_mut().rev() {
        // 160 bits are too many for an integer: a long division by the base, byte by byte.
        let mut rest = 0u32;
        for byte in &mut number {
            let whole = rest << 8 | u32::from(*byte);
            (*byte, rest) = ((whole / 62) as u8, whole % 62);
        }
        *digit = BASE62[rest as usize];
    }
    Ok(Value::from(out.into_iter().map(char::from).collect::<String>()))
}

/// Characters of an id that a mapping may ask for.
const NANOID_LENGTH_MAX: i64 = 10_000;

fn nanoid(call: &mut Call) -> Outcome {
    let length = if call.has(0) { call.int(0)? } else { 21 };
    if !(1..=NANOID_LENGTH_MAX).contains(&length) {
        fail!("the argument `length` must be from 1 to {NANOID_LENGTH_MAX}");
    }
    let default = "_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let alphabet: Vec<char> = call.optional_text(1)?.unwrap_or(default).chars().collect();
    if alphabet.is_empty() || alphabet.len() > 255 {
        fail!("the argument `alphabet` must have 1 to 255 characters");
    }
    // Bytes beyond the alphabet are drawn again, so that all characters are equally likely.
    let mask = alphabet.len().next_power_of_two() - 1;
    let mut id = String::new();
    let mut left = length;
    while left > 0 {
        for byte in random::<32>(call) {
            if let Some(c) = alphabet.get(usize::from(byte) & mask)
                && left > 0
            {
                id.push(*c);
                left -= 1;
            }
        }
    }
    Ok(Value::from(id))
}

/// Milliseconds since 2010, ten bits of a node, and twelve bits that count within a millisecond.
fn snowflake(call: &mut Call) -> Outcome {
    const EPOCH: i64 = 1_288_834_974_657;
    let node = call.int(0)?;
    if !(0..1024).contains(&node) {
        fail!("the argument `node_id` must be from 0 to 1023");
    }
    let now = call.runner.program.host.now().as_millisecond() - EPOCH;
    let mut last = call.runner.program.snowflake.lock().unwrap_or_else(PoisonError::into_inner);
    // A clock that went back, or a millisecond that is full, borrows from the next one.
    *last = (*last + 1).max(now << 12);
    let (milliseconds, step) = (*last >> 12, *last & 0xfff);
    Ok(Value::from((milliseconds << 22 | node << 12 | step).to_string()))
}

fn ulid(call: &mut Call) -> Outcome {
    if !matches!(call.text(1)?, "secure_random" | "fast_random") {
        fail!("the argument `random_source` is secure_random or fast_random");
    }
    let milliseconds = call.runner.program.host.now().as_millisecond() as u64;
    let mut bytes: [u8; 16] = random(call);
    bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
    match call.text(0)? {
        "crockford" => Ok(Value::from(digits(u128::from_be_bytes(bytes), CROCKFORD, 26))),
        "hex" => Ok(Value::from(HEXLOWER.encode(&bytes))),
        _ => fail!("the argument `encoding` is crockford or hex"),
    }
}
