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
fn names_and_kinds() {
    check(
        "
racks: [{name: edge-1}, {name: edge-1}, {group: shops}]
gears:
  - {name: a, type: sorce}
  - {name: a, type: source, deploy: edge-2}
  - {name: Big One, type: kafka}
  - {type: source}
  - {name: b}
wires:
  - {from: a.out, to: c.in}
",
        expect![[r#"
            error[FR0207]: two racks are named `edge-1`
             --> t.yaml:2:32
              |
            2 | racks: [{name: edge-1}, {name: edge-1}, {group: shops}]
              |                ------          ^^^^^^
              |                |
              |                first here
              |
              = help: rename one of them

            error[FR0212]: the group `shops` is not available in this version
             --> t.yaml:2:49
              |
            2 | racks: [{name: edge-1}, {name: edge-1}, {group: shops}]
              |                                                 ^^^^^
              |
              = help: name the racks one by one

            error[FR0211]: there is no kind of gear called "sorce"
             --> t.yaml:4:21
              |
            4 |   - {name: a, type: sorce}
              |                     ^^^^^
              |
              = help: did you mean `source`?

            error[FR0208]: two gears are named `a`
             --> t.yaml:5:12
              |
            4 |   - {name: a, type: sorce}
              |            - first here
            5 |   - {name: a, type: source, deploy: edge-2}
              |            ^
              |
              = help: rename one of them; wires mean the first

            error[FR0210]: `a` is deployed to `edge-2`, which is not a rack of this scenario
             --> t.yaml:5:37
              |
            5 |   - {name: a, type: source, deploy: edge-2}
              |                                     ^^^^^^
              |
              = help: did you mean `edge-1`?

            error[FR0204]: `name` cannot be "Big One"
             --> t.yaml:6:12
              |
            6 |   - {name: Big One, type: kafka}
              |            ^^^^^^^
              |
              = help: a name is made of lower-case letters, digits, `_` and `-`: `big-one`

            error[FR0211]: there is no kind of gear called "kafka"
             --> t.yaml:6:27
              |
            6 |   - {name: Big One, type: kafka}
              |                           ^^^^^
              |
              = help: the kinds are `call`, `codec`, `fork`, `log`, `source`, `switch`, `tcp` and `write`

            error[FR0203]: item 4 of `gears` has no `name`
             --> t.yaml:7:6
              |
            7 |   - {type: source}
              |      ^^^^
              |
              = help: add `name`: unique in the scenario

            error[FR0203]: item 5 of `gears` has no `type`
             --> t.yaml:8:6
              |
            8 |   - {name: b}
              |      ^^^^
              |
              = help: add `type`: the kind of gear

            error[FR0301]: there is no gear named `c`
              --> t.yaml:10:23
               |
            10 |   - {from: a.out, to: c.in}
               |                       ^^^^
               |
               = help: the gears are `Big One`, `a` and `b`

            t.yaml: 10 errors
        "#]],
    );
}

#[test]
fn unknown_keys_and_wrong_types_of_the_structure() {
    check(
        "
gear: []
gears:
  - {name: s, type: source, lables: {a: 1}, config: 5, parallel: 0}
  - {name: l, type: log, labels: {a: 1}, id: 12-34}
wires:
  - {from: s.out, too: l.in}
  - {from: s, to: l.in, lane: warm}
  - [s.out, l.in]
",
        expect![[r#"
            error[FR0201]: the scenario has no key `gear`
             --> t.yaml:2:1
              |
            2 | gear: []
              | ^^^^
              |
              = help: did you mean `gears`?

            warning[FR0307]: nothing takes what leaves `s.out`
             --> t.yaml:4:12
              |
            4 |   - {name: s, type: source, lables: {a: 1}, config: 5, parallel: 0}
              |            ^
              |
              = help: wire it; a `null` gear says that it is meant to be dropped

            error[FR0201]: item 1 of `gears` has no key `lables`
             --> t.yaml:4:29
              |
            4 |   - {name: s, type: source, lables: {a: 1}, config: 5, parallel: 0}
              |                             ^^^^^^
              |
              = help: did you mean `labels`?

            error[FR0202]: `config` must be a table, found a whole number
             --> t.yaml:4:53
              |
            4 |   - {name: s, type: source, lables: {a: 1}, config: 5, parallel: 0}
              |                                                     ^

            error[FR0205]: `parallel` must be from 1 to 256, found 0
             --> t.yaml:4:66
              |
            4 |   - {name: s, type: source, lables: {a: 1}, config: 5, parallel: 0}
              |                                                                  ^

            warning[FR0503]: no signal can reach `l`
             --> t.yaml:5:12
              |
            5 |   - {name: l, type: log, labels: {a: 1}, id: 12-34}
              |            ^
              |
              = help: wire an output to one of its inputs, or remove it

            error[FR0202]: `a` must be text, found a whole number
             --> t.yaml:5:38
              |
            5 |   - {name: l, type: log, labels: {a: 1}, id: 12-34}
              |                                      ^
              |
              = help: put it in quotes

            error[FR0204]: `id` cannot be "12-34"
             --> t.yaml:5:46
              |
            5 |   - {name: l, type: log, labels: {a: 1}, id: 12-34}
              |                                              ^^^^^
              |
              = help: write a UUID like "0190a5b2-7c3e-7d4a-8b1f-2f6c1d9e0a7b"

            error[FR0203]: item 1 of `wires` has no `to`
             --> t.yaml:7:6
              |
            7 |   - {from: s.out, too: l.in}
              |      ^^^^
              |
              = help: add `to`: the input they go to: `gear.port` or `rack.gear.port`

            error[FR0201]: item 1 of `wires` has no key `too`
             --> t.yaml:7:19
              |
            7 |   - {from: s.out, too: l.in}
              |                   ^^^
              |
              = help: did you mean `to`?

            error[FR0309]: "s" does not name a port
             --> t.yaml:8:12
              |
            8 |   - {from: s, to: l.in, lane: warm}
              |            ^
              |
              = help: write `gear.port` or `rack.gear.port`

            error[FR0204]: `lane` cannot be "warm"
             --> t.yaml:8:31
              |
            8 |   - {from: s, to: l.in, lane: warm}
              |                               ^^^^
              |
              = help: write `hot`, `durable`, `guaranteed` or `mesh`

            error[FR0202]: item 3 of `wires` must be a table, found a list
             --> t.yaml:9:5
              |
            9 |   - [s.out, l.in]
              |     ^^^^^^^^^^^^^

            t.yaml: 11 errors, 2 warnings
        "#]],
    );
}

#[test]
fn the_config_of_a_gear() {
    check(
        "
gears:
  - name: a
    type: tcp
    config:
      mode: sever
      bind: 9000
      idle_timout: 5s
      idle_timeout: 5
      frame_bytes_max: 64 kilo
      connections_max: 0
      tls: {key_file: no.pem, password: geheim}
  - {name: b, type: codec}
  - {name: c, type: codec, config: {spec: 87, direction: decoder}}
  - {name: d, type: write, config: {format: line, newline: x}}
  - {name: e, type: write, config: {format: frames, width: 300}}
  - {name: f, type: write, config: {newline: x}}
wires: []
",
        expect![[r#"
            warning[FR0307]: nothing takes what leaves `a.out`
             --> t.yaml:3:11
              |
            3 |   - name: a
              |           ^
              |
              = help: wire it; a `null` gear says that it is meant to be dropped

            error[FR0404]: `mode` cannot be "sever"
             --> t.yaml:6:13
              |
            6 |       mode: sever
              |             ^^^^^
              |
              = help: did you mean `server`? (It may be `server` or `client`.)

            error[FR0402]: `bind` must be text, found a whole number
             --> t.yaml:7:13
              |
            7 |       bind: 9000
              |             ^^^^
              |
              = help: put it in quotes

            error[FR0401]: the config of `a` has no key `idle_timout`
             --> t.yaml:8:7
              |
            8 |       idle_timout: 5s
              |       ^^^^^^^^^^^
              |
              = help: did you mean `idle_timeout`?

            error[FR0402]: `idle_timeout` must be a duration like "5s", found a whole number
             --> t.yaml:9:21
              |
            9 |       idle_timeout: 5
              |                     ^
              |
              = help: say the unit: "5s"

            error[FR0404]: `frame_bytes_max` cannot be "64 kilo"
              --> t.yaml:10:24
               |
            10 |       frame_bytes_max: 64 kilo
               |                        ^^^^^^^
               |
               = help: "kilo" is not a unit of size: use B, KB, MB, GB (thousands) or KiB, MiB, GiB (1024)

            error[FR0405]: `connections_max` must be from 1 to 65535, found 0
              --> t.yaml:11:24
               |
            11 |       connections_max: 0
               |                        ^

            error[FR0405]: `password` is too short
              --> t.yaml:12:41
               |
            12 |       tls: {key_file: no.pem, password: ******}
               |                                         ^^^^^^

            warning[FR0307]: nothing takes what leaves `b.out`
              --> t.yaml:13:12
               |
            13 |   - {name: b, type: codec}
               |            ^
               |
               = help: wire it; a `null` gear says that it is meant to be dropped

            error[FR0403]: the config of `b` has no `spec`
              --> t.yaml:13:12
               |
            13 |   - {name: b, type: codec}
               |            ^
               |
               = help: add `spec`: the spec to read messages with

            warning[FR0503]: no signal can reach `b`
              --> t.yaml:13:12
               |
            13 |   - {name: b, type: codec}
               |            ^
               |
               = help: wire an output to one of its inputs, or remove it

            warning[FR0307]: nothing takes what leaves `c.out`
              --> t.yaml:14:12
               |
            14 |   - {name: c, type: codec, config: {spec: 87, direction: decoder}}
               |            ^
               |
               = help: wire it; a `null` gear says that it is meant to be dropped

            warning[FR0503]: no signal can reach `c`
              --> t.yaml:14:12
               |
            14 |   - {name: c, type: codec, config: {spec: 87, direction: decoder}}
               |            ^
               |
               = help: wire an output to one of its inputs, or remove it

            error[FR0402]: `spec` must be text, found a whole number
              --> t.yaml:14:43
               |
            14 |   - {name: c, type: codec, config: {spec: 87, direction: decoder}}
               |                                           ^^
               |
               = help: put it in quotes

            error[FR0404]: `direction` cannot be "decoder"
              --> t.yaml:14:58
               |
            14 |   - {name: c, type: codec, config: {spec: 87, direction: decoder}}
               |                                                          ^^^^^^^
               |
               = help: did you mean `decode`? (It may be `decode` or `encode`.)

            error[FR0404]: `format` cannot be "line"
              --> t.yaml:15:45
               |
            15 |   - {name: d, type: write, config: {format: line, newline: x}}
               |                                             ^^^^
               |
               = help: did you mean `lines`? (It may be `lines` or `frames`.)

            error[FR0405]: `width` must be from 0 to 255, found 300
              --> t.yaml:16:60
               |
            16 |   - {name: e, type: write, config: {format: frames, width: 300}}
               |                                                            ^^^

            error[FR0403]: the config of `f` has no `format`
              --> t.yaml:17:12
               |
            17 |   - {name: f, type: write, config: {newline: x}}
               |            ^
               |
               = help: add `format`: `lines` or `frames`

            t.yaml: 13 errors, 5 warnings
        "#]],
    );
}

#[test]
fn a_recursive_config_is_checked_to_its_leaves() {
    check(
        "
gears:
  - {name: s, type: source}
  - name: sw
    type: switch
    config:
      routes:
        - {name: a, destination: {failover: [visa, {round_robbin: [x]}]}}
        - {name: b, destination: 5}
        - {name: c, destination: {failover: [{round_robin: [1]}], round_robin: []}}
        - {name: d, destination: Bad Port}
wires:
  - {from: s.out, to: sw.in}
",
        expect![[r#"
            warning[FR0307]: nothing takes what leaves `sw.out_response`
             --> t.yaml:4:11
              |
            4 |   - name: sw
              |           ^^
              |
              = help: wire it; a `null` gear says that it is meant to be dropped

            warning[FR0307]: nothing takes what leaves `sw.out_visa`
             --> t.yaml:8:46
              |
            8 |         - {name: a, destination: {failover: [visa, {round_robbin: [x]}]}}
              |                                              ^^^^
              |
              = help: wire it; a `null` gear says that it is meant to be dropped

            error[FR0401]: item 2 of `failover` has no key `round_robbin`
             --> t.yaml:8:53
              |
            8 |         - {name: a, destination: {failover: [visa, {round_robbin: [x]}]}}
              |                                                     ^^^^^^^^^^^^
              |
              = help: did you mean `round_robin`?

            error[FR0402]: `destination` must be text or a table, found a whole number
             --> t.yaml:9:34
              |
            9 |         - {name: b, destination: 5}
              |                                  ^

            error[FR0402]: item 1 of `round_robin` must be text or a table, found a whole number
              --> t.yaml:10:61
               |
            10 |         - {name: c, destination: {failover: [{round_robin: [1]}], round_robin: []}}
               |                                                             ^

            error[FR0401]: `destination` has no key `round_robin`
              --> t.yaml:10:67
               |
            10 |         - {name: c, destination: {failover: [{round_robin: [1]}], round_robin: []}}
               |                                                                   ^^^^^^^^^^^
               |
               = help: the only key is `failover`

            warning[FR0307]: nothing takes what leaves `sw.out_Bad Port`
              --> t.yaml:11:34
               |
            11 |         - {name: d, destination: Bad Port}
               |                                  ^^^^^^^^
               |
               = help: wire it; a `null` gear says that it is meant to be dropped

            error[FR0404]: this names a port "out_Bad Port"
              --> t.yaml:11:34
               |
            11 |         - {name: d, destination: Bad Port}
               |                                  ^^^^^^^^
               |
               = help: a name is made of lower-case letters, digits, `_` and `-`: `out_bad-port`

            t.yaml: 5 errors, 3 warnings
        "#]],
    );
}

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
  - {from: c.error, to: l.in, lane: guaranteed}
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

            error[FR0305]: the lane `durable` is not available in this version
              --> t.yaml:14:37
               |
            14 |   - {from: c.error, to: l.in, lane: guaranteed}
               |                                     ^^^^^^^^^^
               |
               = help: use `hot`, or leave `lane` out, between gears of one rack

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
              = help: deploy both gears to one rack

            error[FR0305]: this wire leaves `edge` for `core`, which is not available in this version
             --> t.yaml:9:5
              |
            9 |   - {from: edge.s.out, to: core.everywhere.in}
              |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: deploy both gears to one rack

            error[FR0305]: this wire leaves `core` for `edg`, which is not available in this version
              --> t.yaml:11:5
               |
            11 |   - {from: core.s.out, to: edg.everywhere.in}
               |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: deploy both gears to one rack

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

            t.yaml: 5 errors
        "#]],
    );
}

#[test]
fn claims() {
    check(
        "
racks: [{name: edge}, {name: core}]
gears:
  - {name: a, type: tcp, deploy: edge, config: {bind: '127.0.0.1:9000'}}
  - {name: b, type: tcp, deploy: edge, config: {bind: '0.0.0.0:9000'}}
  - {name: c, type: tcp, deploy: core, config: {bind: ':9000'}}
  - {name: d, type: tcp, config: {bind: '[::]:9000'}}
  - {name: e, type: tcp, deploy: edge}
  - {name: f, type: tcp, deploy: edge}
  - {name: g, type: tcp, config: {mode: client, bind: ':9000'}}
  - {name: h, type: tcp, config: {bind: '9000'}}
wires:
  - {from: a.out, to: a.in}
  - {from: b.out, to: b.in}
  - {from: c.out, to: c.in}
  - {from: d.out, to: d.in}
  - {from: e.out, to: e.in}
  - {from: f.out, to: f.in}
  - {from: g.out, to: g.in}
  - {from: h.out, to: h.in}
",
        expect![[r#"
            error[FR0501]: `b` listens at `0.0.0.0:9000` and `a` at `127.0.0.1:9000`, which overlap
             --> t.yaml:5:55
              |
            4 |   - {name: a, type: tcp, deploy: edge, config: {bind: '127.0.0.1:9000'}}
              |                                                       ---------------- held by `a`
            5 |   - {name: b, type: tcp, deploy: edge, config: {bind: '0.0.0.0:9000'}}
              |                                                       ^^^^^^^^^^^^^^
              |
              = help: use another port, or a specific address for both

            error[FR0501]: `d` listens at `[::]:9000` and `a` at `127.0.0.1:9000`, which overlap
             --> t.yaml:7:41
              |
            4 |   - {name: a, type: tcp, deploy: edge, config: {bind: '127.0.0.1:9000'}}
              |                                                       ---------------- held by `a`
            ...
            7 |   - {name: d, type: tcp, config: {bind: '[::]:9000'}}
              |                                         ^^^^^^^^^^^
              |
              = help: use another port, or a specific address for both

            error[FR0501]: `f` and `e` both listen at `:8080`
             --> t.yaml:9:12
              |
            8 |   - {name: e, type: tcp, deploy: edge}
              |            - held by `e`
            9 |   - {name: f, type: tcp, deploy: edge}
              |            ^
              |
              = help: use another port

            error[FR0406]: `h` cannot listen at "9000"
              --> t.yaml:11:41
               |
            11 |   - {name: h, type: tcp, config: {bind: '9000'}}
               |                                         ^^^^^^
               |
               = help: write `host:port`, or `:port` for every address

            t.yaml: 4 errors
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
fn partitions() {
    check(
        "
gears:
  - {name: s, type: source}
  - {name: a, type: codec, config: {spec: x}, parallel: 4}
  - {name: b, type: codec, config: {spec: x}, parallel: 4, partition_by: card}
  - {name: c, type: log, parallel: 2, partition_by: card}
  - {name: d, type: log, parallel: 1}
  - {name: e, type: log, parallel: 1000}
wires:
  - {from: s.out, to: a.in}
  - {from: a.out, to: b.in}
  - {from: b.out, to: c.in}
  - {from: b.error, to: d.in}
  - {from: a.error, to: e.in}
",
        expect![[r#"
            error[FR0213]: `a` runs in parallel without `partition_by`, so order would be lost
             --> t.yaml:4:57
              |
            4 |   - {name: a, type: codec, config: {spec: x}, parallel: 4}
              |                                                         ^
              |
              = help: add `partition_by`, the path whose value decides which instance takes a message

            error[FR0213]: gears of kind `log` cannot run in parallel
             --> t.yaml:6:36
              |
            6 |   - {name: c, type: log, parallel: 2, partition_by: card}
              |                                    ^
              |
              = help: remove `parallel`

            error[FR0205]: `parallel` must be from 1 to 256, found 1000
             --> t.yaml:8:36
              |
            8 |   - {name: e, type: log, parallel: 1000}
              |                                    ^^^^

            error[FR0213]: gears of kind `log` cannot run in parallel
             --> t.yaml:8:36
              |
            8 |   - {name: e, type: log, parallel: 1000}
              |                                    ^^^^
              |
              = help: remove `parallel`

            t.yaml: 4 errors
        "#]],
    );
}

#[test]
fn the_json_report_has_its_held_shape() {
    let text = "meta: {name: t, version: 1.0.0}\ngears:\n  - {name: a, type: sorce}\n";
    let json = crate::load("t.yaml", text).check(&catalog()).to_json();
    expect![[r#"
        {
          "issues": [
            {
              "code": "FR0211",
              "severity": "error",
              "file": "t.yaml",
              "line": 3,
              "column": 21,
              "message": "there is no kind of gear called \"sorce\"",
              "help": "did you mean `source`?"
            }
          ]
        }"#]]
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
