//! Configs and what they claim.

use expect_test::expect;

use super::check;

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
      pool_size: 0
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

            error[FR0405]: `pool_size` must be from 1 to 65535, found 0
              --> t.yaml:11:18
               |
            11 |       pool_size: 0
               |                  ^

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
fn what_a_secret_makes_of_a_value_is_not_guessed_and_what_names_none_is_refused() {
    check(
        "gears:
  - {name: a, type: tcp, config: {bind: '${secret:BIND}', tls: {key_file: k, password: '${secret:P}'}}}
  - {name: b, type: tcp, config: {bind: '${secret:BIND}', tls: {key_file: k, password: 'x${secret:a b}'}}}
",
        expect![[r#"
            warning[FR0307]: nothing takes what leaves `a.out`
             --> t.yaml:3:12
              |
            3 |   - {name: a, type: tcp, config: {bind: '${secret:BIND}', tls: {key_file: k, password: *************}}}
              |            ^
              |
              = help: wire it; a `null` gear says that it is meant to be dropped

            warning[FR0307]: nothing takes what leaves `b.out`
             --> t.yaml:4:12
              |
            4 |   - {name: b, type: tcp, config: {bind: '${secret:BIND}', tls: {key_file: k, password: ****************}}}
              |            ^
              |
              = help: wire it; a `null` gear says that it is meant to be dropped

            error[FR0407]: this refers to no secret
             --> t.yaml:4:88
              |
            4 |   - {name: b, type: tcp, config: {bind: '${secret:BIND}', tls: {key_file: k, password: ****************}}}
              |                                                                                        ^^^^^^^^^^^^^^^^
              |
              = help: a secret is named as in `${secret:DB_PASSWORD}`: letters, digits, `_`, `-` and `.`, up to 64

            t.yaml: 1 error, 2 warnings
        "#]],
    );
}
