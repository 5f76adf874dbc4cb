//! What `check` reports, as a person sees it.

mod config;
mod structure;
mod wires;

use expect_test::{Expect, expect};

use crate::testing::catalog;

/// The rendered report of a YAML scenario; `meta` is given.
fn check(text: &str, expected: Expect) {
    let text = format!("meta: {{name: t, version: 1.0.0}}\n{}", text.trim_start_matches('\n'));
    expected.assert_eq(&crate::load("t.yaml", &text).check(&catalog()).render(false));
}

/// A switch with one scheme, nothing wrong with it.
const SWITCH: &str = "
gears:
  - {name: term, type: tcp, config: {bind: ':8583'}}
  - {name: dec, type: codec, config: {spec: base}}
  - {name: sw, type: switch, config: {routes: [{name: all, destination: visa}]}}
  - {name: enc, type: codec, config: {spec: base, direction: encode}}
  - {name: visa, type: tcp, config: {mode: client, connect: 'visa:1'}}
  - {name: dec2, type: codec, config: {spec: base}}
  - {name: enc2, type: codec, config: {spec: base, direction: encode}}
wires:
  - {from: term.out, to: dec.in}
  - {from: dec.out, to: sw.in}
  - {from: sw.out_visa, to: enc.in}
  - {from: enc.out, to: visa.in}
  - {from: visa.out, to: dec2.in}
  - {from: dec2.out, to: sw.in_reply}
  - {from: sw.out_response, to: enc2.in}
  - {from: enc2.out, to: term.in}
";

#[test]
fn a_sound_scenario_says_nothing() {
    check(SWITCH, expect![""]);
}

#[test]
fn the_json_report_has_its_held_shape() {
    let text = "meta: {name: t, version: 1.0.0}\ngears:\n  - {name: a, type: sorce}\n";
    let json = crate::load("t.yaml", text).check(&catalog()).to_json();
    expect![[r#"
        [
          {
            "code": "FR0211",
            "severity": "error",
            "file": "t.yaml",
            "line": 3,
            "column": 21,
            "message": "there is no kind of gear called \"sorce\"",
            "help": "did you mean `source`?"
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&json).unwrap());
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let text = "gears: [{name: \"a\\e[31m\", type: \"x\\u0007\"}]";
    let shown = crate::load("t.yaml", text).check(&catalog()).render(false);
    assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
}

#[test]
fn a_report_keeps_a_bounded_number_of_issues() {
    let gears: String = (0..3000).map(|n| format!("  - {{name: g{n}, type: nope}}\n")).collect();
    let text = format!("meta: {{name: t, version: 1.0.0}}\ngears:\n{gears}");
    let report = crate::load("t.yaml", &text).check(&catalog());
    assert_eq!(report.issues().len(), crate::limits::ISSUES_MAX);
    assert_eq!(report.left_out(), 2000);
    assert!(report.has_errors());
}

/// As many gears and wires as a scenario may have, in the shapes that cost most: one long chain, one hub of errors.
#[test]
fn the_largest_scenario_is_checked_and_compiled() {
    let gears = crate::limits::GEARS_MAX;
    let mut text = String::from("meta: {name: t, version: 1.0.0}\ngears:\n  - {name: g0, type: source}\n");
    for gear in 1..gears {
        text.push_str(&format!("  - {{name: g{gear}, type: codec, config: {{spec: x}}}}\n"));
    }
    text.push_str("wires:\n");
    for gear in 1..gears {
        text.push_str(&format!("  - {{from: g{}.out, to: g{gear}.in}}\n", gear - 1));
        for step in 2..4.min(gear) {
            text.push_str(&format!("  - {{from: g{}.error, to: g{gear}.in}}\n", gear - step));
        }
    }
    let loaded = crate::load("t.yaml", &text);
    let circuit = crate::compile(&loaded.scenario, None, &catalog(), crate::Fuse::On).unwrap();
    assert_eq!(circuit.segments.len(), 2, "the source, and one chain");
    assert_eq!(circuit.drain_order.first(), Some(&0));
}
