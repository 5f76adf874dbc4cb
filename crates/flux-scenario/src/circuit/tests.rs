//! Which circuit a scenario compiles to: segments, fused wires, drain order, bindings.

use std::fmt::Write;

use expect_test::{Expect, expect};

use super::{Ack, Circuit, Durability, Fuse, Lane, compile};
use crate::testing::catalog;

fn circuit(text: &str, rack: Option<&str>, fuse: Fuse) -> Result<Circuit, String> {
    let text = format!("meta: {{name: t, version: 1.0.0}}\n{text}");
    let loaded = crate::load("dir/t.yaml", &text);
    compile(&loaded.scenario, rack, &catalog(), fuse).map_err(|report| report.render(false))
}

/// Segments, wires, drain order and bindings, by name.
fn check(text: &str, rack: Option<&str>, fuse: Fuse, expected: Expect) {
    let circuit = match circuit(text, rack, fuse) {
        Ok(circuit) => circuit,
        Err(report) => return expected.assert_eq(&report),
    };
    let name = |gear: &usize| circuit.gears[*gear].name.as_str();
    let names = |gears: &[usize]| gears.iter().map(name).collect::<Vec<_>>().join(" ");
    let mut shown = String::new();
    for segment in &circuit.segments {
        writeln!(shown, "segment {}", names(segment)).unwrap();
    }
    for wire in &circuit.wires {
        let line = if wire.fused { "=>" } else { "->" };
        let (from, to) = circuit.written(wire);
        writeln!(shown, "{from} {line} {to}").unwrap();
    }
    writeln!(shown, "drain {}", names(&circuit.drain_order)).unwrap();
    for (index, gear) in circuit.gears.iter().enumerate() {
        for (port, bound) in circuit.bindings(index) {
            writeln!(shown, "{}.{port} is answered by {bound}", gear.name).unwrap();
        }
    }
    expected.assert_eq(&shown);
}

const SWITCH: &str = "
gears:
  - {name: sw, type: switch, config: {routes: [{name: all, destination: {failover: [visa, mc, far]}}]}}
  - {name: visa, type: tcp, config: {mode: client, connect: 'visa:1'}}
  - {name: enc, type: codec, config: {spec: base, direction: encode}}
  - {name: dec2, type: codec, config: {spec: base}}
  - {name: dec, type: codec, config: {spec: base}}
  - {name: term, type: tcp, config: {bind: ':8583'}}
  - {name: enc2, type: codec, config: {spec: base, direction: encode}}
  - {name: mc, type: tcp, config: {mode: client, connect: 'mc:1'}}
  - {name: slow, type: call}
  - {name: tap, type: log}
wires:
  - {from: term.out, to: dec.in}
  - {from: dec.out, to: sw.in}
  - {from: sw.out_visa, to: enc.in}
  - {from: enc.out, to: visa.in}
  - {from: visa.out, to: dec2.in}
  - {from: dec2.out, to: sw.in_reply}
  - {from: sw.out_response, to: enc2.in}
  - {from: enc2.out, to: term.in}
  - {from: sw.out_mc, to: slow.in}
  - {from: slow.out, to: mc.in}
  - {from: mc.out, to: dec2.in}
  - {from: sw.out_far, to: mc.in}
  - {from: sw.out_far, to: tap.in}
";

#[test]
fn a_switch_is_one_task_but_for_the_gear_that_waits() {
    check(
        SWITCH,
        None,
        Fuse::On,
        expect![[r#"
            segment dec2 dec sw enc visa enc2 term tap
            segment mc
            segment slow
            term.out -> dec.in
            dec.out => sw.in
            sw.out_visa => enc.in
            enc.out => visa.in
            visa.out -> dec2.in
            dec2.out => sw.in_reply
            sw.out_response => enc2.in
            enc2.out => term.in
            sw.out_mc -> slow.in
            slow.out -> mc.in
            mc.out -> dec2.in
            sw.out_far -> mc.in
            sw.out_far => tap.in
            drain term dec sw enc enc2 mc slow visa dec2 tap
            sw.out_mc is answered by mc
            sw.out_response is answered by term
            sw.out_visa is answered by visa
            enc.out is answered by visa
            enc2.out is answered by term
            slow.out is answered by mc
        "#]],
    );
}

/// A gear that waits stands between `a` and `end`: sharing a task, they would wait for themselves when the wires are full.
#[test]
fn tasks_do_not_wait_for_each_other_in_a_circle() {
    check(
        "
gears:
  - {name: s, type: source}
  - {name: a, type: codec, config: {spec: base}}
  - {name: slow, type: call}
  - {name: b, type: codec, config: {spec: base}}
  - {name: end, type: log}
wires:
  - {from: s.out, to: a.in}
  - {from: a.out, to: slow.in}
  - {from: a.out, to: end.in}
  - {from: slow.out, to: b.in}
  - {from: b.out, to: end.in}
",
        None,
        Fuse::On,
        expect![[r#"
            segment s
            segment a
            segment slow
            segment b end
            s.out -> a.in
            a.out -> slow.in
            a.out -> end.in
            slow.out -> b.in
            b.out => end.in
            drain s a slow b end
        "#]],
    );
}

/// The journal between `a` and `end` may be full, and only `end` makes room in it.
#[test]
fn a_task_does_not_wait_for_a_journal_that_it_has_to_empty() {
    check(
        "
gears:
  - {name: s, type: source}
  - {name: a, type: codec, config: {spec: base}}
  - {name: end, type: log}
wires:
  - {from: s.out, to: a.in}
  - {from: a.out, to: end.in, lane: durable}
  - {from: a.error, to: end.in}
",
        None,
        Fuse::On,
        expect![[r#"
            segment s
            segment a
            segment end
            s.out -> a.in
            a.out -> end.in
            a.error -> end.in
            drain s a end
        "#]],
    );
}

#[test]
fn without_fusing_every_gear_has_its_task() {
    let circuit = circuit(SWITCH, None, Fuse::Off).unwrap();
    assert!(circuit.wires.iter().all(|wire| !wire.fused));
    assert!(circuit.segments.iter().all(|segment| segment.len() == 1));
    assert_eq!(circuit.segments.len(), circuit.gears.len());
}

const TWO_RACKS: &str = "
racks: [{name: edge}, {name: core}]
gears:
  - {name: s, type: source, deploy: edge}
  - {name: t, type: source, deploy: core}
  - {name: l, type: log}
  - {name: p, type: codec, config: {spec: x}, parallel: 4, partition_by: card, deploy: edge, labels: {a: b}, doc: reads}
wires:
  - {from: s.out, to: l.in}
  - {from: t.out, to: l.in}
  - {from: s.out, to: p.in}
  - {from: p.out, to: edge.l.in}
";

#[test]
fn a_rack_runs_its_own_gears_and_those_of_every_rack() {
    check(
        TWO_RACKS,
        Some("edge"),
        Fuse::On,
        expect![[r#"
        segment s
        segment l
        segment p
        s.out -> l.in
        s.out -> p.in
        p.out -> l.in
        drain s p l
    "#]],
    );
    check(
        TWO_RACKS,
        Some("core"),
        Fuse::On,
        expect![[r#"
        segment t
        segment l
        t.out -> l.in
        drain t l
    "#]],
    );
}

#[test]
fn a_rack_must_be_known_and_chosen() {
    check(
        TWO_RACKS,
        None,
        Fuse::On,
        expect![[r#"
        error[FR0214]: the scenario has several racks
         --> dir/t.yaml:1:1
          |
        1 | meta: {name: t, version: 1.0.0}
          | ^
          |
          = help: choose `core` or `edge`

        dir/t.yaml: 1 error
    "#]],
    );
    check(
        TWO_RACKS,
        Some("egde"),
        Fuse::On,
        expect![[r#"
        error[FR0210]: the scenario has no rack "egde"
         --> dir/t.yaml:1:1
          |
        1 | meta: {name: t, version: 1.0.0}
          | ^
          |
          = help: choose `core` or `edge`

        dir/t.yaml: 1 error
    "#]],
    );
    check(
        "gears: [{name: a, type: nope}]",
        None,
        Fuse::On,
        expect![[r#"
        error[FR0211]: there is no kind of gear called "nope"
         --> dir/t.yaml:2:25
          |
        2 | gears: [{name: a, type: nope}]
          |                         ^^^^
          |
          = help: the kinds are `call`, `codec`, `fork`, `log`, `source`, `switch`, `tcp` and `write`

        dir/t.yaml: 1 error
    "#]],
    );
}

#[test]
fn a_gear_carries_what_its_task_needs() {
    let text = "
gears:
  - {name: a, type: tcp, config: {tls: {key_file: key.pem}}, doc: listens}
  - {name: p, type: codec, config: {spec: x}, parallel: 4, partition_by: card, labels: {a: b}}
wires: [{from: a.out, to: p.in}, {from: p.out, to: a.in}]
";
    let circuit = circuit(text, None, Fuse::On).unwrap();
    expect![[r#"
        {
          "gears": [
            {
              "name": "a",
              "kind": "tcp",
              "config": {
                "tls": {
                  "key_file": "dir/key.pem"
                }
              },
              "inputs": [
                "in"
              ],
              "outputs": [
                "out",
                "error"
              ],
              "segment": 0,
              "parallel": 1,
              "partition_by": null,
              "keeps_on_disk": false,
              "terminus": "io",
              "labels": {},
              "doc": "listens"
            },
            {
              "name": "p",
              "kind": "codec",
              "config": {
                "spec": "x"
              },
              "inputs": [
                "in"
              ],
              "outputs": [
                "out",
                "error"
              ],
              "segment": 1,
              "parallel": 4,
              "partition_by": "card",
              "keeps_on_disk": false,
              "terminus": "transparent",
              "labels": {
                "a": "b"
              },
              "doc": null
            }
          ],
          "wires": [
            {
              "id": "a.out -> p.in",
              "from": [
                0,
                0
              ],
              "to": [
                1,
                0
              ],
              "lane": "hot",
              "fused": false
            },
            {
              "id": "p.out -> a.in",
              "from": [
                1,
                0
              ],
              "to": [
                0,
                0
              ],
              "lane": "hot",
              "fused": false
            }
          ],
          "segments": [
            [
              0
            ],
            [
              1
            ]
          ],
          "drain_order": [
            0,
            1
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&circuit).unwrap());
}

#[test]
fn a_gear_without_a_kind_does_not_compile_however_it_was_made() {
    let gear = crate::GearDecl { name: "a".into(), ..crate::GearDecl::default() };
    let scenario = crate::Scenario { gears: vec![gear], ..crate::Scenario::default() };
    let report = compile(&scenario, None, &catalog(), Fuse::On).unwrap_err();
    assert_eq!(report.issues()[0].message, "`a` has no kind");
}

#[test]
fn every_gear_with_a_sound_config_can_be_tried_whatever_else_is_wrong() {
    let text = "meta: {name: t, version: 1.0.0}
gears:
  - {name: fine, type: codec, config: {spec: x}}
  - {name: other, type: tcp, deploy: nowhere, config: {bind: ':1'}}
  - {name: also, type: tcp, config: {bind: ':1'}}
  - {name: mistyped, type: tcp, config: {bnd: ':1'}}
  - {name: lacking, type: codec}
  - {name: stranger, type: sorce}
  - {name: doubled, type: codec, config: {spec: x, spec: y}}
  - {name: fine, type: codec, config: {spec: z}}
wires:
  - {from: fine.out, to: nobody.in}
  - {from: fine.out, to: fine.in}
";
    let loaded = crate::load("t.yaml", text);
    assert!(loaded.compile(None, &catalog(), Fuse::On).is_err());
    for rack in [None, Some("unheard-of")] {
        let circuit = loaded.trial(rack, &catalog());
        let names: Vec<&str> = circuit.gears.iter().map(|gear| gear.name.as_str()).collect();
        assert_eq!(names, ["fine", "other", "also"]);
        assert_eq!(circuit.wires.len(), 1);
    }
}

#[test]
fn a_durable_wire_is_never_a_call_and_says_what_it_promises() {
    let check = |given: &str, want: Option<(Ack, bool)>| {
        let text = format!(
            "meta: {{name: t, version: 1.0.0}}
gears:
  - {{name: a, type: codec, config: {{spec: x}}}}
  - {{name: b, type: codec, config: {{spec: x}}}}
wires:
  - {{from: a.out, to: b.in{given}}}
"
        );
        let circuit = crate::load("t.yaml", &text).compile(None, &catalog(), Fuse::On).unwrap();
        let wire = &circuit.wires[0];
        assert_eq!(wire.durable.map(|durable| (durable.ack, durable.dedupe)), want, "{given}");
        assert_eq!((wire.fused, circuit.segments.len()), (want.is_none(), 1 + usize::from(want.is_some())));
    };
    check("", None);
    check(", lane: durable", Some((Ack::Disk, false)));
    check(", lane: guaranteed, ack: os", Some((Ack::Os, false)));
    check(", lane: durable, ack: disk, dedupe: true", Some((Ack::Disk, true)));
}

const MESH: &str = "
racks: [{name: north}, {name: south}]
gears:
  - {name: tills, type: source, deploy: north}
  - {name: count, type: log, deploy: north}
  - {name: ledger, type: codec, config: {spec: base}, deploy: south, parallel: 2, partition_by: data.f2}
  - {name: shelf, type: log, deploy: south}
  - {name: everywhere, type: log}
wires:
  - {id: bookings, from: tills.out, to: ledger.in, lane: guaranteed, ack: os, dedupe: true}
  - {from: tills.out, to: south.everywhere.in}
  - {from: tills.out, to: count.in}
  - {from: ledger.out, to: shelf.in, lane: durable}
";

#[test]
fn a_wire_between_racks_has_one_end_on_each() {
    check(
        MESH,
        Some("north"),
        Fuse::On,
        expect![[r#"
        segment tills
        segment count
        segment everywhere
        tills.out -> south.ledger.in
        tills.out -> south.everywhere.in
        tills.out -> count.in
        drain tills count everywhere
    "#]],
    );
    check(
        MESH,
        Some("south"),
        Fuse::On,
        expect![[r#"
        segment ledger
        segment shelf
        segment everywhere
        north.tills.out -> ledger.in
        north.tills.out -> everywhere.in
        ledger.out -> shelf.in
        drain ledger shelf everywhere
    "#]],
    );
    let wire = |rack: &str| circuit(MESH, Some(rack), Fuse::On).unwrap().wires[0].clone();
    let (north, south) = (wire("north"), wire("south"));
    assert_eq!(north.mesh, south.mesh, "both know it by the same names");
    assert_eq!((north.lane, south.lane), (Lane::Mesh, Lane::Mesh));
    let promise = |ack| Some(Durability { ack, dedupe: true });
    assert_eq!(north.durable, promise(Ack::Os));
    assert_eq!(south.durable, promise(Ack::Disk), "what is said of the sender is said there");
    // Each of the racks by a scenario of its own.
    let alone = "
racks: [{name: south}, {name: north, external: true}]
gears: [{name: ledger, type: log, deploy: south}]
wires: [{id: bookings, from: north.tills.out, to: ledger.in, ack: os, dedupe: true}]
";
    assert_eq!(circuit(alone, None, Fuse::On).unwrap().wires[0], south);
    expect![[r#"{"id":"bookings","from":{"gear":"tills","port":"out"},"to":[0,0],"lane":"mesh","durable":{"ack":"disk","dedupe":true},"mesh":{"from":"north","to":"south","wire":"bookings"},"fused":false}"#]].assert_eq(&serde_json::to_string(&south).unwrap());
}
