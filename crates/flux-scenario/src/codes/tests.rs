//! Every code has its page, and the examples on the pages earn their codes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::Code;
use crate::testing::catalog;
use crate::{Catalog, Fuse, Manifest, compile};

fn pages() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors")
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let pages: BTreeSet<String> = fs::read_dir(pages())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
        // FR08xx are the codes of specs, FR09xx those of a Mixer; their crates hold the pages to them.
        .filter(|name| name != "README" && !name.starts_with("FR08") && !name.starts_with("FR09"))
        .collect();
    let codes: BTreeSet<String> = Code::ALL.iter().map(Code::to_string).collect();
    assert_eq!(codes, pages);
    assert_eq!(codes.len(), Code::ALL.len(), "two codes share a number");
}

/// The kinds the pages speak of, by the names they have there.
fn kinds() -> Catalog {
    let renamed = |name: &str, like: &str| {
        let manifest = catalog().get(like).unwrap().clone();
        Manifest { kind: name.to_owned(), ..manifest }
    };
    [
        renamed("io_tcp", "tcp"),
        renamed("codec_iso8583", "codec"),
        renamed("generate", "source"),
        renamed("log", "log"),
    ]
    .into_iter()
    .collect()
}

/// The fenced blocks of a page: language and text.
fn examples(page: &str) -> Vec<(&str, &str)> {
    let blocks = page.split("```").skip(1).step_by(2);
    blocks.map(|block| block.split_once('\n').expect("a block has a language")).collect()
}

#[test]
fn the_examples_of_a_page_show_its_problem_and_its_end() {
    for code in Code::ALL {
        let page = fs::read_to_string(pages().join(format!("{code}.md"))).unwrap();
        assert!(page.starts_with(&format!("# {code}: ")), "{code}");
        assert!(page.contains("\n## Usual cause\n") && page.contains("\n## What to do\n"), "{code}");
        let found = |(language, text): &(&str, &str)| {
            let report = crate::load(&format!("fluxrig.{language}"), text).check(&kinds());
            let has_code = report.issues().iter().any(|issue| issue.code == *code);
            (has_code, report.has_errors(), report.render(false))
        };
        let examples = examples(&page);
        if let Some(bad) = examples.first() {
            let (has_code, _, shown) = found(bad);
            assert!(has_code, "{code}: the first example does not show it\n{shown}");
        }
        if let Some(good) = examples.get(1) {
            let (has_code, has_errors, shown) = found(good);
            assert!(!has_code && !has_errors, "{code}: the second example is not better\n{shown}");
        }
    }
}

#[test]
fn a_scenario_of_several_racks_needs_a_choice() {
    let text =
        "meta: {name: t, version: 1.0.0}\nracks: [{name: a}, {name: b}]\ngears: [{name: l, type: log}]";
    let loaded = crate::load("t.yaml", text);
    let report = compile(&loaded.scenario, None, &kinds(), Fuse::On).unwrap_err();
    assert!(report.issues().iter().any(|issue| issue.code == Code::RackNotChosen));
}
