//! How a circuit is drawn.

use expect_test::expect;

use super::{mermaid, svg, text};
use crate::circuit::{Circuit, Fuse};
use crate::testing::catalog;

fn circuit(text: &str) -> Circuit {
    let text = format!("meta: {{name: t, version: 1.0.0}}\n{text}");
    let loaded = crate::load("t.yaml", &text);
    crate::compile(&loaded.scenario, None, &catalog(), Fuse::On)
        .map_err(|report| report.render(false))
        .unwrap()
}

const SWITCH: &str = "
gears:
  - {name: term, type: tcp, config: {bind: ':8583'}, doc: 'acquirers <dial> in'}
  - {name: dec, type: codec, config: {spec: base}, parallel: 4, partition_by: conn}
  - {name: sw, type: switch, config: {routes: [{name: all, destination: visa}]}}
  - {name: visa, type: tcp, config: {mode: client, connect: 'visa:1'}}
wires:
  - {from: term.out, to: dec.in}
  - {from: dec.out, to: sw.in}
  - {from: sw.out_visa, to: visa.in}
  - {from: visa.out, to: sw.in_reply}
  - {from: sw.out_response, to: term.in}
";

#[test]
fn text_says_what_runs_in_which_task() {
    expect![[r#"
        task 1: sw (switch), term (tcp), visa (tcp)
        task 2: dec (codec x 4)

        term.out -> dec.in
        dec.out -> sw.in
        sw.out_visa => visa.in
        visa.out -> sw.in_reply
        sw.out_response => term.in

        drains in this order: term, dec, sw, visa
    "#]]
    .assert_eq(&text(&circuit(SWITCH)));
}

#[test]
fn mermaid_groups_what_shares_a_task() {
    expect![[r#"
        ---
        title: "switch \"one\""
        ---
        flowchart LR
          subgraph task0 ["task 1"]
            g2["sw<br/>switch"]
            g0["term<br/>tcp"]
            g3["visa<br/>tcp"]
          end
          g1["dec<br/>codec x 4"]
          g0 -->|"out to in"| g1
          g1 -->|"out to in"| g2
          g2 ==>|"out_visa to in"| g3
          g3 -->|"out to in_reply"| g2
          g2 ==>|"out_response to in"| g0
    "#]]
    .assert_eq(&mermaid("switch \"one\"", &circuit(SWITCH)));
}

#[test]
fn the_picture_is_the_same_each_time_and_well_formed() {
    let picture = svg("a <switch> & more", &circuit(SWITCH));
    assert_eq!(picture, svg("a <switch> & more", &circuit(SWITCH)));
    assert!(picture.contains("<title>acquirers &lt;dial&gt; in</title>"));
    assert!(!picture.contains("<switch>"));
    let mut open: Vec<&str> = Vec::new();
    for tag in picture.split('<').skip(1).map(|tag| tag.split_once('>').expect("a tag ends").0) {
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap()),
        }
    }
    assert_eq!(open, [""; 0]);
    assert_eq!(picture.matches("class=\"wire fused\"").count(), 2 + 1, "two wires and the legend");
    assert_eq!(picture.matches("class=\"gear\"").count(), 4);
}

#[test]
fn gears_do_not_overlap() {
    let circuit = circuit(SWITCH);
    let layout = super::layout::lay_out(&circuit);
    for (index, a) in layout.gears.iter().enumerate() {
        for b in &layout.gears[index + 1..] {
            let (a, b) = (a.area, b.area);
            let apart = a.x + a.width <= b.x
                || b.x + b.width <= a.x
                || a.y + a.height <= b.y
                || b.y + b.height <= a.y;
            assert!(apart, "{a:?} {b:?}");
        }
    }
}

#[test]
fn an_empty_circuit_is_a_picture_too() {
    assert!(svg("", &Circuit::default()).starts_with("<svg"));
    assert!(mermaid("", &Circuit::default()).contains("flowchart LR"));
}
