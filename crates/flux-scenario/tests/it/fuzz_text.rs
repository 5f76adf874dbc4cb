//! Any text: a scenario or an error with a place, never a panic, never a picture of something that did not check.

use flux_scenario::{Circuit, Fuse, Loaded, compile, graph, load};
use proptest::prelude::*;

use crate::catalog::catalog;

/// Replays the committed corpus; under `cargo bolero test fuzz_text::yaml` it is a fuzz target.
#[test]
fn yaml() {
    bolero::check!().with_iterations(0).for_each(|input: &[u8]| hold_the_laws("a.yaml", input));
}

/// Replays the committed corpus; under `cargo bolero test fuzz_text::toml` it is a fuzz target.
#[test]
fn toml() {
    bolero::check!().with_iterations(0).for_each(|input: &[u8]| hold_the_laws("fluxrig.toml", input));
}

#[test]
fn the_corpora_are_there() {
    for target in ["yaml", "toml"] {
        let corpus = format!("{}/tests/it/__fuzz__/fuzz_text__{target}/corpus", env!("CARGO_MANIFEST_DIR"));
        assert!(std::fs::read_dir(corpus).unwrap().count() >= 12, "{target}");
    }
}

fn hold_the_laws(name: &str, input: &[u8]) {
    let loaded = load(name, input);
    places_are_inside(&loaded, &String::from_utf8_lossy(input));
    let (on, off) = (compiled(&loaded, Fuse::On), compiled(&loaded, Fuse::Off));
    assert_eq!(on.is_some(), off.is_some());
    if let (Some(on), Some(off)) = (on, off) {
        circuits_agree(&on, &off);
        assert!(graph::svg(name, &on).ends_with("</svg>\n"));
        assert!(graph::mermaid(name, &on).contains("flowchart"));
    }
}

fn places_are_inside(loaded: &Loaded, text: &str) {
    let report = loaded.check(&catalog());
    let lines = text.lines().count().max(1);
    for issue in report.issues() {
        let place = report.position(issue);
        assert!(place.line >= 1 && place.line <= lines + 1 && place.column >= 1);
        assert!(!issue.message.chars().any(char::is_control));
    }
    let shown = report.render(false);
    assert_eq!(shown.is_empty(), report.is_empty());
    assert_eq!(report.to_json().len(), report.issues().len());
}

fn compiled(loaded: &Loaded, fuse: Fuse) -> Option<Circuit> {
    // Even what is left of a file with problems of form either compiles or says why not.
    if let Err(report) = compile(&loaded.scenario, None, &catalog(), fuse) {
        assert!(report.has_errors());
    }
    match loaded.compile(None, &catalog(), fuse) {
        Ok(circuit) => Some(circuit),
        Err(report) => {
            assert!(report.has_errors(), "a refusal has a reason");
            None
        }
    }
}

/// Fusing changes who calls whom, never what is connected.
fn circuits_agree(on: &Circuit, off: &Circuit) {
    let ends = |circuit: &Circuit| {
        circuit.wires.iter().map(|wire| (wire.from.clone(), wire.to.clone())).collect::<Vec<_>>()
    };
    assert_eq!(ends(on), ends(off));
    assert_eq!(on.drain_order, off.drain_order);
    for circuit in [on, off] {
        let mut members: Vec<usize> = circuit.segments.concat();
        members.sort_unstable();
        assert_eq!(members, (0..circuit.gears.len()).collect::<Vec<_>>(), "each gear is in one segment");
        for wire in circuit.wires.iter().filter(|wire| wire.fused) {
            let (from, to) = wire.inner().expect("a call stays in its rack");
            let segment = circuit.gears[from].segment;
            assert_eq!(segment, circuit.gears[to].segment, "a call stays in its task");
            let place = |gear| circuit.segments[segment].iter().position(|&other| other == gear);
            assert!(place(from) < place(to), "a segment is in topological order");
        }
    }
}

/// Pieces of YAML and TOML, right and wrong, that make deeper ways through the reader likely.
fn pieces() -> impl Strategy<Value = String> {
    let words = [
        "meta: {name: a, version: 1.0.0}\n",
        "gears:\n",
        "  - {name: a, type: io}\n",
        "  - {name: b, type: switch, config: {to: {all: [x, y]}}}\n",
        "wires:\n",
        "  - {from: a.out, to: b.in}\n",
        "  - {from: b.out_x, to: a.in}\n",
        "racks: [{name: r}, {group: g}]\n",
        "deploy: r",
        "&x ",
        "*x ",
        "!!t ",
        "<<: ",
        "- ",
        "\t",
        "? ",
        "|\n",
        ">-\n  ",
        "---\n",
        "...\n",
        "é\u{2028}\u{feff}",
        "\"\\u0000\\x1b\"",
        "[gears.a]\nspec = \"io\"\n",
        "config = { mode = \"server\" }\n",
        "[bus.routes.a]\ntargets = [\"b\"]\n",
        "[rack]\nthreads = 5\n",
        "[[a.b]]\n",
        "\"a.b\" = '''x'''\n",
        "[",
        "]",
        "{",
        "}",
        ": ",
        "\n",
        "\r\n",
        ", ",
        "'",
        "#",
        "0x1",
        "1e999",
        "-0",
    ];
    let piece = prop_oneof![
        4 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes(input in proptest::collection::vec(any::<u8>(), 0..400)) {
        hold_the_laws("a.yaml", &input);
        hold_the_laws("fluxrig.toml", &input);
    }

    #[test]
    fn any_pieces(input in pieces()) {
        hold_the_laws("a.yaml", input.as_bytes());
        hold_the_laws("fluxrig.toml", input.as_bytes());
    }
}
