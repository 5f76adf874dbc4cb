//! Every example of RFC 8949 appendix F: bytes that are not well-formed.

use flux_signal::cbor::{Problem, Strictness, canonicalize, decode_value, diagnose};
use flux_signal::{Bytes, Limits};

use crate::unhex;

/// The encodings of one kind of mistake, and whether a problem is the one to report.
fn check(encodings: &str, is_expected: fn(&Problem) -> bool) {
    for encoding in encodings.split(',').map(str::trim) {
        let bytes = unhex(encoding);
        let errors = [
            diagnose(&bytes).map(drop),
            canonicalize(&bytes).map(drop),
            decode_value(&Bytes::from(bytes), Strictness::Lenient, &Limits::DEFAULT).map(drop),
        ];
        for (reader, error) in ["diagnose", "canonicalize", "decode_value"].into_iter().zip(errors) {
            let error = error.expect_err(encoding);
            let problem = error.problem();
            // A value takes text keys only, which some examples break first.
            let is_key = matches!(problem, Problem::Expected(_)) && reader == "decode_value";
            assert!(is_expected(problem) || is_key, "{encoding}: {reader} says {problem:?}");
        }
    }
}

#[test]
fn input_that_ends_early() {
    let is_short = |problem: &Problem| matches!(problem, Problem::Truncated | Problem::TooLong);
    check(
        "18, 19, 1a, 1b, 1901, 1a0102, 1b01020304050607, 38, 58, 78, 98, 9a01ff00, b8, d8, f8, f900",
        is_short,
    );
    check("fa0000, fb000000, 41, 61, 5affffffff00, 5bffffffffffffffff010203, 7affffffff00", is_short);
    check("7b7fffffffffffffff010203, 81, 818181818181818181, 8200, a1, a20102, a100, a2000000, c0", is_short);
    check("5f4100, 7f6100, 9f, 9f0102, bf, bf01020102, 819f, 9f8000, 9f9f9f9f9fffffffff", is_short);
    check("9f819f819f9fffffff", is_short);
}

#[test]
fn reserved_first_bytes() {
    let is_reserved = |problem: &Problem| matches!(problem, Problem::Reserved);
    check("1c, 1d, 1e, 3c, 3d, 3e, 5c, 5d, 5e, 7c, 7d, 7e, 9c, 9d, 9e, bc, bd, be, dc, dd, de", is_reserved);
    check("fc, fd, fe, 1f, 3f, df", is_reserved);
}

#[test]
fn simple_values_that_do_not_exist() {
    check("f800, f801, f818, f81f", |problem| matches!(problem, Problem::BadSimple));
}

#[test]
fn chunks_of_another_kind() {
    let is_chunk = |problem: &Problem| matches!(problem, Problem::BadChunk);
    check("5f00ff, 5f21ff, 5f6100ff, 5f80ff, 5fa0ff, 5fc000ff, 5fe0ff, 7f4100ff", is_chunk);
    check("5f5f4100ffff, 7f7f6100ffff", is_chunk);
}

#[test]
fn breaks_that_end_nothing() {
    let is_break = |problem: &Problem| matches!(problem, Problem::StrayBreak | Problem::TooLong);
    check("ff, 81ff, 8200ff, a1ff, a1ff00, a100ff, a20000ff, 9f81ff, 9f829f819f9fffffffff", is_break);
    check("bf00ff, bf000000ff", is_break);
}
