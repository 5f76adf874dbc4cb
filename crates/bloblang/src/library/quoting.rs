//! Text made safe for another language: quotes, HTML, URLs, slugs.

use std::borrow::Cow;

use crate::library::call::{like, text};
use crate::library::{Accepts, Default, Param, Spec};
use crate::run::{Failure, Outcome};
use crate::{Value, syntax};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("quote", &[], |_, target| Ok(Value::from(quote(text(&target)?)))),
    Spec::method("unquote", &[], |_, target| {
        let unquoted = syntax::unquote(text(&target)?);
        unquoted
            .map(Value::String)
            .ok_or_else(|| Failure::new("the string is not quoted, or has invalid escapes"))
    }),
    Spec::method("escape_html", &[], |_, target| Ok(like(&target, escape_html(text(&target)?)))),
    Spec::method("unescape_html", &[], |_, target| {
        let decoded = html_escape::decode_html_entities(text(&target)?).into_owned();
        Ok(like(&target, decoded))
    }),
    Spec::method("escape_url_query", &[], |_, target| {
        Ok(like(&target, escape(text(&target)?, "-_.~", true)))
    }),
    Spec::method("unescape_url_query", &[], |_, target| {
        Ok(like(&target, unescape(text(&target)?, true)?.into_owned()))
    }),
    Spec::method("strip_html", &[Param::new("preserve", Accepts::Array).optional()], |call, target| {
        let kept: Vec<String> =
            call.items(0).iter().filter_map(Value::as_str).map(str::to_lowercase).collect();
        Ok(like(&target, strip_html(text(&target)?, &kept)))
    }),
    Spec::method("slug", &[Param::text("lang").or(Default::Text("en"))], |call, target| {
        Ok(Value::from(slug(text(&target)?, call.text(0)?)))
    }),
];

/// In double quotes, with escapes for what is not printed.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if is_printed(c) => out.push(c),
            c if c.is_ascii() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) < 0x10000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

/// Whether a character shows as itself after a letter, as combining ones do.
fn is_printed(c: char) -> bool {
    c == '\'' || c == ' ' || !format!("a{c}").escape_debug().to_string().contains('\\')
}

pub(crate) fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Percent escapes for everything but letters, digits and what is listed.
pub(crate) fn escape(text: &str, plain: &str, has_plus: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' if has_plus => out.push('+'),
            _ if byte.is_ascii_alphanumeric() || plain.as_bytes().contains(&byte) => {
                out.push(char::from(byte))
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Undoes percent escapes, and perhaps reads a plus as a blank.
pub(crate) fn unescape(text: &str, has_plus: bool) -> Outcome<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let escaped = digit().zip(digit()).map(|(high, low)| (high * 16 + low) as u8);
                out.push(escaped.ok_or_else(|| Failure::new("invalid URL escape"))?);
            }
            b'+' if has_plus => out.push(b' '),
            byte => out.push(byte),
        }
    }
    Ok(Cow::Owned(String::from_utf8_lossy(&out).into_owned()))
}

/// Text without tags and comments, and without what scripts and styles hold; the tags that are kept lose attributes.
fn strip_html(text: &str, kept: &[String]) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let inside = rest[1..].strip_prefix('/').unwrap_or(&rest[1..]);
        let length = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(inside.len());
        if length == 0 && !rest.starts_with("<!") && !rest.starts_with("<?") {
            out.push('<');
            rest = &rest[1..];
            continue;
        }
        let name = inside[..length].to_lowercase();
        let is_end = rest.starts_with("</");
        rest = rest.find('>').map_or("", |end| &rest[end + 1..]);
        if kept.contains(&name) {
            out.push_str(&if is_end { format!("</{name}>") } else { format!("<{name}>") });
        } else if !is_end && (name == "script" || name == "style") {
            let end = rest.to_ascii_lowercase().find(&format!("</{name}"));
            rest = end.map_or("", |end| &rest[end..]);
        }
    }
    out.push_str(rest);
    out
}

/// What `&` and `@` are called.
const WORDS: &[(&str, &str, &str)] = &[
    ("en", "and", "at"),
    ("de", "und", "an"),
    ("fr", "et", "arobase"),
    ("es", "y", "en"),
    ("it", "e", "at"),
    ("pt", "e", "em"),
    ("nl", "en", "at"),
    ("pl", "i", "na"),
    ("sv", "och", "snabel-a"),
    ("nb", "og", "krollalfa"),
    ("da", "og", "snabel-a"),
    ("fi", "ja", "at"),
    ("tr", "ve", "et"),
    ("ro", "si", "la"),
    ("cs", "a", "zavinac"),
    ("hu", "es", "kukac"),
];

/// Lower-case Latin letters, digits and single hyphens.
fn slug(text: &str, language: &str) -> String {
    let (_, and, at) = WORDS.iter().find(|(code, ..)| *code == language).unwrap_or(&WORDS[0]);
    let mut words = text.replace('&', &format!(" {and} ")).replace('@', &format!(" {at} "));
    if language == "de" {
        for (letter, latin) in [('ä', "ae"), ('ö', "oe"), ('ü', "ue"), ('Ä', "ae"), ('Ö', "oe"), ('Ü', "ue")]
        {
            words = words.replace(letter, latin);
        }
    }
    let quotes = ['\'', '"', '\u{2019}', '\u{2018}', '`'];
    let latin = deunicode::deunicode(&words.replace(quotes, "")).to_lowercase().replace(quotes, "");
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    latin.split(|c| !is_of_word(c)).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}
