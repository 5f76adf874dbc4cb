//! Spec files: what is refused, what is said about it, and how specs build on one another.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use flux_iso8583::{Report, Sensitivity, Spec};

use crate::fixture::{builtin, example};

const HEAD: &str = "id: test\nname: Test\nversion: 1.0.0\n";

/// Loads a spec beside the files `base.yaml` and `loop.yaml`.
fn load(text: &str) -> Result<Spec, Report> {
    Spec::load("test.yaml", text.as_bytes(), &|name| match name {
        "base.yaml" => {
            Ok(format!("{HEAD}extends: iso87ascii\nfields: {{41: {{alias: till.id}}}}").into_bytes())
        }
        "list.yaml" => Ok(b"[a, b]".to_vec()),
        "loop.yaml" => Ok(format!("{HEAD}extends: loop.yaml").into_bytes()),
        _ => Err("there is no such file".to_owned()),
    })
}

/// The problems of a spec, one line each; `HEAD` stands before the text.
#[track_caller]
fn check(text: &str, problems: Expect) {
    let report = match load(&format!("{HEAD}{text}")) {
        Ok(spec) => spec.warnings,
        Err(report) => report,
    };
    let mut found = String::new();
    for problem in &report.problems {
        let (code, line, column) = (problem.code, problem.line, problem.column);
        let help = problem.help.as_deref().unwrap_or_default();
        writeln!(found, "{code} {line}:{column} {}; {help}", problem.message).unwrap();
    }
    problems.assert_eq(&found);
}

#[test]
fn the_built_in_layouts_and_the_examples_have_no_problems() {
    for name in Spec::builtin_names() {
        assert_eq!(builtin(name).warnings, Report::default(), "{name}");
    }
    for name in ["acquirer", "acquirer-bcd"] {
        assert_eq!(example(name).warnings, Report::default(), "{name}");
    }
}

#[test]
fn the_example_of_the_reference_page_loads() {
    let page =
        std::fs::read_to_string(format!("{}/../../docs/reference/spec.md", env!("CARGO_MANIFEST_DIR")));
    let page = page.unwrap();
    let (_, example) = page.split_once("```yaml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let spec = load(example).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(spec.warnings.problems.len(), 0, "{}", spec.warnings);
    assert_eq!((spec.field(2).unwrap().length, spec.field(46).is_none()), (16, true));
}

#[test]
fn every_problem_is_reported_at_once() {
    check(
        "extends: iso87ascii
colour: red
wire:
  source: iso87asci
  fields:
    2: {type: Numerc, lenght: 19}
    193: {type: String}
    44: {type: String, length: 0}
    48: {type: String, length: 999, prefix: ASCII.LL}
    49: {prefix: ASCI.LL}
    50: {prefix: ASCII}
    52: {enc: BCD}
    54: {type: String, subfields: {layout: tlv}}
fields:
  41: {length: 8}
  2: {log_mask: false}
  66: {sensitivty: none}
  3: {alias: iso8583.mti}
  4: {alias: trace.stan}
  5: {alias: trace.stan.more}
",
        expect![[r#"
            FR0804 5:1 `colour` means nothing in a spec; it can be id, name, version, protocol, encoding, overview, references, extends, wire, messages, enums, fields, validation_policy, checks
            FR0809 7:11 cannot load `iso87asci`: there is no such file; name a file, or one of iso87ascii, iso87binary, iso87hex, moov:spec87ascii, moov:spec87hex
            FR0807 9:15 `type` cannot be `Numerc`; did you mean `Numeric`?
            FR0804 9:23 `lenght` means nothing in a field of the wire layer; did you mean `length`?
            FR0808 10:5 `193` is no field number; fields are 0 to 192
            FR0808 11:32 `length` is outside its range; write a number from 1 to 999999
            FR0811 12:5 field 48: its prefix cannot say its length of 999; add an `L` to the prefix, or lower `length`
            FR0807 13:18 a prefix cannot be written as `ASCI`; did you mean `ASCII`?
            FR0807 14:18 `ASCII` is no prefix; write `BerTLV`, or a code and a length: `ASCII.LL`, `BCD.LLL`, `Binary.Fixed`
            FR0811 15:5 field 52: Binary cannot be written as BCD; bytes are written as Binary or HexToASCII, digits as BCD, LBCD or text, a tag as BerTLVTag
            FR0811 16:35 only a Composite has `subfields`; set `type: Composite`
            FR0815 18:8 `length` belongs to the wire layer; move it to `wire.fields.41`
            FR0814 19:17 classified data cannot be declared unmasked; remove `log_mask: false`, or set `sensitivity: none` if the data is not classified
            FR0804 20:8 `sensitivty` means nothing in a described field; did you mean `sensitivity`?
            FR0813 21:14 `iso8583.mti` cannot be an alias; write a dotted path that does not start with `iso8583`, such as card.pan
            FR0813 22:14 `trace.stan` is taken; give each field an alias of its own
            FR0813 23:14 `trace.stan.more` lies below the alias `trace.stan`; rename one of them
        "#]],
    );
}

#[test]
fn composites_are_checked_part_by_part() {
    check(
        "extends: iso87ascii
wire:
  fields:
    43:
      type: Composite
      subfields:
        layout: positional
        parts:
          - {name: a, from: 1, to: 10}
          - {name: b, from: 10, to: 20}
          - {name: c, from: 30, to: 41}
          - {name: a, from: 21, to: 22}
          - {from: 23, to: 24}
          - {name: x.y, from: 25, to: 26}
    48:
      type: Composite
      subfields:
        layout: tlv
        tag: {length: 2}
        repeat: {length: 3, max: 2}
    60: {type: Composite}
    61: {type: Composite, enc: BCD, subfields: {layout: tlv}}
    62: {type: Composite, enc: Binary, subfields: {layout: bitmapped, bitmap: {length: 17}}}
    63:
      type: Composite
      subfields:
        layout: tlv
        tag: {length: 2}
        parts: [{tag: 1}, {tag: '01'}, {tag: '01', name: other}]
    55:
      type: Composite
      subfields:
        layout: tlv
        parts: [{tag: 9F}, {tag: 9F26, unknown: 1}, {tag: 95}, {tag: '95', name: tvr}]
",
        expect![[r#"
            FR0812 10:9 parts a and b overlap; give each its own place and name
            FR0812 10:9 two parts are called a; give each its own place and name
            FR0808 14:37 `to` is outside its range; write a number from 1 to 40
            FR0805 16:13 a part at positions needs a `name`; name it in one word
            FR0807 17:13 a part cannot have that name; use a word without dots
            FR0817 23:17 `repeat` is not supported; describe each repetition as a part of its own
            FR0805 24:5 a composite has no `subfields`; say how its parts are laid out: `subfields: {layout: tlv, parts: [...]}`
            FR0811 25:48 tags and bitmaps need whole bytes; set `enc: Binary` on the field and the encoding on its parts
            FR0808 26:88 `length` is outside its range; write a number from 1 to 16
            FR0812 30:9 parts 01 and other have one tag; give each its own place and name
            FR0807 32:23 this is no such tag; a BER tag is hexadecimal text, any other has as many characters as `tag.length`
            FR0812 36:9 parts 95 and tvr have one tag; give each its own place and name
            FR0807 37:23 this is no such tag; a BER tag is hexadecimal text, any other has as many characters as `tag.length`
            FR0804 37:40 `unknown` means nothing in a part; it can be name, tag, type, length, enc, description, subfields
        "#]],
    );
}

#[test]
fn a_spec_needs_an_identity_and_a_message_type() {
    let report = load("id: a b\nversion: 1\nwire: {fields: {0: {type: String, length: 3}}}").unwrap_err();
    expect![[r#"
        test.yaml:1:1: FR0811: `wire.fields.0` is no message type; field 0 is four characters, fixed: `0: {type: String, length: 4, enc: ASCII}`
        test.yaml:1:1: FR0811: `wire.fields.1` is no bitmap; field 1 is a bitmap: `1: {type: Bitmap, length: 8, enc: Binary}`, or HexToASCII
        test.yaml:1:1: FR0805: `name` is missing; a spec has an id, a name and a version
        test.yaml:1:5: FR0807: `a b` is no id; use letters, digits, `-`, `_` and `.`
        test.yaml:2:10: FR0807: `1` is no version; write it as `1.0.0`"#]].assert_eq(&report.to_string());
}

#[test]
fn what_is_no_spec_is_refused() {
    let deep = format!("x-deep: {}{}", "[".repeat(40), "]".repeat(40));
    let many = format!("x-many: [{}]", "1, ".repeat(100_001));
    for text in [&deep, &many, "a: [", "- 1", "a: 1\na: 2", "a: &b 1\nc: *b", "a: !!str 1", "? {a: 1}\n: 2"] {
        let report = load(&format!("{HEAD}extends: iso87ascii\n{text}")).unwrap_err();
        assert_eq!(report.problems.len(), 1, "{report}");
    }
    assert!(load("").is_err());
    assert!(Spec::load("x", &[0xff, 0xfe], &|_| Err(String::new())).is_err());
    assert!(Spec::load("x", &vec![b'a'; 2 << 20], &|_| Err(String::new())).is_err());
}

#[test]
fn hostile_numbers_meet_their_limits() {
    let fields = |number: usize| format!("{number}: {{type: String, length: 1}}, ");
    let million: String = (0..1_000_000 / 40).map(fields).collect();
    for (text, code) in [
        ("48: {type: String, length: 1000000000}".to_owned(), "FR0808"),
        (million, "FR0808"),
        (nested(6), "FR0808"),
    ] {
        let text = format!("{HEAD}extends: iso87ascii\nwire: {{fields: {{{text}}}}}");
        let report = load(&text).unwrap_err();
        assert!(report.problems.len() <= flux_iso8583::PROBLEMS_MAX);
        assert!(report.problems.iter().all(|problem| problem.code.to_string() == code), "{report}");
    }
}

/// Field 48 with composites inside one another.
fn nested(levels: usize) -> String {
    let open = "subfields: {layout: tlv, parts: [{tag: E1, type: Composite, ".repeat(levels);
    format!("48: {{type: Composite, {open} subfields: {{layout: tlv}} {}}}", "}]}".repeat(levels))
}

#[test]
fn bases_that_cannot_be_loaded_are_named() {
    check(
        "extends: other.yaml",
        expect![[r#"
        FR0805 1:1 `wire` is missing; name a base layout: `extends: iso87ascii`
        FR0809 4:10 cannot load `other.yaml`: there is no such file; name a file, or one of iso87ascii, iso87binary, iso87hex, moov:spec87ascii, moov:spec87hex
    "#]],
    );
    check(
        "extends: loop.yaml",
        expect![[r#"
        FR0805 1:1 `wire` is missing; name a base layout: `extends: iso87ascii`
        FR0810 4:10 `loop.yaml` cannot be built on here: test.yaml -> loop.yaml -> loop.yaml; a chain of at most 8, 16 files in all, none in its own chain
    "#]],
    );
    check(
        "extends: test.yaml",
        expect![[r#"
        FR0805 1:1 `wire` is missing; name a base layout: `extends: iso87ascii`
        FR0810 4:10 `test.yaml` cannot be built on here: test.yaml -> test.yaml; a chain of at most 8, 16 files in all, none in its own chain
    "#]],
    );
}

#[test]
fn a_base_is_a_map_in_the_directory_of_the_file_or_below() {
    for name in ["../shared/base.yaml", "/etc/passwd", "a/../../b.yaml", r"..\b.yaml"] {
        let report = load(&format!("{HEAD}extends: '{name}'")).unwrap_err();
        let told = report
            .problems
            .iter()
            .any(|problem| problem.message == format!("`{name}` leads out of the directory of this file"));
        assert!(told, "{report}");
    }
    assert!(load(&format!("{HEAD}extends: ./base.yaml")).unwrap_err().to_string().contains("no such file"));
    check(
        "extends: list.yaml",
        expect![[r#"
        FR0805 1:1 `wire` is missing; name a base layout: `extends: iso87ascii`
        FR0806 4:10 `list.yaml` is no spec: a spec is a map; name a file that starts like `id: shop`
    "#]],
    );
}

#[test]
fn a_child_overrides_setting_by_setting() {
    let text = "extends: base.yaml
wire: {fields: {2: {length: 16}, 3: ~}}
fields: {39: {name: Answer, sensitivity: pii}}
messages: {catalog: {'0200': {name: Request}}}
x-owner: team";
    let spec = load(&format!("{HEAD}{text}")).unwrap();
    let pan = spec.field(2).unwrap();
    assert_eq!(
        (pan.length, pan.alias.as_deref(), pan.sensitivity),
        (16, Some("card.pan"), Some(Sensitivity::Pan))
    );
    assert!(spec.field(3).is_none());
    assert_eq!(spec.field(41).unwrap().alias.as_deref(), Some("till.id"));
    let answer = spec.field(39).unwrap();
    assert_eq!((answer.name.as_str(), answer.sensitivity), ("Answer", Some(Sensitivity::Pii)));
    assert_eq!(spec.semantics["x-owner"], "team");
    assert_eq!(spec.semantics["messages"]["catalog"]["0200"]["name"], "Request");
    assert_eq!(spec.warnings, Report::default(), "a base may describe what is taken out");
}

#[test]
fn what_has_no_effect_is_a_warning() {
    check(
        "extends: iso87ascii
wire: {fields: {41: {prefix: ASCII.LL, padding: {type: Right, pad: ' '}}}}
fields: {130: {name: Nothing}, 3: {subfields: {parts: [{name: part}]}}}",
        expect![[r#"
            FR0818 5:17 field 41: padding has no effect on a length that varies; remove it, or fix the length
            FR0816 6:10 field 130 is described but not on the wire; define it under `wire.fields`
            FR0816 6:56 part part of field 3 is described but not on the wire; define it under `wire.fields`
        "#]],
    );
}

#[test]
fn a_report_is_json_for_scripts() {
    let report = load(&format!("{HEAD}extends: iso87ascii\ncolour: red")).unwrap_err();
    let json = serde_json::to_value(&report.problems[0]).unwrap();
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "severity", "file", "line", "column", "message", "help"]);
    assert_eq!((json["code"].as_str(), json["severity"].as_str()), (Some("FR0804"), Some("error")));
}
