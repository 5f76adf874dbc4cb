//! The encoding and the value model, from outside the crate.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may unwrap as the test may")]

mod appendix_a;
mod appendix_f;
mod canonical;
mod envelope;
mod foreign;
mod fuzz_cbor;
mod notation;
mod paths;
mod round_trip;
mod strategies;

/// The bytes that hexadecimal digits stand for; white space between them counts for nothing.
fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
