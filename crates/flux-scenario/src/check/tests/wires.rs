//! Wires, racks, lanes and cycles.

use expect_test::expect;

use super::check;

#[test]
fn wires() {
    check(
        "
gears:
  - {name: s, type: source}
  - {name: c, type: codec, config: {spec: a}, ports: {inputs: [late, in, late]}}
  - {name: l, type: log}
wires:
  - {id: one, from: s.out, to: c.in}
  - {id: one, from: s.out, to: c.in}
  - {from: s.output, to: c.inn}
  - {from: c.in, to: l.in}
  - {from: c.out, to: s.out}
  - {from: c.late, to: l.error}
  - {from: edge.s.out, to: l.in}
  - {from: c.error, to: l.in, lane: mesh}
",
        expect![[r#"
            error[FR0310]: `c` has the port `in` already
             --> t.yaml:4:70
              |
            4 |   - {name: c, type: codec, config: {spec: a}, ports: {inputs: [late, in, late]}}
              |                                                                      ^^
              |
              = help: remove this declaration

            error[FR0310]: `c` has the port `late` already
             --> t.yaml:4:74
              |
            4 |   - {name: c, type: codec, config: {spec: a}, ports: {inputs: [late, in, late]}}
              |                                                                          ^^^^
              |
              = help: remove this declaration

            error[FR0306]: `s.out` leads to `c.in` twice
             --> t.yaml:8:5
              |
            7 |   - {id: one, from: s.out, to: c.in}
              |     -------------------------------- first here
            8 |   - {id: one, from: s.out, to: c.in}
              |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: remove one: each signal would arrive twice

            error[FR0209]: two wires have the id `one`
             --> t.yaml:8:10
              |
            7 |   - {id: one, from: s.out, to: c.in}
              |          --- first here
            8 |   - {id: one, from: s.out, to: c.in}
              |          ^^^
              |
              = help: rename one of them

            error[FR0302]: `s` has no output `output`
             --> t.yaml:9:12
              |
            9 |   - {from: s.output, to: c.inn}
              |            ^^^^^^^^
              |
              = help: did you mean `s.out`? (its only output is `out`)

            error[FR0302]: `c` has no input `inn`
             --> t.yaml:9:26
              |
            9 |   - {from: s.output, to: c.inn}
              |                          ^^^^^
              |
              = help: did you mean `c.in`? (its inputs are `in` and `late`)

            error[FR0303]: `c.in` is an input, and a wire starts at an output
              --> t.yaml:10:12
               |
            10 |   - {from: c.in, to: l.in}
               |            ^^^^
               |
               = help: its outputs are `out` and `error`

            error[FR0303]: `s.out` is an output, and a wire ends at an input
              --> t.yaml:11:23
               |
            11 |   - {from: c.out, to: s.out}
               |                       ^^^^^
               |
               = help: `s` has no input

            error[FR0303]: `c.late` is an input, and a wire starts at an output
              --> t.yaml:12:12
               |
            12 |   - {from: c.late, to: l.error}
               |            ^^^^^^
               |
               = help: its outputs are `out` and `error`

            error[FR0303]: `l.error` is an output, and a wire ends at an input
              --> t.yaml:12:24
               |
            12 |   - {from: c.late, to: l.error}
               |                        ^^^^^^^
               |
               = help: its only input is `in`

            error[FR0210]: there is no rack named `edge`
              --> t.yaml:13:12
               |
            13 |   - {from: edge.s.out, to: l.in}
               |            ^^^^^^^^^^
               |
               = help: write `s.out`

            error[FR0305]: a mesh wire leads from one rack to another, and a gear of this one is on no rack of its own
              --> t.yaml:14:37
               |
            14 |   - {from: c.error, to: l.in, lane: mesh}
               |                                     ^^^^
               |
               = help: say with `deploy` on which rack each of its gears is

            t.yaml: 12 errors
        "#]],
    );
}

#[test]
fn racks_and_lanes() {
    check(
        "
racks: [{name: edge}, {name: core}]
gears:
  - {name: s, type: source, deploy: edge}
  - {name: l, type: log, deploy: core}
  - {name: everywhere, type: log}
wires:
  - {from: s.out, to: l.in, lane: hot}
  - {from: edge.s.out, to: core.everywhere.in}
  - {from: s.out, to: everywhere.in}
  - {from: core.s.out, to: edg.everywhere.in}
",
        expect![[r#"
            error[FR0304]: a hot wire stays on one rack, and this one leaves `edge` for `core`
             --> t.yaml:8:35
              |
            8 |   - {from: s.out, to: l.in, lane: hot}
              |                                   ^^^
              |
              = help: deploy both gears to one rack, or leave the lane out: between racks it is `mesh`

            error[FR0308]: `s` is not on `core`: it is deployed to `edge`
              --> t.yaml:11:12
               |
            11 |   - {from: core.s.out, to: edg.everywhere.in}
               |            ^^^^^^^^^^
               |
               = help: did you mean `edge.s.out`?

            error[FR0210]: there is no rack named `edg`
              --> t.yaml:11:28
               |
            11 |   - {from: core.s.out, to: edg.everywhere.in}
               |                            ^^^^^^^^^^^^^^^^^
               |
               = help: did you mean `edge.everywhere.in`?

            t.yaml: 3 errors
        "#]],
    );
}

#[test]
fn cycles_of_process_halves() {
    check(
        "
gears:
  - {name: s, type: source}
  - {name: a, type: codec, config: {spec: x}}
  - {name: b, type: codec, config: {spec: x}}
  - {name: c, type: call}
  - {name: self, type: codec, config: {spec: x}}
wires:
  - {from: s.out, to: a.in}
  - {from: a.out, to: b.in}
  - {from: b.out, to: c.in}
  - {from: c.out, to: a.in}
  - {from: self.error, to: self.in}
",
        expect![[r#"
            warning[FR0307]: nothing takes what leaves `self.out`
             --> t.yaml:7:12
              |
            7 |   - {name: self, type: codec, config: {spec: x}}
              |            ^^^^
              |
              = help: wire it; a `null` gear says that it is meant to be dropped

            warning[FR0503]: no signal can reach `self`
             --> t.yaml:7:12
              |
            7 |   - {name: self, type: codec, config: {spec: x}}
              |            ^^^^
              |
              = help: wire an output to one of its inputs, or remove it

            error[FR0502]: the cycle `a` -> `b` -> `c` -> `a` runs only through `process`, so it would wait on itself
              --> t.yaml:10:5
               |
            10 |   - {from: a.out, to: b.in}
               |     ^^^^^^^^^^^^^^^^^^^^^^^
            11 |   - {from: b.out, to: c.in}
               |     ----------------------- part of the cycle
            12 |   - {from: c.out, to: a.in}
               |     ----------------------- part of the cycle
               |
               = help: remove one of these wires, or let the answer return through a gear that emits on its own

            error[FR0502]: the cycle `self` -> `self` runs only through `process`, so it would wait on itself
              --> t.yaml:13:5
               |
            13 |   - {from: self.error, to: self.in}
               |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: remove one of these wires, or let the answer return through a gear that emits on its own

            t.yaml: 2 errors, 2 warnings
        "#]],
    );
}

#[test]
fn an_output_that_the_config_silences_needs_no_wire() {
    let text = |config: &str| {
        format!(
            "gears:
  - {{name: s, type: source}}
  - {{name: w, type: tcp, config: {{{config}}}}}
wires:
  - {{from: s.out, to: w.in}}
"
        )
    };
    check(&text("mode: client, connect: 'x:1', read_responses: false"), expect![""]);
    check(
        &text("bind: ':1', read_responses: false"),
        expect![[r#"
        warning[FR0307]: nothing takes what leaves `w.out`
         --> t.yaml:4:12
          |
        4 |   - {name: w, type: tcp, config: {bind: ':1', read_responses: false}}
          |            ^
          |
          = help: wire it; a `null` gear says that it is meant to be dropped

        t.yaml: 1 warning
    "#]],
    );
}

#[test]
fn wires_to_racks_of_other_scenarios() {
    check(
        "
racks: [{name: edge}, {name: core, external: true}]
gears:
  - {name: s, type: source, deploy: edge}
  - {name: l, type: log, deploy: edge}
  - {name: everywhere, type: log}
wires:
  - {from: s.out, to: core.ledger.in}
  - {from: core.answers.out, to: l.in, dedupe: true}
  - {from: s.out, to: core.l.in}
  - {from: s.out, to: cor.ledger.in}
  - {from: core.answers.out, to: everywhere.in}
  - {from: core.answers.out, to: l.inn}
  - {from: core.answers.out, to: l.in, lane: hot}
",
        expect![[r#"
            error[FR0301]: there is no gear named `ledger`
              --> t.yaml:11:23
               |
            11 |   - {from: s.out, to: cor.ledger.in}
               |                       ^^^^^^^^^^^^^
               |
               = help: did you mean `core.ledger.in`?

            error[FR0305]: the other end of a wire to or from an external rack is a gear on a rack of this scenario
              --> t.yaml:12:5
               |
            12 |   - {from: core.answers.out, to: everywhere.in}
               |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: say with `deploy` on which rack its gear is

            error[FR0302]: `l` has no input `inn`
              --> t.yaml:13:34
               |
            13 |   - {from: core.answers.out, to: l.inn}
               |                                  ^^^^^
               |
               = help: did you mean `l.in`? (its only input is `in`)

            error[FR0306]: `core.answers.out` leads to `l.in` twice
              --> t.yaml:14:5
               |
             9 |   - {from: core.answers.out, to: l.in, dedupe: true}
               |     ------------------------------------------------ first here
            ...
            14 |   - {from: core.answers.out, to: l.in, lane: hot}
               |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: remove one: each signal would arrive twice

            error[FR0304]: a hot wire stays on one rack, and this one leaves `core` for `edge`
              --> t.yaml:14:46
               |
            14 |   - {from: core.answers.out, to: l.in, lane: hot}
               |                                              ^^^
               |
               = help: deploy both gears to one rack, or leave the lane out: between racks it is `mesh`

            t.yaml: 5 errors
        "#]],
    );
}

#[test]
fn wires_between_racks() {
    check(
        "
racks: [{name: edge}, {name: core}, {name: a-rack-with-a-rather-long-name}]
gears:
  - {name: s, type: source, deploy: edge}
  - {name: l, type: log, deploy: core}
  - {name: near, type: log, deploy: edge}
  - {name: far, type: log, deploy: a-rack-with-a-rather-long-name}
  - {name: everywhere, type: log}
wires:
  - {from: s.out, to: l.in, ack: os}
  - {from: s.out, to: core.everywhere.in, lane: durable, dedupe: true}
  - {from: s.out, to: near.in, lane: mesh}
  - {from: s.out, to: everywhere.in, lane: mesh}
  - {from: s.out, to: far.in, lane: mesh}
",
        expect![[r#"
            error[FR0305]: a mesh wire leads to another rack, and both its gears are on `edge`
              --> t.yaml:12:38
               |
            12 |   - {from: s.out, to: near.in, lane: mesh}
               |                                      ^^^^
               |
               = help: inside a rack use `durable`

            error[FR0305]: a mesh wire leads from one rack to another, and a gear of this one is on no rack of its own
              --> t.yaml:13:44
               |
            13 |   - {from: s.out, to: everywhere.in, lane: mesh}
               |                                            ^^^^
               |
               = help: say with `deploy` on which rack each of its gears is

            error[FR0305]: the name of `a-rack-with-a-rather-long-name` is too long for a rack with wires to others
              --> t.yaml:14:37
               |
            14 |   - {from: s.out, to: far.in, lane: mesh}
               |                                     ^^^^
               |
               = help: give it a name of at most 27 bytes: it is a part of names on the bus

            t.yaml: 3 errors
        "#]],
    );
}
