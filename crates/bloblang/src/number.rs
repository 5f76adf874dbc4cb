//! Numbers as text, and text as numbers, the way the language's first implementation writes them.

use std::fmt::Write;

/// The shortest digits of a finite float and its decimal exponent: `d.ddd x 10^exponent`.
fn digits(n: f64) -> (bool, String, i32) {
    let text = format!("{n:e}");
    let (mantissa, exponent) = text.split_once('e').expect("the exponent is always written");
    let is_negative = mantissa.starts_with('-');
    let digits = mantissa.chars().filter(char::is_ascii_digit).collect();
    (is_negative, digits, exponent.parse().expect("the exponent is a number"))
}

/// As JSON has it: plain between 1e-6 and 1e21, with an exponent outside.
pub(crate) fn write_json(out: &mut String, n: f64) {
    let magnitude = n.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        write!(out, "{n}").expect("a string takes everything");
    } else {
        let (is_negative, digits, exponent) = digits(n);
        out.push_str(&scientific(is_negative, &digits, exponent, 1));
    }
}

/// As the verb `%v` has it: plain between 1e-4 and 1e21, with an exponent of two digits outside.
pub(crate) fn general(n: f64) -> String {
    if !n.is_finite() {
        return if n.is_nan() {
            "NaN"
        } else if n > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .into();
    }
    let (is_negative, digits, exponent) = digits(n);
    if n == 0.0 || (-4..21).contains(&exponent) {
        format!("{n}")
    } else {
        scientific(is_negative, &digits, exponent, 2)
    }
}

fn scientific(is_negative: bool, digits: &str, exponent: i32, exponent_digits: usize) -> String {
    let sign = if is_negative { "-" } else { "" };
    let point = if digits.len() > 1 { "." } else { "" };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    let exponent = exponent.abs();
    format!("{sign}{}{point}{}e{exponent_sign}{exponent:0exponent_digits$}", &digits[..1], &digits[1..])
}

/// A whole number in Go's syntax: an optional sign, a base prefix (`0x`, `0o`, `0b`, `0`), underscores between digits.
pub(crate) fn parse_whole(text: &str) -> Option<i128> {
    let (is_negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = rest.to_ascii_lowercase();
    let (base, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some(_) if lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || digits.starts_with(['-', '+']) || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let n = i128::from_str_radix(&digits.replace('_', ""), base).ok()?;
    Some(if is_negative { -n } else { n })
}

/// A float in decimal syntax, the infinities and NaN not taken.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let is_number = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    text.parse().ok().filter(|n: &f64| is_number && n.is_finite())
}

/// The number that a text is: whole if it can be.
pub(crate) fn parse(text: &str) -> Option<crate::Value> {
    if let Ok(n) = text.parse::<i64>() {
        return Some(crate::Value::Int(n));
    }
    parse_float(text).map(crate::Value::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_the_way_json_has_them() {
        let check = |n: f64, expected: &str| {
            let mut out = String::new();
            write_json(&mut out, n);
            assert_eq!(out, expected);
        };
        check(7200.0, "7200");
        check(0.1, "0.1");
        check(-0.0, "-0");
        check(1e20, "100000000000000000000");
        check(1e21, "1e+21");
        check(6.674283e-11, "6.674283e-11");
        check(-1.5e-7, "-1.5e-7");
        assert_eq!(general(1e21), "1e+21");
        assert_eq!(general(0.00001), "1e-05");
    }

    #[test]
    fn whole_numbers_have_bases() {
        assert_eq!(parse_whole("0xDEADBEEF"), Some(3_735_928_559));
        assert_eq!(parse_whole("-017"), Some(-15));
        assert_eq!(parse_whole("1_000"), Some(1000));
        for bad in ["", "-", "0x", "1__0", "0x-1", "9a", "+-1"] {
            assert_eq!(parse_whole(bad), None, "{bad}");
        }
    }
}
