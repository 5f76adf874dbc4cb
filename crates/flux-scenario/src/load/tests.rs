//! What both file forms lower to, and what a broken file is told.

use expect_test::{Expect, expect};

use crate::Code;
use crate::testing::catalog;
use crate::units::ByteSize;

/// The rendered report of a file, form and meaning together.
fn check(name: &str, text: &str, expected: Expect) {
    expected.assert_eq(&crate::load(name, text).check(&catalog()).render(false));
}

/// The seed form: gears by name, routes by source, ports understood.
const SEED: &str = r#"
[base]
name = "edge-1"

[rack]
max_payload_size = "1MiB"

[gears.term]
spec = "tcp"
config = { mode = "server", bind = ":9000" }

[gears.dec]
spec = "codec"
config = { spec = "base" }
doc = "reads"

[bus.routes.term]
targets = ["dec", "tap.in"]

[bus.routes."dec.out"]
targets = ["term"]

[bus.routes.failed]
from = "dec.error"
targets = ["tap"]
lane = "hot"

[gears.tap]
spec = "log"
"#;

#[test]
fn the_toml_form_becomes_a_scenario_and_settings() {
    let loaded = crate::load("conf/fluxrig.toml", SEED);
    assert_eq!(loaded.check(&catalog()).render(false), "");
    assert_eq!(loaded.settings.base.name, "edge-1");
    assert_eq!(loaded.settings.rack.max_payload_size, ByteSize(1 << 20));
    let scenario = loaded.scenario;
    assert_eq!(*scenario.meta.name, "edge-1");
    let wires: Vec<String> = scenario
        .wires
        .iter()
        .map(|wire| {
            format!("{}: {} -> {}", wire.id.as_deref().map_or("", |id| id.as_str()), wire.from, wire.to)
        })
        .collect();
    assert_eq!(
        wires,
        [
            ": term.out -> dec.in",
            ": term.out -> tap.in",
            ": dec.out -> term.in",
            "failed: dec.error -> tap.in"
        ]
    );
    assert_eq!(scenario.gear("dec").unwrap().doc.as_deref(), Some("reads"));
}

#[test]
fn both_forms_mean_the_same() {
    let yaml = "
meta: {name: edge-1, version: 1.0.0}
gears:
  - {name: term, type: tcp, config: {mode: server, bind: ':9000'}}
  - {name: dec, type: codec, config: {spec: base}, doc: reads}
  - {name: tap, type: log}
wires:
  - {from: term.out, to: dec.in}
  - {from: term.out, to: tap.in}
  - {from: dec.out, to: term.in}
  - {id: failed, from: dec.error, to: tap.in, lane: hot}
";
    let compile = |name: &str, text: &str| {
        let loaded = crate::load(name, text);
        crate::compile(&loaded.scenario, None, &catalog(), crate::Fuse::On).unwrap()
    };
    assert_eq!(compile("conf/a.yaml", yaml), compile("conf/fluxrig.toml", SEED));
}

#[test]
fn a_dotted_route_may_be_a_table_in_a_table() {
    let text = SEED.replace("[bus.routes.\"dec.out\"]", "[bus.routes.dec.out]");
    let loaded = crate::load("fluxrig.toml", &text);
    assert_eq!(loaded.check(&catalog()).render(false), "");
    assert_eq!(loaded.scenario.wires.len(), 4);
}

#[test]
fn empty_and_half_empty_files_get_help() {
    check(
        "a.yaml",
        "",
        expect![[r#"
            error[FR0206]: the file is empty
             |
             = help: a scenario has `meta`, `gears` and `wires`

            a.yaml: 1 error
        "#]],
    );
    check(
        "fluxrig.toml",
        "[base]\nname = 'edge'\n",
        expect![[r#"
        error[FR0206]: this file has no gears, so nothing would run
         --> fluxrig.toml:1:1
          |
        1 | [base]
          | ^
          |
          = help: add one: `[gears.NAME]` with `spec = "KIND"` and `config = { ... }`

        fluxrig.toml: 1 error
    "#]],
    );
    check(
        "scenario.json",
        "{}",
        expect![[r#"
        error[FR0106]: cannot tell what form "scenario.json" has
         --> scenario.json:1:1
          |
        1 | {}
          | ^
          |
          = help: name it .yaml or .toml

        scenario.json: 1 error
    "#]],
    );
    check(
        "a.yaml",
        "just text",
        expect![[r#"
            error[FR0202]: the scenario must be a table, found text
             --> a.yaml:1:1
              |
            1 | just text
              | ^^^^^^^^^

            error[FR0206]: this scenario has no gears, so nothing would run
             --> a.yaml:1:1
              |
            1 | just text
              | ^
              |
              = help: list them under `gears:`, each with a `name` and a `type`

            a.yaml: 2 errors
        "#]],
    );
    check(
        "a.yaml",
        "meta: {name: a, version: 1.0.0}\ngears:\n",
        expect![[r#"
            error[FR0206]: this scenario has no gears, so nothing would run
             --> a.yaml:2:1
              |
            2 | gears:
              | ^^^^^
              |
              = help: list them under `gears:`, each with a `name` and a `type`

            error[FR0202]: `gears` must be a list, found nothing
             --> a.yaml:2:6
              |
            2 | gears:
              |      ^

            a.yaml: 2 errors
        "#]],
    );
}

#[test]
fn settings_are_checked_like_everything_else() {
    let text = r#"
[rack]
drain_timeout = 35
fuse = "yes"
max_hops = 0
lane_que_size = 5
batch_messages_max = 100000
max_payload_size = "2 MiBs"
bootstrap_secret = "hunter2"
[loging]
level = "info"
[snake]
domain = "flux"
[base]
name = "Edge 1"
[gears.a]
spec = "source"
"#;
    check(
        "fluxrig.toml",
        text,
        expect![[r#"
            error[FR0602]: `drain_timeout` must be a duration like "5s", found a whole number
             --> fluxrig.toml:3:17
              |
            3 | drain_timeout = 35
              |                 ^^
              |
              = help: say the unit: "35s"

            error[FR0602]: `fuse` must be true or false, found text
             --> fluxrig.toml:4:8
              |
            4 | fuse = "yes"
              |        ^^^^^
              |
              = help: write true

            error[FR0605]: `max_hops` must be from 1 to 65535, found 0
             --> fluxrig.toml:5:12
              |
            5 | max_hops = 0
              |            ^

            error[FR0601]: `rack` has no key `lane_que_size`
             --> fluxrig.toml:6:1
              |
            6 | lane_que_size = 5
              | ^^^^^^^^^^^^^
              |
              = help: did you mean `lane_queue_size`?

            error[FR0605]: `batch_messages_max` must be from 1 to 65536, found 100000
             --> fluxrig.toml:7:22
              |
            7 | batch_messages_max = 100000
              |                      ^^^^^^

            error[FR0604]: `max_payload_size` cannot be "2 MiBs"
             --> fluxrig.toml:8:20
              |
            8 | max_payload_size = "2 MiBs"
              |                    ^^^^^^^^
              |
              = help: "MiBs" is not a unit of size: use B, KB, MB, GB (thousands) or KiB, MiB, GiB (1024)

            info[FR0606]: `bootstrap_secret` is accepted and has no effect yet
             --> fluxrig.toml:9:20
              |
            9 | bootstrap_secret = *********
              |                    ^^^^^^^^^

            error[FR0201]: `fluxrig.toml` has no section `loging`
              --> fluxrig.toml:10:2
               |
            10 | [loging]
               |  ^^^^^^
               |
               = help: did you mean `logging`?

            info[FR0606]: `domain` is accepted and has no effect yet
              --> fluxrig.toml:13:10
               |
            13 | domain = "flux"
               |          ^^^^^^

            error[FR0604]: `name` cannot be "Edge 1"
              --> fluxrig.toml:15:8
               |
            15 | name = "Edge 1"
               |        ^^^^^^^^
               |
               = help: a name is made of lower-case letters, digits, `_` and `-`: `edge-1`

            warning[FR0307]: nothing takes what leaves `a.out`
              --> fluxrig.toml:16:8
               |
            16 | [gears.a]
               |        ^
               |
               = help: wire it; a `null` gear says that it is meant to be dropped

            fluxrig.toml: 8 errors, 1 warning, 2 notes
        "#]],
    );
}

#[test]
fn a_secret_is_hidden_in_the_lines_shown() {
    let text = "rack = { bootstrap_secret = \"hünter2\", fuse = 1 }\ngears.a.spec = 'source'\n";
    check(
        "fluxrig.toml",
        text,
        expect![[r#"
        info[FR0606]: `bootstrap_secret` is accepted and has no effect yet
         --> fluxrig.toml:1:29
          |
        1 | rack = { bootstrap_secret = **********, fuse = 1 }
          |                             ^^^^^^^^^^

        error[FR0602]: `fuse` must be true or false, found a whole number
         --> fluxrig.toml:1:48
          |
        1 | rack = { bootstrap_secret = **********, fuse = 1 }
          |                                                ^

        warning[FR0307]: nothing takes what leaves `a.out`
         --> fluxrig.toml:2:7
          |
        2 | gears.a.spec = 'source'
          |       ^
          |
          = help: wire it; a `null` gear says that it is meant to be dropped

        fluxrig.toml: 1 error, 1 warning, 1 note
    "#]],
    );
}

#[test]
fn what_could_be_a_secret_is_hidden_whatever_is_wrong_with_it() {
    let texts = [
        ("a.toml", "[snake]\nurll = \"nats://user:hunter2@host:4222\"\n"),
        ("a.toml", "[rack]\nbootstrap_secrt = \"hunter2\"\n"),
        ("a.toml", "[base]\nnme = { bootstrap_secret = \"hunter2\" }\n"),
        ("a.toml", "rak = { fuse = 1, db = { password = [\"hunter2\"] } }\n"),
        ("a.toml", "[rack]\nbootstrap_secret = hunter2\n"),
        ("a.toml", "[rack]\nbootstrap_secret = [\"hunter2\"]\n"),
        ("a.yaml", "gears:\n  - {name: a, type: tcp, config: {pasword: hunter2, mode: x}}\n"),
        ("a.yaml", "gears:\n  - {name: a, type: tcp, config: {mode: 'tcp://u:hunter2@x'}}\n"),
        ("a.yaml", "gears:\n  - {name: a, api_key: hunter2, api_key: x}\n"),
        ("a.yaml", "token: 'hunter2\n"),
    ];
    for (name, text) in texts {
        let report = crate::load(name, text).check(&catalog());
        let (shown, json) = (report.render(false), serde_json::to_string(&report.to_json()).unwrap());
        assert!(report.has_errors(), "{text}");
        assert!(!shown.contains("hunter2") && !json.contains("hunter2"), "{shown}\n{json}");
    }
}

#[test]
fn a_bad_source_is_told_once() {
    let text = "
[gears.a]
spec = 'source'
[gears.l]
spec = 'log'
[gears.m]
spec = 'log'
[bus.routes.aa]
targets = ['l', 'm', 'l.in']
[bus.routes.gatway]
targets = ['m']
[gears.gateway]
spec = 'source'
";
    check(
        "fluxrig.toml",
        text,
        expect![[r#"
            warning[FR0307]: nothing takes what leaves `a.out`
             --> fluxrig.toml:2:8
              |
            2 | [gears.a]
              |        ^
              |
              = help: wire it; a `null` gear says that it is meant to be dropped

            warning[FR0503]: no signal can reach `l`
             --> fluxrig.toml:4:8
              |
            4 | [gears.l]
              |        ^
              |
              = help: wire an output to one of its inputs, or remove it

            warning[FR0503]: no signal can reach `m`
             --> fluxrig.toml:6:8
              |
            6 | [gears.m]
              |        ^
              |
              = help: wire an output to one of its inputs, or remove it

            error[FR0301]: there is no gear named `aa`
             --> fluxrig.toml:8:13
              |
            8 | [bus.routes.aa]
              |             ^^
              |
              = help: the gears are `a`, `gateway`, `l` and `m`

            error[FR0306]: `aa.out` leads to `l.in` twice
             --> fluxrig.toml:9:22
              |
            9 | targets = ['l', 'm', 'l.in']
              |            ---       ^^^^^^
              |            |
              |            first here
              |
              = help: remove one: each signal would arrive twice

            error[FR0301]: there is no gear named `gatway`
              --> fluxrig.toml:10:13
               |
            10 | [bus.routes.gatway]
               |             ^^^^^^
               |
               = help: did you mean `gateway`?

            warning[FR0307]: nothing takes what leaves `gateway.out`
              --> fluxrig.toml:12:8
               |
            12 | [gears.gateway]
               |        ^^^^^^^
               |
               = help: wire it; a `null` gear says that it is meant to be dropped

            fluxrig.toml: 3 errors, 4 warnings
        "#]],
    );
}

#[test]
fn settings_alone_need_no_gears() {
    let (settings, report) = crate::load_settings("fluxrig.toml", "[logging]\nlevel = 'debug'\n");
    assert_eq!(report.render(false), "");
    assert_eq!(settings.logging.level, crate::settings::Level::Debug);
}

#[test]
fn defaults_of_the_settings_are_what_an_empty_file_means() {
    let (settings, _) = crate::load_settings("fluxrig.toml", "");
    assert_eq!(settings, crate::Settings::default());
    assert_eq!(settings.rack.bootstrap_secret, None);
    let json = serde_json::to_value(&settings).unwrap();
    assert_eq!(json["rack"]["drain_timeout"], "35s");
    assert_eq!(json["api"]["listen"], "127.0.0.1:8090");
    let again: crate::Settings = serde_json::from_value(json).unwrap();
    assert_eq!(again, settings);
}

#[test]
fn bytes_that_are_no_text_are_a_problem_with_a_place() {
    for (bytes, line, column) in [(&b"meta: {name: caf\xe9}\n"[..], 1, 17), (b"# one\n\xff\xfe", 2, 1)] {
        let loaded = crate::load("t.yaml", bytes);
        let shown = loaded.report.to_json();
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert_eq!((&shown[0]["code"], &shown[0]["severity"]), (&"FR0107".into(), &"error".into()));
        assert_eq!((&shown[0]["line"], &shown[0]["column"]), (&line.into(), &column.into()));
        assert_eq!(crate::load_settings("fluxrig.toml", bytes).1.issues()[0].code, Code::NotText);
    }
}

#[test]
fn of_a_file_that_is_too_long_nothing_is_shown() {
    let loaded = crate::load("t.yaml", &vec![0; crate::limits::FILE_BYTES_MAX + 1]);
    let shown = loaded.report.render(false);
    assert!(shown.contains("FR0104") && shown.len() < 500, "{} bytes", shown.len());
}
