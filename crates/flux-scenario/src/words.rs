//! The wording of messages: lists, quotes and guesses at what was meant.

use std::borrow::Cow;

use crate::secrecy::userinfo;
use crate::settings::REDACTED;

/// The option most like a word that is none of them, when one is like it at all.
pub(crate) fn closest<'a>(word: &str, options: &[&'a str]) -> Option<&'a str> {
    /// Beyond this a name is not a slip of the keyboard, and comparing costs too much.
    const COMPARED_BYTES_MAX: usize = 64;
    if word.len() > COMPARED_BYTES_MAX {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let wanted = plain(word);
    options
        .iter()
        .filter(|option| option.len() <= COMPARED_BYTES_MAX)
        .map(|option| {
            let option_plain = plain(option);
            let starts =
                wanted.len() >= 3 && (option_plain.starts_with(&wanted) || wanted.starts_with(&option_plain));
            let distance = strsim::osa_distance(&wanted, &option_plain);
            (if starts { distance.min(1) } else { distance }, *option)
        })
        .filter(|(distance, option)| {
            let length = wanted.len().min(option.len());
            *distance == 0 || length > 1 && *distance <= 1 + length / 4
        })
        .min()
        .map(|(_, option)| option)
}

/// A guess as help.
pub(crate) fn did_you_mean(option: &str) -> String {
    format!("did you mean `{option}`?")
}

/// Names in a sentence: `a`, `b` or `c`. Long lists are cut.
pub(crate) fn listed(names: &[&str], conjunction: &str) -> String {
    const SHOWN_MAX: usize = 24;
    let mut shown: Vec<String> = names.iter().take(SHOWN_MAX).map(|name| format!("`{name}`")).collect();
    if names.len() > SHOWN_MAX {
        return format!("{} and {} more", shown.join(", "), names.len() - SHOWN_MAX);
    }
    match shown.pop() {
        None => String::new(),
        Some(last) if shown.is_empty() => last,
        Some(last) => format!("{} {conjunction} {last}", shown.join(", ")),
    }
}

/// A value from a file in quotes, cut when it is long, without the password of a URL.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let mut text = Cow::Borrowed(text);
    for place in userinfo(&text).into_iter().rev() {
        text.to_mut().replace_range(place.start..place.end, REDACTED);
    }
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    format!("{start:?}...")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_near_or_absent() {
        let options = ["io_tcp", "io_iso8583", "conductor", "log"];
        assert_eq!(closest("io_tpc", &options), Some("io_tcp"));
        assert_eq!(closest("io-iso8583", &options), Some("io_iso8583"));
        assert_eq!(closest("conduct", &options), Some("conductor"));
        assert_eq!(closest("kafka", &options), None);
        assert_eq!(closest("b", &["a"]), None);
        assert_eq!(closest(&"x".repeat(10_000), &options), None);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(listed(&[], "or"), "");
        assert_eq!(listed(&["a"], "or"), "`a`");
        assert_eq!(listed(&["a", "b", "c"], "or"), "`a`, `b` or `c`");
    }
}
