//! A scenario made at random is read back as it was meant, from YAML and from TOML alike.

use std::collections::BTreeSet;
use std::fmt::Write;

use flux_scenario::{Fuse, compile, load};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::catalog::catalog;

/// A scenario that checks: gears in a row, wires only forward, each at most once.
#[derive(Clone, Debug)]
struct Plan {
    gears: Vec<Gear>,
    wires: BTreeSet<(usize, usize)>,
}

#[derive(Clone, Debug)]
struct Gear {
    kind: &'static str,
    doc: Option<String>,
    label: String,
    branches: usize,
}

impl Gear {
    fn config(&self) -> Value {
        match self.kind {
            "switch" => {
                let branches: Vec<String> = (0..self.branches).map(|n| format!("b{n}")).collect();
                json!({ "to": { "all": branches } })
            }
            _ => json!({}),
        }
    }

    fn output(&self) -> &'static str {
        if self.kind == "switch" { "out_b0" } else { "out" }
    }
}

impl Plan {
    fn name(&self, gear: usize) -> String {
        format!("g{gear}")
    }

    fn ends(&self, (from, to): (usize, usize)) -> (String, String) {
        (format!("{}.{}", self.name(from), self.gears[from].output()), format!("{}.in", self.name(to)))
    }

    /// JSON is YAML, so a serialiser is at hand.
    fn yaml(&self) -> String {
        let gears = self.gears.iter().enumerate().map(|(index, gear)| {
            let mut json = json!({
                "name": self.name(index), "type": gear.kind, "config": gear.config(),
                "labels": { "l": gear.label },
            });
            if let Some(doc) = &gear.doc {
                json["doc"] = doc.as_str().into();
            }
            json
        });
        let wires = self.wires.iter().map(|&wire| {
            let (from, to) = self.ends(wire);
            json!({ "from": from, "to": to })
        });
        json!({
            "meta": { "name": "t", "version": "1.0.0" },
            "gears": gears.collect::<Vec<_>>(),
            "wires": wires.collect::<Vec<_>>(),
        })
        .to_string()
    }

    fn toml(&self) -> String {
        let mut text = String::from("[base]\nname = \"t\"\n");
        for (index, gear) in self.gears.iter().enumerate() {
            let name = self.name(index);
            writeln!(text, "[gears.{name}]\nspec = {:?}", gear.kind).unwrap();
            if gear.kind == "switch" {
                writeln!(text, "config = {{ to = {{ all = {} }} }}", gear.config()["to"]["all"]).unwrap();
            }
            writeln!(text, "labels = {{ l = {} }}", toml_text(&gear.label)).unwrap();
            if let Some(doc) = &gear.doc {
                writeln!(text, "doc = {}", toml_text(doc)).unwrap();
            }
        }
        for (index, &wire) in self.wires.iter().enumerate() {
            let (from, to) = self.ends(wire);
            writeln!(text, "[bus.routes.w{index}]\nfrom = {from:?}\ntargets = [{to:?}]").unwrap();
        }
        text
    }
}

/// A basic TOML string with everything but letters and digits escaped.
fn toml_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else {
            write!(out, "\\U{:08X}", u32::from(c)).unwrap();
        }
    }
    out + "\""
}

fn plan() -> impl Strategy<Value = Plan> {
    let gear = (
        proptest::sample::select(vec!["io", "codec", "switch"]),
        proptest::option::of(any::<String>()),
        any::<String>(),
        1_usize..4,
    )
        .prop_map(|(kind, doc, label, branches)| Gear { kind, doc, label, branches });
    proptest::collection::vec(gear, 1..8).prop_flat_map(|gears| {
        let count = gears.len();
        let wires = proptest::collection::btree_set((0..count, 0..count), 0..12)
            .prop_map(|wires| wires.into_iter().filter(|(from, to)| from < to).collect());
        (Just(gears), wires).prop_map(|(gears, wires)| Plan { gears, wires })
    })
}

proptest! {
    #[test]
    fn both_forms_read_back(plan in plan()) {
        let (yaml, toml) = (load("t.yaml", &plan.yaml()), load("t.toml", &plan.toml()));
        for loaded in [&yaml, &toml] {
            let report = loaded.check(&catalog());
            prop_assert!(!report.has_errors(), "{}", report.render(false));
            prop_assert_eq!(loaded.scenario.gears.len(), plan.gears.len());
            for (index, (read, meant)) in loaded.scenario.gears.iter().zip(&plan.gears).enumerate() {
                prop_assert_eq!(&*read.name, &plan.name(index));
                prop_assert_eq!(read.kind.as_str(), meant.kind);
                prop_assert_eq!(read.config.to_json(), meant.config());
                prop_assert_eq!(&read.doc, &meant.doc);
                prop_assert_eq!(&read.labels["l"], &meant.label);
            }
            let wires: Vec<(String, String)> = loaded
                .scenario
                .wires
                .iter()
                .map(|wire| (wire.from.to_string(), wire.to.to_string()))
                .collect();
            let meant: Vec<(String, String)> = plan.wires.iter().map(|&wire| plan.ends(wire)).collect();
            prop_assert_eq!(wires, meant);
        }
        let circuit = |loaded: &flux_scenario::Loaded| {
            let mut circuit = compile(&loaded.scenario, None, &catalog(), Fuse::On).unwrap();
            circuit.wires.iter_mut().for_each(|wire| wire.id.clear());
            circuit
        };
        prop_assert_eq!(circuit(&yaml), circuit(&toml));
    }
}
