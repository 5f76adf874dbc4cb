//! URLs and forms, in parts.

use crate::library::call::text;
use crate::library::quoting::{escape, unescape};
use crate::library::{Call, Spec};
use crate::run::{Failure, Outcome, fail};
use crate::{Object, Value};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("parse_url", &[], |_, target| parse_url(text(&target)?)),
    Spec::method("parse_form_url_encoded", &[], parse_form),
];

/// `scheme://user:password@host/path?query#fragment`
fn parse_url(url: &str) -> Outcome {
    if url.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        fail!("a control character in the URL");
    }
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (scheme, rest) = scheme(rest)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut parts = Object::new();
    let (mut opaque, mut host, mut path) = ("", String::new(), rest);
    if let Some(after) = rest.strip_prefix("//") {
        let (authority, after) = after.split_at(after.find('/').unwrap_or(after.len()));
        path = after;
        let (user, name) =
            authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        if let Some(user) = user {
            parts.insert("user", userinfo(user)?);
        }
        if name.contains(['<', '>', '"', ' ', '\\', '^', '`', '{', '}', '|']) {
            fail!("an invalid character in the host name");
        }
        if let Some((_, port)) = name.rsplit_once(':')
            && !name.ends_with(']')
            && !port.bytes().all(|byte| byte.is_ascii_digit())
        {
            fail!("an invalid port after the host");
        }
        host = unescape(name, false)?.into_owned();
    } else if !scheme.is_empty() && !rest.starts_with('/') {
        (opaque, path) = (rest, "");
    } else if path.split('/').next().is_some_and(|first| first.contains(':')) {
        fail!("the first segment of a path has a colon");
    }
    let decoded = unescape(path, false)?.into_owned();
    let raw_path = if escape(&decoded, "-_.~$&+,/:;=@", false) == path { "" } else { path };
    let fragment_decoded = unescape(fragment, false)?.into_owned();
    let raw_fragment =
        if escape(&fragment_decoded, "-_.~$&+,/:;=?@!()*'", false) == fragment { "" } else { fragment };
    parts.insert("scheme", Value::from(scheme.to_ascii_lowercase()));
    parts.insert("opaque", Value::text(opaque));
    parts.insert("host", Value::from(host));
    parts.insert("path", Value::from(decoded));
    parts.insert("raw_path", Value::text(raw_path));
    parts.insert("raw_query", Value::text(query));
    parts.insert("fragment", Value::from(fragment_decoded));
    parts.insert("raw_fragment", Value::text(raw_fragment));
    Ok(Value::object(parts))
}

/// The scheme, empty if there is none, and the rest.
fn scheme(url: &str) -> Outcome<(&str, &str)> {
    match url.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)) {
        Some(0) if url.starts_with(':') => fail!("the scheme is missing"),
        Some(at) if url[at..].starts_with(':') && url.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            Ok((&url[..at], &url[at + 1..]))
        }
        _ => Ok(("", url)),
    }
}

fn userinfo(user: &str) -> Outcome {
    let (name, password) =
        user.split_once(':').map_or((user, None), |(name, password)| (name, Some(password)));
    let mut parts = Object::new();
    parts.insert("name", Value::text(unescape(name, false)?));
    if let Some(password) = password {
        parts.insert("password", Value::text(unescape(password, false)?));
    }
    Ok(Value::object(parts))
}

fn parse_form(call: &mut Call, target: Value) -> Outcome {
    let mut form = Object::new();
    for pair in text(&target)?.split('&').filter(|pair| !pair.is_empty()) {
        if pair.contains(';') {
            return Err(Failure::new("a semicolon separates nothing in a form"));
        }
        call.runner.reserve(size_of::<Value>() * 2)?;
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (unescape(key, true)?, Value::text(unescape(value, true)?));
        form.edit(&key, |field| match field {
            Value::Null => *field = value,
            Value::Array(values) => std::sync::Arc::make_mut(values).push(value),
            first => *first = Value::array(vec![std::mem::take(first), value]),
        });
    }
    Ok(Value::object(form))
}
