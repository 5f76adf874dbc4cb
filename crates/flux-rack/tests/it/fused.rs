//! Fused or not, a circuit does the same: the same messages at each sink, in the same order.

use proptest::prelude::*;
use serde_json::json;

use crate::harness::{Plan, text, within};

/// A tree of gears: each has one wire in, so order at each sink is fully determined.
#[derive(Debug, Clone)]
struct Tree {
    /// The kind of each gear, and which earlier gear it hangs on.
    gears: Vec<(Kind, usize)>,
    texts: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Pass,
    Twice,
    Moody,
}

fn tree() -> impl Strategy<Value = Tree> {
    let kind = prop_oneof![Just(Kind::Pass), Just(Kind::Twice), Just(Kind::Moody)];
    let gears = prop::collection::vec((kind, any::<prop::sample::Index>()), 1..7);
    let text = prop_oneof![4 => "[a-z]{1,3}", 1 => Just("invalid".into()), 1 => Just("transient:2".into()), 1 => Just("wait:1".into()), 1 => Just("stray".into())];
    (gears, prop::collection::vec(text, 1..20)).prop_map(|(gears, texts)| Tree {
        gears: gears.into_iter().enumerate().map(|(at, (kind, on))| (kind, on.index(at + 1))).collect(),
        texts,
    })
}

/// What arrives at the sink of each gear, and the reasons of the dead letters.
async fn run(tree: &Tree, fuse: bool) -> (Vec<Vec<String>>, Vec<(String, flux_signal::Text)>) {
    let mut plan = Plan::new(fuse).gear("g0", "source", json!({"texts": tree.texts, "batch": 5}));
    for (at, (kind, on)) in tree.gears.iter().enumerate() {
        let (name, sink) = (format!("g{}", at + 1), format!("s{}", at + 1));
        let word = match kind {
            Kind::Pass => "pass",
            Kind::Twice => "twice",
            Kind::Moody => "moody",
        };
        plan = plan
            .gear(&name, word, json!({}))
            .gear(&sink, "sink", json!({}))
            .wire(&format!("g{on}.out"), &format!("{name}.in"))
            .wire(&format!("{name}.out"), &format!("{sink}.in"));
    }
    let running = plan.boot().await;
    let (letters, arrived) = (running.rack.dead_letters().clone(), running.arrived.clone());
    let report = within(running.finish_after(tree.texts.len() as u64)).await;
    assert_eq!(report.left, [], "{report:?}");
    let at_sink = |at: usize| arrived.now(&format!("s{at}")).iter().map(|msg| text(&msg.payload)).collect();
    let mut dead: Vec<_> = letters
        .take(usize::MAX)
        .into_iter()
        .map(|letter| (letter.gear.clone(), letter.reason.clone()))
        .collect();
    dead.sort();
    ((1..=tree.gears.len()).map(at_sink).collect(), dead)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn fused_and_unfused_agree(tree in tree()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (fused, unfused) = runtime.block_on(async { (run(&tree, true).await, run(&tree, false).await) });
        prop_assert_eq!(fused, unfused);
    }
}
