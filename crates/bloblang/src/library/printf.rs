//! The verbs of the method `format`, which are those of Go's package `fmt`.

use std::fmt::Write;

use crate::Value;
use crate::library::Call;
use crate::library::quoting::quote;
use crate::library::types::to_text;
use crate::number;
use crate::run::{Outcome, fail};

/// Columns that one verb may fill, and digits after its point.
const WIDTH_MAX: usize = 10_000;

/// `%[flags][width][.precision]verb`
#[derive(Default)]
struct Verb {
    is_left: bool,
    has_sign: bool,
    has_space: bool,
    has_zeros: bool,
    is_alternate: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

pub(crate) fn format(call: &mut Call, target: Value) -> Outcome {
    let Some(template) = target.as_str() else {
        return Err(crate::library::call::expected("string", &target));
    };
    let arguments: Vec<Value> = call.values(0).cloned().collect();
    call.runner.reserve(arguments.iter().map(Value::weight).fold(0, usize::saturating_add))?;
    let (mut out, mut rest, mut used) = (String::with_capacity(template.len() * 2), template, 0);
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let (verb, after) = read(&rest[at + 1..], &arguments, &mut used)?;
        rest = after;
        match (verb.letter, arguments.get(used)) {
            ('%', _) => out.push('%'),
            ('\0', _) => out.push_str("%!(NOVERB)"),
            (letter, None) => write!(out, "%!{letter}(MISSING)").expect("a string takes everything"),
            (_, Some(value)) => {
                used += 1;
                pad(&mut out, &verb, &written(&verb, value));
            }
        }
        if out.len() > call.runner.bytes_left() {
            call.runner.reserve(out.len())?;
        }
    }
    out.push_str(rest);
    if used < arguments.len() {
        let extra = |value: &Value| format!("{}={}", go_type(value), plain(value));
        let extra: Vec<_> = arguments[used..].iter().map(extra).collect();
        write!(out, "%!(EXTRA {})", extra.join(", ")).expect("a string takes everything");
    }
    Ok(Value::from(out))
}

/// Reads a verb, and gives back what follows it.
fn read<'t>(text: &'t str, arguments: &[Value], used: &mut usize) -> Outcome<(Verb, &'t str)> {
    let mut verb = Verb::default();
    let mut rest = text;
    while let Some(flag) = rest.chars().next().filter(|c| "-+# 0".contains(*c)) {
        match flag {
            '-' => verb.is_left = true,
            '+' => verb.has_sign = true,
            '#' => verb.is_alternate = true,
            ' ' => verb.has_space = true,
            _ => verb.has_zeros = true,
        }
        rest = &rest[1..];
    }
    let mut count = |rest: &mut &'t str| -> Outcome<Option<usize>> {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let given = if let Some(after) = rest.strip_prefix('*') {
            *rest = after;
            *used += 1;
            arguments.get(*used - 1).and_then(Value::as_int).and_then(|n| usize::try_from(n).ok())
        } else {
            let (number, after) = rest.split_at(digits);
            *rest = after;
            if number.is_empty() { None } else { Some(number.parse().unwrap_or(usize::MAX)) }
        };
        match given {
            Some(n) if n > WIDTH_MAX => fail!("a width or precision is over {WIDTH_MAX}"),
            given => Ok(given),
        }
    };
    verb.width = count(&mut rest)?.unwrap_or(0);
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        verb.precision = Some(count(&mut rest)?.unwrap_or(0));
    }
    let letter = rest.chars().next();
    verb.letter = letter.unwrap_or('\0');
    Ok((verb, &rest[letter.map_or(0, char::len_utf8)..]))
}

fn pad(out: &mut String, verb: &Verb, text: &str) {
    let missing = verb.width.saturating_sub(text.chars().count());
    let is_number = "dboxXeEfFgGv".contains(verb.letter);
    if verb.is_left {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else if verb.has_zeros && is_number {
        let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+', ' '])));
        out.push_str(sign);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(digits);
    } else {
        out.extend(std::iter::repeat_n(' ', missing));
        out.push_str(text);
    }
}

fn written(verb: &Verb, value: &Value) -> String {
    let text = value.as_bytes().map(String::from_utf8_lossy);
    let cut = |text: &str| match verb.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    };
    match (verb.letter, value) {
        ('v', Value::Int(_) | Value::Float(_) | Value::Uint(_)) => signed(verb, plain(value)),
        ('v', _) => plain(value),
        ('T', _) => go_type(value).to_owned(),
        ('t', Value::Bool(is)) => is.to_string(),
        ('d', Value::Int(_) | Value::Uint(_)) => signed(verb, plain(value)),
        ('b' | 'o' | 'x' | 'X' | 'c' | 'q' | 'U', Value::Int(n)) => signed(verb, integer(verb, *n)),
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(n)) => signed(verb, float(verb, *n)),
        ('s', Value::String(_) | Value::Bytes(_)) => cut(&text.unwrap_or_default()),
        ('q', Value::String(_) | Value::Bytes(_)) => quote(&text.unwrap_or_default()),
        ('x' | 'X', Value::String(_) | Value::Bytes(_)) => {
            let digit =
                |byte: &u8| if verb.letter == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") };
            value.as_bytes().unwrap_or_default().iter().map(digit).collect()
        }
        ('s', Value::Timestamp(_)) => to_text(value),
        (_, Value::Array(items)) => {
            format!("[{}]", items.iter().map(|item| written(verb, item)).collect::<Vec<_>>().join(" "))
        }
        (letter, Value::Null) => format!("%!{letter}(<nil>)"),
        (letter, _) => format!("%!{letter}({}={})", go_type(value), plain(value)),
    }
}

fn signed(verb: &Verb, digits: String) -> String {
    match digits.starts_with('-') {
        false if verb.has_sign => format!("+{digits}"),
        false if verb.has_space => format!(" {digits}"),
        _ => digits,
    }
}

fn integer(verb: &Verb, n: i64) -> String {
    let (sign, n) = (if n < 0 { "-" } else { "" }, n.unsigned_abs());
    let character =
        || char::from_u32(u32::try_from(n).unwrap_or(u32::MAX)).unwrap_or(char::REPLACEMENT_CHARACTER);
    match (verb.letter, verb.is_alternate) {
        ('b', _) => format!("{sign}{n:b}"),
        ('o', true) => format!("{sign}0{n:o}"),
        ('o', false) => format!("{sign}{n:o}"),
        ('x', true) => format!("{sign}{n:#x}"),
        ('x', false) => format!("{sign}{n:x}"),
        ('X', true) => format!("{sign}0X{n:X}"),
        ('X', false) => format!("{sign}{n:X}"),
        ('U', _) => format!("U+{n:04X}"),
        ('q', _) => format!("'{}'", character()),
        _ => character().to_string(),
    }
}

fn float(verb: &Verb, n: f64) -> String {
    let is_upper = verb.letter.is_ascii_uppercase();
    let precision = verb.precision.unwrap_or(6);
    let text = match verb.letter {
        'e' | 'E' => exponent_of_two_digits(&format!("{n:.precision$e}")),
        'g' | 'G' => match verb.precision {
            None => number::general(n),
            Some(precision) => significant(n, precision.max(1)),
        },
        _ => format!("{n:.precision$}"),
    };
    if is_upper { text.to_uppercase() } else { text }
}

/// So many significant digits, without zeros at the end.
fn significant(n: f64, digits: usize) -> String {
    let text = format!("{n:.*e}", digits - 1);
    let exponent: i64 = text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    if exponent < -4 || exponent >= digits as i64 {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = if mantissa.contains('.') {
            mantissa.trim_end_matches('0').trim_end_matches('.')
        } else {
            mantissa
        };
        return exponent_of_two_digits(&format!("{mantissa}e{exponent}"));
    }
    let decimals = usize::try_from(digits as i64 - 1 - exponent).unwrap_or(0);
    let text = format!("{n:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn exponent_of_two_digits(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else { return text.to_owned() };
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// A value as `%v` has it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null | Value::Deleted | Value::Nothing => "<nil>".into(),
        Value::Float(n) => number::general(*n),
        Value::Bytes(bytes) => {
            format!("[{}]", bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(" "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(object) => {
            let pair = |(key, value): (&crate::Text, &Value)| format!("{key}:{}", plain(value));
            format!("map[{}]", object.iter().map(pair).collect::<Vec<_>>().join(" "))
        }
        other => to_text(other),
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null | Value::Deleted | Value::Nothing => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Uint(_) => "uint64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Bytes(_) => "[]uint8",
        Value::Timestamp(_) => "time.Time",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
