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

#[test]
fn a_mesh_wire_is_drawn_to_the_edge_of_its_rack() {
    let text = "
meta: {name: t, version: 1.0.0}
racks: [{name: north}, {name: south}]
gears:
  - {name: tills, type: source, deploy: north}
  - {name: ledger, type: log, deploy: south}
wires:
  - {id: bookings, from: tills.out, to: ledger.in, dedupe: true}
";
    let loaded = crate::load("t.yaml", text);
    let of = |rack: &str| crate::compile(&loaded.scenario, Some(rack), &catalog(), Fuse::On).unwrap();
    let (north, south) = (of("north"), of("south"));
    expect![[r#"
        task 1: tills (source)

        tills.out -> (mesh bookings, ack disk, dedupe) south.ledger.in

        drains in this order: tills
        task 1: ledger (log)

        north.tills.out -> (mesh bookings, dedupe) ledger.in

        drains in this order: ledger
    "#]]
    .assert_eq(&(super::text(&north) + &super::text(&south)));
    expect![[r#"
        ---
        title: "north"
        ---
        flowchart LR
          g0["tills<br/>source"]
          g0 -.->|"out to in<br/>mesh bookings, ack disk, dedupe"| far0(["ledger<br/>on south"])
        ---
        title: "south"
        ---
        flowchart LR
          g0["ledger<br/>log"]
          far0(["tills<br/>on north"]) -.->|"out to in<br/>mesh bookings, dedupe"| g0
    "#]]
    .assert_eq(&(mermaid("north", &north) + &mermaid("south", &south)));
    let drawn = svg("north", &north) + &svg("south", &south);
    let lines: Vec<&str> =
        drawn.lines().filter(|line| line.contains("bookings") || line.contains("south")).collect();
    expect![[r#"
        <path class="wire mesh" d="M160 137 h14"><title>bookings (mesh bookings, ack disk, dedupe)</title></path>
        <text class="port" x="176" y="141" text-anchor="start">south</text>
        <title>south</title>
        <text class="title" x="24" y="30" text-anchor="start">south</text>
        <path class="wire mesh" d="M26 137 H40"><title>bookings (mesh bookings, dedupe)</title></path>"#]].assert_eq(&lines.join("\n"));
}
