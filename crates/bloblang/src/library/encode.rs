//! Bytes as text and back: base64, hexadecimal, ascii85.

use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXLOWER_PERMISSIVE};

use crate::Value;
use crate::library::call::bytes;
use crate::library::{Param, Spec};
use crate::run::{Outcome, fail};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("encode", &[Param::text("scheme")], |call, target| {
        let bytes = bytes(&target)?;
        Ok(Value::from(match call.text(0)? {
            "ascii85" => ascii85(bytes),
            scheme => encoding(scheme)?.encode(bytes),
        }))
    }),
    Spec::method("decode", &[Param::text("scheme")], |call, target| {
        let bytes = bytes(&target)?;
        let decoded = match call.text(0)? {
            "ascii85" => from_ascii85(bytes)?,
            "hex" => decoded(&HEXLOWER_PERMISSIVE, bytes)?,
            scheme => {
                // Line breaks within base64 say nothing.
                let line: Vec<u8> =
                    bytes.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
                decoded(&encoding(scheme)?, &line)?
            }
        };
        Ok(Value::bytes(decoded))
    }),
];

/// Standard base64, as bytes have it in JSON.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

fn encoding(scheme: &str) -> Outcome<Encoding> {
    match scheme {
        "base64" => Ok(BASE64),
        "base64url" => Ok(BASE64URL),
        "base64rawurl" => Ok(BASE64URL_NOPAD),
        "hex" => Ok(HEXLOWER),
        _ => fail!("no such scheme: there are base64, base64url, base64rawurl, hex and ascii85"),
    }
}

fn decoded(encoding: &Encoding, bytes: &[u8]) -> Outcome<Vec<u8>> {
    match encoding.decode(bytes) {
        Ok(decoded) => Ok(decoded),
        Err(error) => fail!("invalid encoding at byte {}", error.position),
    }
}

/// Four bytes as five digits of base 85; four zeros as `z`.
fn ascii85(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() / 4 * 5 + 5);
    for group in bytes.chunks(4) {
        let mut padded = [0; 4];
        padded[..group.len()].copy_from_slice(group);
        let mut number = u32::from_be_bytes(padded);
        if number == 0 && group.len() == 4 {
            out.push('z');
            continue;
        }
        let mut digits = [0; 5];
        for digit in digits.iter_mut().rev() {
            *digit = (number % 85) as u8 + b'!';
            number /= 85;
        }
        out.extend(digits[..=group.len()].iter().map(|digit| char::from(*digit)));
    }
    out
}

fn from_ascii85(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut digits: Vec<u8> = Vec::with_capacity(5);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'z' if digits.is_empty() => out.extend([0; 4]),
            b'!'..=b'u' => digits.push(byte - b'!'),
            0..=b' ' => {}
            _ => fail!("invalid encoding at byte {at}"),
        }
        if digits.len() == 5 {
            out.extend(group(&digits)?);
            digits.clear();
        }
    }
    match digits.len() {
        0 => {}
        1 => fail!("the encoding ends within a group"),
        kept => {
            digits.resize(5, 84);
            out.extend(&group(&digits)?[..kept - 1]);
        }
    }
    Ok(out)
}

fn group(digits: &[u8]) -> Outcome<[u8; 4]> {
    let number = digits.iter().fold(0u64, |number, digit| number * 85 + u64::from(*digit));
    match u32::try_from(number) {
        Ok(number) => Ok(number.to_be_bytes()),
        Err(_) => fail!("a group of five digits is out of range"),
    }
}
