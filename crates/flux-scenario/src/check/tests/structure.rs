//! Names, kinds, keys and partitions.

use expect_test::expect;

use super::check;

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

            warning[FR0212]: which racks are in the group `shops` a Mixer knows; a rack alone is in none
             --> t.yaml:2:49
              |
            2 | racks: [{name: edge-1}, {name: edge-1}, {group: shops}]
              |                                                 ^^^^^
              |
              = help: push it to a Mixer; to run it without one, name the racks one by one

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

            t.yaml: 9 errors, 1 warning
        "#]],
    );
}

#[test]
fn gears_in_a_table_and_a_kind_that_is_nothing_get_help() {
    check(
        "gears: {line: {type: tcp}}\nwires: []\n",
        expect![[r#"
        error[FR0202]: `gears` must be a list, found a table
         --> t.yaml:2:8
          |
        2 | gears: {line: {type: tcp}}
          |        ^^^^^^^^^^^^^^^^^^^
          |
          = help: write each gear as an item of its own: `- name: line`, with its `type` and `config`

        t.yaml: 1 error
    "#]],
    );
    check(
        "gears: [{name: a, type: null}]\n",
        expect![[r#"
        error[FR0202]: `type` must be text, found nothing
         --> t.yaml:2:25
          |
        2 | gears: [{name: a, type: null}]
          |                         ^^^^
          |
          = help: write one; a bare `null` is nothing, and the word in quotes is text: "null"

        t.yaml: 1 error
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

            t.yaml: 3 errors
        "#]],
    );
}
