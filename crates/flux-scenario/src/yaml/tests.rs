//! YAML to spanned nodes, hostile documents included.

use std::sync::Arc;

use expect_test::{Expect, expect};

use crate::limits::{DEPTH_MAX, NODES_MAX};
use crate::report::Report;
use crate::source::Source;
use crate::testing::parsed;

/// The value as JSON, or the problems.
fn check(text: &str, expected: Expect) {
    expected.assert_eq(&parsed("a.yaml", text, super::parse));
}

#[test]
fn scalars_follow_the_core_schema() {
    check(
        "[~, null, '', true, False, 12, -7, 0o17, 0xFf, 1.5, 1e3, .5, yes, 1.2.3, 0810, '12', 1-2, e5, +]",
        expect![[
            r#"[null,null,"",true,false,12,-7,15,255,1.5,1000.0,0.5,"yes","1.2.3",810,"12","1-2","e5","+"]"#
        ]],
    );
    check("[.inf, .nan, 0x, 2026-01-01, 12:30]", expect![[r#"[".inf",".nan","0x","2026-01-01","12:30"]"#]]);
    check(
        "pan: 41111111111111111111111",
        expect![[r#"
        {"pan":"41111111111111111111111"}
        1:6 FR0105 the number 41111111111111111111111 is too large to be kept exactly"#]],
    );
}

#[test]
fn blocks_and_aliases() {
    check(
        "a: &x\n  - 1\n  - k: |\n      two\n      lines\nb: *x\n",
        expect![[r#"{"a":[1,{"k":"two\nlines\n"}],"b":[1,{"k":"two\nlines\n"}]}"#]],
    );
    check("", expect!["null"]);
    check("# only a comment\n", expect!["null"]);
}

#[test]
fn what_is_refused_says_why() {
    check(
        "a: 1\nb: 2\na: 3",
        expect![[r#"
            {"a":1,"b":2}
            3:1 FR0103 the key `a` is written twice, first here 1:1"#]],
    );
    check(
        "a: !secret x",
        expect![[r#"
            {"a":"x"}
            1:4 FR0105 the tag `!secret` is not used in a scenario"#]],
    );
    check("a: {<<: {b: 1}}", expect!["1:5 FR0105 merge keys are not part of YAML 1.2"]);
    check("a: 1\n---\nb: 2", expect!["2:1 FR0105 a second document begins here"]);
    check("? [a]\n: 1", expect!["1:3 FR0105 a key must be text"]);
    check("a: &x [*x]", expect!["1:8 FR0105 this alias is part of the value it repeats"]);
    check("a: *nobody", expect!["1:4 FR0101 cannot read the YAML: while parsing node, found unknown anchor"]);
    check(
        "a:\n\t- b",
        expect!["2:1 FR0101 cannot read the YAML: tabs disallowed within this context (block indentation)"],
    );
    check(
        "a: [1, 2",
        expect!["1:9 FR0101 cannot read the YAML: while parsing a flow sequence, expected ',' or ']'"],
    );
    check(
        "a: 'x",
        expect![
            "1:4 FR0101 cannot read the YAML: while scanning a quoted scalar, found unexpected end of stream"
        ],
    );
}

#[test]
fn depth_and_repetition_are_bounded() {
    let deep = "[".repeat(DEPTH_MAX + 1);
    check(&deep, expect!["1:65 FR0104 nested deeper than 64 levels"]);
    check(&"[".repeat(500_000), expect!["1:256 FR0101 cannot read the YAML: recursion limit exceeded"]);
    let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let before = level - 1;
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(",")));
    }
    check(&laughs, expect!["6:10 FR0104 more than 200000 values"]);
    let long = format!("a: &a {}\nb: [{}]", "x".repeat(100_000), vec!["*a"; 1000].join(","));
    check(&long, expect!["2:251 FR0104 more than 8388608 bytes of text"]);
    let wide = format!("[{}]", "1,".repeat(NODES_MAX));
    check(&wide, expect!["1:400000 FR0104 more than 200000 values"]);
}

#[test]
fn places_are_bytes_of_whole_values() {
    let text = "é: ü\nlist:\n  - äb\n  - {k: v}\nend: 'z'\n\n";
    let source = Arc::new(Source::new("a.yaml", text));
    let root = super::parse(&source, &mut Report::new(source.clone())).unwrap();
    let shown = |path: &str| {
        let span = root.at(path).unwrap().span;
        &text[span.start..span.end]
    };
    assert_eq!(shown("é"), "ü");
    assert_eq!(shown("list"), "- äb\n  - {k: v}");
    assert_eq!(shown("list.0"), "äb");
    assert_eq!(shown("list.1"), "{k: v}");
    assert_eq!(shown("end"), "'z'");
    let windows = "a: 1\r\nb: two\r\n";
    let source = Arc::new(Source::new("a.yaml", windows));
    let root = super::parse(&source, &mut Report::new(source.clone())).unwrap();
    let span = root.get("b").unwrap().span;
    assert_eq!(&windows[span.start..span.end], "two");
}
