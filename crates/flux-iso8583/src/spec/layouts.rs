//! The base layouts that come with the crate.

/// The text of a base layout by name.
pub(crate) fn builtin(name: &str) -> Option<&'static str> {
    match name {
        "iso87ascii" | "moov:spec87ascii" => Some(include_str!("layouts/iso87ascii.yaml")),
        "iso87binary" => Some(include_str!("layouts/iso87binary.yaml")),
        "iso87hex" | "moov:spec87hex" => Some(include_str!("layouts/iso87hex.yaml")),
        _ => None,
    }
}

/// Their names, for help texts.
pub(crate) const NAMES: [&str; 5] =
    ["iso87ascii", "iso87binary", "iso87hex", "moov:spec87ascii", "moov:spec87hex"];
