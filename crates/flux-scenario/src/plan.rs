//! What has to happen to a running circuit so that it becomes another one, as data.
//!
//! A gear is known by its name. It is kept when its kind, configuration, ports, instances, the files it reads and what
//! answers behind its outputs are the same; wires to and from it may change all the same, because a wire is not a part of a gear.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::catalog::Terminus;
use crate::circuit::{Circuit, CircuitGear};
use crate::reference::has_reference;

/// The steps from one circuit to another. `Display` is for people, serialising for scripts. Neither shows a value of
/// a configuration, which may be a secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Every gear of either circuit: those of the new one in its order, then those that leave.
    pub gears: Vec<GearStep>,
    /// Every wire of either circuit, in the same way.
    pub wires: Vec<WireStep>,
}

/// What becomes of a gear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GearStep {
    /// Its name.
    pub gear: String,
    /// Its kind, the new one if that changes.
    pub kind: String,
    /// What happens to it.
    pub step: Step,
    /// Why it is replaced: paths into its configuration (`config.timeout`), or `kind`, `ports`, `parallel`,
    /// `partition_by`, `bindings`; or `file` and the path of one whose content changed, or `${secret:NAME}` of one that did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
}

/// What becomes of a wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WireStep {
    /// `gear.port`.
    pub from: String,
    /// `gear.port`.
    pub to: String,
    /// What happens to it.
    pub step: Step,
}

/// What happens to a gear or a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// It goes on as it is, with all it has in hand.
    Keep,
    /// It is new.
    Add,
    /// A new one takes its place, and what it has in hand.
    Replace,
    /// It goes.
    Remove,
}

/// What turns `from` into `to`.
pub fn plan(from: &Circuit, to: &Circuit) -> Plan {
    let place = |circuit: &Circuit| -> BTreeMap<String, usize> {
        circuit.gears.iter().enumerate().map(|(at, gear)| (gear.name.clone(), at)).collect()
    };
    let (old_places, new_places) = (place(from), place(to));
    let step = |gear: &CircuitGear, step, because| GearStep {
        gear: gear.name.clone(),
        kind: gear.kind.clone(),
        step,
        because,
    };
    let mut gears = Vec::new();
    for (at, gear) in to.gears.iter().enumerate() {
        gears.push(match old_places.get(&gear.name) {
            None => step(gear, Step::Add, Vec::new()),
            Some(&was) => match differences((from, was), (to, at)) {
                because if because.is_empty() => step(gear, Step::Keep, because),
                because => step(gear, Step::Replace, because),
            },
        });
    }
    let leaving = from.gears.iter().filter(|gear| !new_places.contains_key(&gear.name));
    gears.extend(leaving.map(|gear| step(gear, Step::Remove, Vec::new())));
    Plan { gears, wires: wire_steps(from, to) }
}

impl Plan {
    /// Whether nothing happens.
    pub fn is_empty(&self) -> bool {
        let steps = self.gears.iter().map(|gear| gear.step).chain(self.wires.iter().map(|wire| wire.step));
        steps.into_iter().all(|step| step == Step::Keep)
    }
}

/// Why the gear of one circuit cannot go on as the gear of another.
fn differences((from, was): (&Circuit, usize), (to, is): (&Circuit, usize)) -> Vec<String> {
    let (old, new) = (&from.gears[was], &to.gears[is]);
    let mut because = BTreeSet::new();
    let parts = [
        ("kind", old.kind != new.kind),
        ("ports", old.inputs != new.inputs || old.outputs != new.outputs),
        ("parallel", old.parallel != new.parallel),
        ("partition_by", old.partition_by != new.partition_by),
        // Whoever passes messages on or is an end itself does not choose among those that answer.
        ("bindings", new.terminus == Terminus::Opaque && from.bindings(was) != to.bindings(is)),
    ];
    because.extend(parts.iter().filter(|(_, differs)| *differs).map(|(part, _)| (*part).to_owned()));
    differing_paths("config", &old.config, &new.config, &mut because);
    let changed =
        new.files.iter().filter(|(path, digest)| old.files.get(*path).is_some_and(|was| was != *digest));
    because.extend(changed.map(|(path, _)| match has_reference(path) {
        true => path.clone(),
        false => format!("file {path}"),
    }));
    because.into_iter().collect()
}

/// The paths at which two configurations differ; a list is compared as a whole.
fn differing_paths(path: &str, old: &Json, new: &Json, into: &mut BTreeSet<String>) {
    match (old, new) {
        (Json::Object(old), Json::Object(new)) => {
            for key in old.keys().chain(new.keys()) {
                let (old, new) = (old.get(key).unwrap_or(&Json::Null), new.get(key).unwrap_or(&Json::Null));
                differing_paths(&format!("{path}.{key}"), old, new, into);
            }
        }
        _ if old != new => {
            into.insert(path.to_owned());
        }
        _ => {}
    }
}

/// A wire is known by its ends; the same wire in another lane, or with another promise, is replaced.
fn wire_steps(from: &Circuit, to: &Circuit) -> Vec<WireStep> {
    let ends = |circuit: &Circuit| -> Vec<_> {
        let named = circuit.wires.iter().map(|wire| {
            let (from, to) = circuit.written(wire);
            (from, to, (wire.lane, wire.durable))
        });
        named.collect()
    };
    let (old, new) = (ends(from), ends(to));
    let find = |wires: &[(String, String, _)], (from, to): (&String, &String)| {
        wires.iter().find(|wire| (&wire.0, &wire.1) == (from, to)).map(|wire| wire.2)
    };
    let mut steps = Vec::new();
    for (from, to, lane) in &new {
        let step = match find(&old, (from, to)) {
            None => Step::Add,
            Some(was) if was == *lane => Step::Keep,
            Some(_) => Step::Replace,
        };
        steps.push(WireStep { from: from.clone(), to: to.clone(), step });
    }
    for (from, to, _) in old.iter().filter(|(from, to, _)| find(&new, (from, to)).is_none()) {
        steps.push(WireStep { from: from.clone(), to: to.clone(), step: Step::Remove });
    }
    steps
}

impl Step {
    fn sign(self) -> char {
        match self {
            Step::Keep => '=',
            Step::Add => '+',
            Step::Replace => '~',
            Step::Remove => '-',
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for GearStep { gear, kind, step, because } in &self.gears {
            write!(f, "{} gear {gear} ({kind})", step.sign())?;
            if !because.is_empty() {
                write!(f, ": {}", because.join(", "))?;
            }
            writeln!(f)?;
        }
        for WireStep { from, to, step } in &self.wires {
            writeln!(f, "{} wire {from} -> {to}", step.sign())?;
        }
        let count = |wanted| self.gears.iter().filter(|gear| gear.step == wanted).count();
        let (kept, added) = (count(Step::Keep), count(Step::Add));
        let (replaced, removed) = (count(Step::Replace), count(Step::Remove));
        writeln!(f, "{kept} gears are kept, {added} added, {replaced} replaced, {removed} removed")
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::{Plan, plan};
    use crate::circuit::{Circuit, Fuse, compile};
    use crate::testing::catalog;

    fn circuit(text: &str) -> Circuit {
        let loaded = crate::load("t.yaml", &format!("meta: {{name: t, version: 1.0.0}}\n{text}"));
        compile(&loaded.scenario, None, &catalog(), Fuse::On)
            .unwrap_or_else(|report| panic!("{}", report.render(false)))
    }

    fn between(from: &str, to: &str) -> Plan {
        plan(&circuit(from), &circuit(to))
    }

    fn check(from: &str, to: &str, expected: Expect) {
        let plan = between(from, to);
        assert!(!plan.is_empty());
        expected.assert_eq(&plan.to_string());
    }

    const LINE: &str = "
gears:
  - {name: line, type: tcp, config: {bind: ':9000'}}
  - {name: read, type: codec, config: {spec: base}}
  - {name: tap, type: log}
wires:
  - {from: line.out, to: read.in}
  - {from: read.out, to: tap.in}
";

    #[test]
    fn the_same_circuit_needs_nothing() {
        assert!(between(LINE, LINE).is_empty());
        let in_another_order = LINE
            .replace("  - {name: tap, type: log}\n", "")
            .replace("gears:\n", "gears:\n  - {name: tap, type: log}\n");
        assert!(between(LINE, &in_another_order).is_empty());
    }

    #[test]
    fn a_changed_setting_replaces_its_gear_alone_and_shows_no_value() {
        check(
            &LINE.replace("':9000'", "':9000', tls: {key_file: k, password: 'old secret'}"),
            &LINE.replace("':9000'", "':9001', tls: {key_file: k, password: 'new secret'}"),
            expect![[r#"
                ~ gear line (tcp): config.bind, config.tls.password
                = gear read (codec)
                = gear tap (log)
                = wire line.out -> read.in
                = wire read.out -> tap.in
                2 gears are kept, 0 added, 1 replaced, 0 removed
            "#]],
        );
    }

    #[test]
    fn a_file_with_another_content_replaces_the_gear_that_reads_it() {
        let (mut old, mut new) = (circuit(LINE), circuit(LINE));
        for (circuit, digest) in [(&mut old, 1), (&mut new, 2)] {
            circuit.gears[1].files =
                [("base.yaml".into(), [7; 32]), ("more.yaml".into(), [digest; 32])].into();
        }
        let because = |plan: Plan| plan.gears.into_iter().flat_map(|gear| gear.because).collect::<Vec<_>>();
        assert_eq!(because(plan(&old, &new)), ["file more.yaml"]);
        assert!(plan(&new, &new.clone()).is_empty());
    }

    #[test]
    fn a_gear_in_between_leaves_the_others_as_they_are() {
        check(
            LINE,
            &LINE.replace("wires:", "  - {name: more, type: call}\nwires:").replace(
                "{from: read.out, to: tap.in}",
                "{from: read.out, to: more.in}\n  - {from: more.out, to: tap.in}",
            ),
            expect![[r#"
                = gear line (tcp)
                = gear read (codec)
                = gear tap (log)
                + gear more (call)
                = wire line.out -> read.in
                + wire read.out -> more.in
                + wire more.out -> tap.in
                - wire read.out -> tap.in
                3 gears are kept, 1 added, 0 replaced, 0 removed
            "#]],
        );
    }

    #[test]
    fn another_gear_that_answers_is_another_binding() {
        let switch = "
gears:
  - {name: in, type: tcp}
  - {name: sw, type: switch, config: {routes: [{name: all, destination: a}]}}
  - {name: one, type: tcp, config: {mode: client, connect: 'a:1'}}
  - {name: two, type: tcp, config: {mode: client, connect: 'b:1'}}
wires:
  - {from: in.out, to: sw.in}
  - {from: sw.out_a, to: one.in}
  - {from: sw.out_response, to: in.in}
  - {from: two.out, to: sw.in_reply}
";
        check(
            switch,
            &switch.replace("to: one.in", "to: two.in").replace("from: two.out", "from: one.out"),
            expect![[r#"
                = gear in (tcp)
                ~ gear sw (switch): bindings
                = gear one (tcp)
                = gear two (tcp)
                = wire in.out -> sw.in
                + wire sw.out_a -> two.in
                = wire sw.out_response -> in.in
                + wire one.out -> sw.in_reply
                - wire sw.out_a -> one.in
                - wire two.out -> sw.in_reply
                3 gears are kept, 0 added, 1 replaced, 0 removed
            "#]],
        );
    }

    #[test]
    fn a_kind_of_another_shape_is_replaced_and_what_is_gone_is_removed() {
        check(
            LINE,
            "
gears:
  - {name: line, type: tcp, config: {bind: ':9000'}}
  - {name: read, type: log}
wires:
  - {from: line.out, to: read.in}
",
            expect![[r#"
                = gear line (tcp)
                ~ gear read (log): config.spec, kind, ports
                - gear tap (log)
                = wire line.out -> read.in
                - wire read.out -> tap.in
                1 gears are kept, 0 added, 1 replaced, 1 removed
            "#]],
        );
    }
}
