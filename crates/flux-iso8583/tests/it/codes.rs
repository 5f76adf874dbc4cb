//! Every problem code has a page, and every page a code.

use std::collections::BTreeSet;

use flux_iso8583::Code;

#[test]
fn codes_and_pages_are_the_same_set() {
    let folder = format!("{}/../../docs/errors", env!("CARGO_MANIFEST_DIR"));
    let pages: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("FR08"))
        .collect();
    let codes: BTreeSet<String> = Code::ALL.iter().map(|code| format!("{code}.md")).collect();
    assert_eq!(pages, codes);
}
