//! Scenarios against the catalog of the built-in gears.

use expect_test::{Expect, expect};
use flux_scenario::{Fuse, load};

const GUIDE: &str = include_str!("../../../../docs/guide/payment-switch.md");

/// A scenario around one gear, `switch`, with the wires given.
fn around(gear: &str, wires: &[(&str, &str)]) -> String {
    let mut lines = gear.lines();
    let mut text = format!("meta: {{name: t, version: 1.0.0}}\ngears:\n  - {}\n", lines.next().unwrap());
    text.extend(lines.map(|line| format!("    {line}\n")));
    text += "  - {name: terminals, type: generate, config: {interval: 10ms, data: {pan: '4{n:05}'}}}\n";
    text += "  - {name: schemes, type: log, config: {fields: [conn.id], pass: out}}\n";
    text += "  - {name: rest, type: 'null'}\nwires:\n";
    text.extend(wires.iter().map(|(from, to)| format!("  - {{from: {from}, to: {to}}}\n")));
    text
}

#[test]
fn the_example_of_the_guide_runs() {
    let example = GUIDE.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let outs = ["visa_a", "visa_b", "mc_a", "mc_b", "net_a", "net_b", "standby"];
    let outs: Vec<String> = outs.iter().map(|name| format!("switch.out_{name}")).collect();
    let mut wires: Vec<(&str, &str)> = outs.iter().map(|out| (out.as_str(), "schemes.in")).collect();
    wires.extend([
        ("terminals.out", "switch.in"),
        ("schemes.out", "rest.in"),
        ("terminals.out", "switch.in_reply"),
        ("switch.out_response", "rest.in"),
        ("switch.error", "rest.in"),
    ]);
    let loaded = load("guide.yaml", &around(example, &wires));
    let catalog = flux_gears::builtin().catalog();
    assert_eq!(loaded.check(&catalog).render(false), "");
    let circuit = loaded.compile(None, &catalog, Fuse::On).unwrap();
    let switch = circuit.gears.iter().find(|gear| gear.name == "switch").unwrap();
    assert_eq!(switch.inputs, ["in", "in_reply"]);
    assert!(
        outs.iter().all(|out| switch.outputs.iter().any(|name| out.ends_with(name))),
        "{:?}",
        switch.outputs
    );
}

fn check(gear: &str, want: Expect) {
    let loaded = load("t.yaml", &around(gear, &[("terminals.out", "switch.in")]));
    let report = loaded.check(&flux_gears::builtin().catalog());
    let of_gear: Vec<String> = report
        .issues()
        .iter()
        .filter(|issue| report.position(issue).line < 4 + gear.lines().count())
        .map(|issue| format!("{}: {}", issue.message, issue.help.as_deref().unwrap_or_default()))
        .collect();
    want.assert_eq(&of_gear.join("\n"));
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    let conductor = "name: switch
type: conductor
config:
  correlation_keys: [data.stan]
  routes:
    - {name: a, match: {field: pan, prefx: '4'}, destination: {fail_over: [x]}}
    - {name: b, destination: Visa, ttl: 5}
  valet: {store: redis}
  in_flight_max: 0";
    check(
        conductor,
        expect![[r#"
            nothing takes what leaves `switch.out_response`: wire it; a `null` gear says that it is meant to be dropped
            the config of `switch` has no `correlation_key`: add `correlation_key`: the values that a request shares with its reply and with no other request in flight
            the config of `switch` has no key `correlation_keys`: did you mean `correlation_key`?
            `match` has no key `prefx`: did you mean `prefix`?
            `destination` has no key `fail_over`: did you mean `failover`?
            nothing takes what leaves `switch.out_Visa`: wire it; a `null` gear says that it is meant to be dropped
            `destination` cannot be "Visa": a name is made of lower-case letters, digits, `_` and `-`: `visa`
            this names a port "out_Visa": a name is made of lower-case letters, digits, `_` and `-`: `out_visa`
            `ttl` must be a duration like "5s", found a whole number: say the unit: "5s"
            `store` cannot be "redis": write `memory` or `local_durable`
            `in_flight_max` must be from 1 to 16000000, found 0: "#]],
    );
    check(
        "name: switch\ntype: log\nconfig: {level: loud, pass: Out}",
        expect![[r#"
        `level` cannot be "loud": write `error`, `warn`, `info`, `debug` or `trace`
        nothing takes what leaves `switch.Out`: wire it; a `null` gear says that it is meant to be dropped
        `pass` cannot be "Out": a name is made of lower-case letters, digits, `_` and `-`: `out`
        this names a port "Out": a name is made of lower-case letters, digits, `_` and `-`: `out`"#]],
    );
    check(
        "name: switch\ntype: generate\nconfig: {batch: 0, count: -1, data: {a: [1]}}",
        expect![[r#"
        nothing takes what leaves `switch.out`: wire it; a `null` gear says that it is meant to be dropped
        `batch` must be from 1 to 4096, found 0: 
        `count` must be from 0 to 18446744073709551615, found -1: 
        `a` must be true or false or a whole number or text, found a list: "#]],
    );
}
