//! The keys each map of a spec file may have, and the nearest one to a misspelt key.

pub(crate) const TOP: &[&str] = &[
    "id",
    "name",
    "version",
    "protocol",
    "encoding",
    "overview",
    "references",
    "extends",
    "wire",
    "messages",
    "enums",
    "fields",
    "validation_policy",
    "checks",
];
pub(crate) const WIRE: &[&str] = &["source", "format", "fields"];
pub(crate) const WIRE_FIELD: &[&str] =
    &["type", "length", "enc", "prefix", "padding", "description", "subfields"];
pub(crate) const PADDING: &[&str] = &["type", "pad"];
pub(crate) const SUBFIELDS: &[&str] = &["layout", "unknown_tags", "tag", "prefix", "bitmap", "parts"];
pub(crate) const TAG: &[&str] = &["length", "enc"];
pub(crate) const BITMAP: &[&str] = &["length", "enc"];
pub(crate) const PART_POSITIONAL: &[&str] =
    &["name", "from", "to", "type", "enc", "padding", "description", "subfields"];
pub(crate) const PART_TLV: &[&str] = &["name", "tag", "type", "length", "enc", "description", "subfields"];
pub(crate) const PART_BITMAPPED: &[&str] =
    &["name", "bit", "type", "length", "enc", "prefix", "padding", "description", "subfields"];
pub(crate) const FIELD: &[&str] = &[
    "name",
    "alias",
    "meaning",
    "messages",
    "scope",
    "note",
    "values_ref",
    "validValues",
    "log_mask",
    "sensitivity",
    "crypto",
    "format",
    "subfields",
];
pub(crate) const FIELD_SUBFIELDS: &[&str] = &["layout", "parts"];
pub(crate) const FIELD_PART: &[&str] = &[
    "name",
    "tag",
    "alias",
    "meaning",
    "scope",
    "note",
    "values_ref",
    "validValues",
    "log_mask",
    "sensitivity",
    "crypto",
    "format",
];

/// The word of `words` that `word` was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |known: &str| strsim::damerau_levenshtein(&known.to_lowercase(), &word.to_lowercase());
    let bound = 1 + word.chars().count().min(20) / 4;
    words
        .into_iter()
        .map(|known| (distance(known), known))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}
