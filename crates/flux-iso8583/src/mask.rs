//! What of a message may be seen: card data is hidden wherever a message is shown to people.

use flux_signal::{Text, Value};

use crate::{
    composite::{Layout, Part, split},
    encoding::{Encoding, hex_encode},
    field::{Field, Kind},
    spec::Spec,
};

/// How sensitive the content of a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensitivity {
    /// It may be shown.
    None,
    /// A primary account number: its first six and last four digits may be shown.
    Pan,
    /// Cardholder data such as a name or an expiry date.
    Chd,
    /// Sensitive authentication data: tracks, PINs, keys.
    Sad,
    /// Personal data.
    Pii,
}

impl Sensitivity {
    /// The names as a spec writes them.
    pub(crate) const NAMES: [(&'static str, Sensitivity); 5] = [
        ("none", Sensitivity::None),
        ("pan", Sensitivity::Pan),
        ("chd", Sensitivity::Chd),
        ("sad", Sensitivity::Sad),
        ("pii", Sensitivity::Pii),
    ];
}

/// What stands for a hidden character.
const HIDDEN: u8 = b'*';
/// Digits of a primary account number that stay visible in front and behind; at most this many digits show nothing.
const PAN_HEAD: usize = 6;
const PAN_TAIL: usize = 4;
/// Lengths of account numbers that are looked for where the spec does not say what a field holds.
const PAN_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Digit runs longer than this are hidden without looking for the number inside.
const RUN_DIGITS_MAX: usize = 64;

/// Hides what may not be seen of the value at `path` (`2`, `55.5A`): all of classified data but the ends of an account
/// number, and account numbers found in fields of which the spec does not say what they hold.
pub fn mask(spec: &Spec, path: &str, text: &str) -> String {
    masked(sensitivity(spec, path), text)
}

/// How sensitive the value at `path` (`2`, `55.5A`) is; `None` where neither the spec nor EMV says.
pub(crate) fn sensitivity(spec: &Spec, path: &str) -> Option<Sensitivity> {
    let (number, part) = split(path);
    let field = number.parse().ok().and_then(|number| spec.field(number));
    match (field, part) {
        (Some(field), Some(part)) => part_sensitivity(field, part),
        (Some(field), None) => field.sensitivity,
        (None, _) => Some(Sensitivity::Sad),
    }
}

/// How sensitive a field with parts is as one value. What its parts hold is known where they stand at fixed places and
/// none of them is classified; otherwise anything may be in it.
pub(crate) fn whole(field: &Field) -> Option<Sensitivity> {
    let is_known = field.composite.as_ref().is_some_and(|composite| {
        let is_plain = |part: &Part| part.field.sensitivity.is_none() && part.field.composite.is_none();
        composite.layout == Layout::Positional && composite.parts.iter().all(is_plain)
    });
    if is_known { field.sensitivity } else { Some(Sensitivity::Sad) }
}

/// A value as people may see it, bytes as hexadecimal digits. `None` for what is not written in one line.
pub(crate) fn value(sensitivity: Option<Sensitivity>, value: &Value) -> Option<Text> {
    match value {
        Value::Text(text) => Some(masked(sensitivity, text).into()),
        Value::Int(number) => Some(masked(sensitivity, &number.to_string()).into()),
        Value::Bytes(bytes) => {
            let digits = hex_encode(bytes);
            let mut hidden = hidden(sensitivity, &digits);
            if sensitivity.is_none() {
                hide_in_bytes(bytes, &mut hidden);
            }
            Some(covered(&digits, &hidden).into())
        }
        _ => None,
    }
}

fn masked(sensitivity: Option<Sensitivity>, text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let bytes: Vec<u8> = characters.iter().map(|&c| u8::try_from(c).unwrap_or(b'?')).collect();
    let hidden = hidden(sensitivity, &bytes);
    characters
        .iter()
        .zip(hidden)
        .map(|(&c, is_hidden)| if is_hidden { char::from(HIDDEN) } else { c })
        .collect()
}

fn part_sensitivity(field: &Field, path: &str) -> Option<Sensitivity> {
    let (mut field, mut path) = (field, Some(path));
    let mut sensitivity = field.sensitivity;
    while let Some(rest) = path {
        let (key, below) = split(rest);
        let part = field.composite.as_ref().and_then(|composite| composite.part(key));
        let tag = field.composite.as_ref().filter(|composite| composite.is_ber()).map(|_| key);
        sensitivity = inside(sensitivity, part.map(|part| &part.field), tag);
        let Some(part) = part else { return sensitivity };
        (field, path) = (&part.field, below);
    }
    sensitivity
}

/// How sensitive a part is: as the spec says, else as EMV says of its tag, else like the field around it.
pub(crate) fn inside(
    around: Option<Sensitivity>,
    part: Option<&Field>,
    ber_tag: Option<&str>,
) -> Option<Sensitivity> {
    match (part.and_then(|part| part.sensitivity), ber_tag) {
        (Some(declared), _) => Some(declared),
        (None, Some(tag)) => emv(tag, part.is_some()),
        (None, None) => around,
    }
}

/// What EMV Book 3 Annex A puts behind a tag. A template the spec does not take apart may hold anything.
fn emv(tag: &str, is_listed: bool) -> Option<Sensitivity> {
    match tag.to_ascii_uppercase().as_str() {
        "5A" => Some(Sensitivity::Pan),
        "5F20" | "5F24" | "9F0B" => Some(Sensitivity::Chd),
        "56" | "57" | "99" | "9F1F" | "9F20" | "9F6B" => Some(Sensitivity::Sad),
        tag if !is_listed && tag.as_bytes().first().is_some_and(|digit| is_constructed(*digit)) => {
            Some(Sensitivity::Sad)
        }
        _ => None,
    }
}

/// Whether a BER tag with this first hexadecimal digit holds further tags: bit 6 of its first byte is set.
fn is_constructed(digit: u8) -> bool {
    crate::encoding::hex_value(digit).is_some_and(|nibble| nibble & 2 != 0)
}

/// Which characters may not be seen.
pub(crate) fn hidden(sensitivity: Option<Sensitivity>, characters: &[u8]) -> Vec<bool> {
    let mut hidden = vec![false; characters.len()];
    match sensitivity {
        Some(Sensitivity::None) => {}
        Some(Sensitivity::Pan) if characters.len() > PAN_HEAD + PAN_TAIL => {
            hidden[PAN_HEAD..characters.len() - PAN_TAIL].fill(true);
        }
        Some(Sensitivity::Pan | Sensitivity::Chd | Sensitivity::Sad | Sensitivity::Pii) => hidden.fill(true),
        None => hide_account_numbers(characters, &mut hidden),
    }
    hidden
}

/// Marks what looks like account numbers: 13 to 19 digits, a leading digit that is issued, a fitting check digit.
fn hide_account_numbers(characters: &[u8], hidden: &mut [bool]) {
    let mut at = 0;
    while at < characters.len() {
        let run = characters[at..].iter().take_while(|c| c.is_ascii_digit()).count();
        if run > RUN_DIGITS_MAX {
            hidden[at..at + run].fill(true);
        } else {
            for start in at..at + run {
                for end in PAN_DIGITS.map(|digits| start + digits).take_while(|end| *end <= at + run) {
                    if is_account_number(&characters[start..end]) {
                        hidden[start + PAN_HEAD..end - PAN_TAIL].fill(true);
                    }
                }
            }
        }
        at += run.max(1);
    }
}

fn is_account_number(digits: &[u8]) -> bool {
    (b'2'..=b'6').contains(&digits[0]) && luhn_sum(digits).is_multiple_of(10)
}

/// The sum of ISO/IEC 7812-1 Annex B over all digits, the check digit included.
fn luhn_sum(digits: &[u8]) -> u32 {
    let value = |(place, digit): (usize, &u8)| match u32::from(digit - b'0') << (place % 2) {
        two_digits @ 10.. => two_digits - 9,
        digit => digit,
    };
    digits.iter().rev().enumerate().map(value).sum()
}

/// Content as it may be shown: its characters, and its bytes as hexadecimal digits.
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) hex: String,
}

/// Hides in `content` on the wire what is hidden in its `characters`.
pub(crate) fn show(
    (kind, encoding): (Kind, Encoding),
    sensitivity: Option<Sensitivity>,
    (content, units): (&[u8], usize),
    characters: &[u8],
) -> Shown {
    let is_bytes = kind.is_bytes();
    let (text, width) = match (is_bytes, encoding) {
        (true, Encoding::HexToAscii) => (hex_encode(characters), 2),
        (true, _) => (hex_encode(characters), 1),
        (false, Encoding::HexToAscii) => (characters.to_vec(), 4),
        (false, Encoding::Bcd | Encoding::Lbcd | Encoding::SignedBcd | Encoding::AsciiToHex) => {
            (characters.to_vec(), 1)
        }
        (false, _) => (characters.to_vec(), 2),
    };
    // Nibbles in front of the first digit; of a sign, the second one stands for it.
    let filler = match encoding {
        Encoding::Bcd => units % 2,
        Encoding::SignedBcd => 2 - units % 2,
        _ => 0,
    };
    let mut text_hidden = hidden(sensitivity, &text);
    let mut hex_hidden = vec![false; content.len() * 2];
    if sensitivity.is_none() && (is_bytes || !content.iter().all(|byte| (0x20..0x7f).contains(byte))) {
        hide_in_bytes(content, &mut hex_hidden);
        if is_bytes && width == 1 {
            text_hidden.iter_mut().zip(&hex_hidden).for_each(|(text, hex)| *text |= hex);
        }
    }
    for (digit, is_hidden) in hex_hidden.iter_mut().enumerate().skip(filler) {
        *is_hidden |= text_hidden.get((digit - filler) / width).copied().unwrap_or(false);
    }
    Shown { text: covered(&text, &text_hidden), hex: covered(&hex_encode(content), &hex_hidden) }
}

/// Marks account numbers in bytes, whichever way their digits are written: BCD, ASCII or EBCDIC.
fn hide_in_bytes(content: &[u8], hex_hidden: &mut [bool]) {
    hide_account_numbers(&hex_encode(content), hex_hidden);
    let ebcdic: Vec<u8> = content.iter().map(|&byte| crate::ebcdic::to_latin1(byte)).collect();
    for characters in [content, &ebcdic] {
        let mut hidden = vec![false; characters.len()];
        hide_account_numbers(characters, &mut hidden);
        for (byte, _) in hidden.iter().enumerate().filter(|(_, is_hidden)| **is_hidden) {
            hex_hidden[byte * 2..byte * 2 + 2].fill(true);
        }
    }
}

fn covered(text: &[u8], hidden: &[bool]) -> String {
    let printable = |c: u8| if (0x20..0x7f).contains(&c) { char::from(c) } else { '.' };
    text.iter().zip(hidden).map(|(&c, &is_hidden)| printable(if is_hidden { HIDDEN } else { c })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sensitivity: Option<Sensitivity>, text: &str, shown: &str) {
        assert_eq!(covered(text.as_bytes(), &hidden(sensitivity, text.as_bytes())), shown);
    }

    #[test]
    fn account_numbers_show_their_ends_and_the_rest_shows_nothing() {
        check(Some(Sensitivity::Pan), "4111111111111111", "411111******1111");
        check(Some(Sensitivity::Pan), "41111111111", "411111*1111");
        check(Some(Sensitivity::Pan), "4111111111", "**********");
        check(Some(Sensitivity::Sad), "4111111111111111=2512", "*********************");
        check(Some(Sensitivity::None), "4111111111111111", "4111111111111111");
    }

    #[test]
    fn account_numbers_are_found_where_the_spec_says_nothing() {
        check(None, "ref 4111111111111111 ok", "ref 411111******1111 ok");
        check(None, "4111111111111112", "4111111111111112");
        check(None, "000001412345678901", "000001412345678901");
        check(None, &"4".repeat(65), &"*".repeat(65));
    }

    #[test]
    fn emv_tags_are_known_and_unlisted_templates_are_hidden() {
        assert_eq!(emv("5a", false), Some(Sensitivity::Pan));
        assert_eq!(emv("57", true), Some(Sensitivity::Sad));
        assert_eq!(emv("9F26", true), None);
        assert_eq!(emv("77", false), Some(Sensitivity::Sad));
        assert_eq!(emv("77", true), None);
    }
}
