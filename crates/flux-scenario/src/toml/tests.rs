//! TOML to spanned nodes.

use std::sync::Arc;

use expect_test::{Expect, expect};

use crate::report::Report;
use crate::source::Source;
use crate::testing::parsed;

/// The value as JSON, or the problem.
fn check(text: &str, expected: Expect) {
    expected.assert_eq(&parsed("fluxrig.toml", text, super::parse));
}

#[test]
fn every_form_of_value() {
    check(
        r#"
            a.b = 1
            [gears.x]
            spec = "io"
            config = { mode = "server", list = [1, 2.5, true, 2026-01-01] }
            [[many]]
            k = 'v'
            [[many]]
        "#,
        expect![[
            r#"{"a":{"b":1},"gears":{"x":{"spec":"io","config":{"mode":"server","list":[1,2.5,true,"2026-01-01"]}}},"many":[{"k":"v"},{}]}"#
        ]],
    );
    check("", expect!["{}"]);
    check("a = nan", expect![[r#"{"a":"NaN"}"#]]);
}

#[test]
fn a_key_written_twice_shows_the_first() {
    check(
        "[a]\nk = 1\n[b]\nk = 2\nkk = 3\n k = 4",
        expect!["6:2 FR0103 this key is written twice, first here 4:1"],
    );
    check("[a]\nk = 1\n[b]\n[a]\n", expect!["4:2 FR0103 this key is written twice, first here 1:2"]);
    check("a.b = 1\na.b = 2\n", expect!["2:3 FR0103 this key is written twice"]);
    check("a = { k = 1, k = 2 }\n", expect!["1:14 FR0103 this key is written twice"]);
}

#[test]
fn what_is_refused_says_why() {
    check("a = 1\na = 2", expect!["2:1 FR0103 this key is written twice, first here 1:1"]);
    check(
        "a = ",
        expect!["1:5 FR0102 cannot read the TOML: string values must be quoted, expected literal string"],
    );
    check("[gears.x\n", expect!["1:9 FR0102 cannot read the TOML: unclosed table, expected `]`"]);
    check(
        &format!("a = {}", "[".repeat(100_000)),
        expect!["1:85 FR0102 cannot read the TOML: cannot recurse further; max recursion depth met"],
    );
    check(&format!("[{}]", vec!["a"; 100_000].join(".")), expect!["1:515 FR0104 too many dots in a row"]);
    check(&format!("[{}]", vec!["a"; 70].join(".")), expect!["1:1 FR0104 nested deeper than 64 levels"]);
}

#[test]
fn places_are_those_of_keys_and_values() {
    let text = "[gears.\"é\"]\nspec = \"io\" # c\n";
    let source = Arc::new(Source::new("fluxrig.toml", text));
    let root = super::parse(&source, &mut Report::new(source.clone())).unwrap();
    let gear = root.get("gears").unwrap().entry("é").unwrap();
    assert_eq!(&text[gear.key_span.start..gear.key_span.end], "\"é\"");
    let spec = gear.node.get("spec").unwrap().span;
    assert_eq!(&text[spec.start..spec.end], "\"io\"");
}
