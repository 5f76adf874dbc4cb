//! The forms a text or number can be asked to have: the `format` keyword of a schema, and names.

use crate::limits::NAME_BYTES_MAX;
use crate::units::{ByteSize, Duration};

/// The limits that a number format implies.
pub(crate) fn limits_of(format: &str) -> (Option<i128>, Option<i128>) {
    let range = |least: i128, most: i128| (Some(least), Some(most));
    match format {
        "int8" => range(i8::MIN.into(), i8::MAX.into()),
        "int16" => range(i16::MIN.into(), i16::MAX.into()),
        "int32" => range(i32::MIN.into(), i32::MAX.into()),
        "int64" | "int" => range(i64::MIN.into(), i64::MAX.into()),
        "uint8" => range(0, u8::MAX.into()),
        "uint16" => range(0, u16::MAX.into()),
        "uint32" => range(0, u32::MAX.into()),
        "uint64" | "uint" => range(0, u64::MAX.into()),
        _ => (None, None),
    }
}

/// Whether a text has the form that a format asks for; the error says what form that is.
pub(crate) fn check_format(format: &str, text: &str) -> Result<(), String> {
    match format {
        "duration" => text.parse::<Duration>().map(drop).map_err(|error| error.to_string()),
        "byte-size" => text.parse::<ByteSize>().map(drop).map_err(|error| error.to_string()),
        "name-or-empty" if text.is_empty() => Ok(()),
        "name" | "name-or-empty" => check_name(text),
        "semver" => check_semver(text),
        "uuid" => uuid::Uuid::try_parse(text)
            .map(drop)
            .map_err(|_| "write a UUID like \"0190a5b2-7c3e-7d4a-8b1f-2f6c1d9e0a7b\"".to_owned()),
        "ip" => text.parse::<std::net::IpAddr>().map(drop).map_err(|_| "write an IP address".to_owned()),
        "ipv4" => {
            text.parse::<std::net::Ipv4Addr>().map(drop).map_err(|_| "write an IPv4 address".to_owned())
        }
        "ipv6" => {
            text.parse::<std::net::Ipv6Addr>().map(drop).map_err(|_| "write an IPv6 address".to_owned())
        }
        _ => Ok(()),
    }
}

/// Names are lower-case letters, digits, underscore and hyphen.
pub(crate) fn check_name(text: &str) -> Result<(), String> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !text.is_empty() && text.chars().all(fine) && text.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(format!("a name has at most {NAME_BYTES_MAX} characters"));
    }
    let repaired: String = text
        .to_lowercase()
        .chars()
        .map(|c| if fine(c) { c } else { '-' })
        .collect::<String>()
        .trim_matches('-')
        .to_owned();
    let rule = "a name is made of lower-case letters, digits, `_` and `-`";
    Err(if repaired.is_empty() { rule.to_owned() } else { format!("{rule}: `{repaired}`") })
}

/// Semantic version 2.0.0 (semver.org), with or without a leading `v`.
fn check_semver(text: &str) -> Result<(), String> {
    let body = text.strip_prefix('v').unwrap_or(text);
    let (body, build) = body.split_once('+').map_or((body, None), |(body, build)| (body, Some(build)));
    let (core, pre) = body.split_once('-').map_or((body, None), |(core, pre)| (core, Some(pre)));
    let is_number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let words = |list: Option<&str>| list.is_none_or(|list| list.split('.').all(is_word));
    let numbers: Vec<&str> = core.split('.').collect();
    if numbers.len() == 3 && numbers.into_iter().all(is_number) && words(pre) && words(build) {
        return Ok(());
    }
    Err("write a semantic version like \"1.0.0\"".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_repaired_in_the_help() {
        assert_eq!(check_name("edge-1_a"), Ok(()));
        assert!(check_name("Edge 1").unwrap_err().ends_with("`edge-1`"));
        assert!(check_name("").is_err());
        assert!(check_name(&"a".repeat(129)).unwrap_err().contains("at most 128"));
    }

    #[test]
    fn versions_follow_semver() {
        for good in ["1.0.0", "v0.12.3", "1.0.0-rc.1+build.5"] {
            assert_eq!(check_semver(good), Ok(()), "{good}");
        }
        for bad in ["1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-", "vv1.0.0", "latest"] {
            assert!(check_semver(bad).is_err(), "{bad}");
        }
    }
}
