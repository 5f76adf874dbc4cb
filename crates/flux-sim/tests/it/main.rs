//! The simulation itself: a seed repeats, a handful of them hold, and each has what a seed must have.

use flux_sim::plan::{Act, LifeEnd};
use flux_sim::{draw, run, run_traced};

#[test]
fn a_seed_replays_itself() {
    for seed in 0..12 {
        let plan = draw(seed);
        assert_eq!(draw(seed), plan, "seed {seed}");
        assert_eq!(run(&plan), run(&plan), "seed {seed}");
    }
    let plan = draw(12);
    let (once, again) = (run_traced(&plan), run_traced(&plan));
    assert_eq!(once.lines, again.lines, "event by event, each at its time");
}

#[test]
fn another_seed_is_another_run() {
    assert_ne!(run(&draw(1)).hash, run(&draw(2)).hash);
}

#[test]
fn every_seed_has_what_a_seed_must_have() {
    for seed in 0..3_000 {
        let plan = draw(seed);
        assert!(plan.messages() >= 1_000 && plan.gears.len() >= 3, "seed {seed}");
        assert!(plan.wires.iter().any(|wire| wire.durable.is_some()), "seed {seed}");
        assert!(plan.is_sound(), "seed {seed}");
        let mut crashes = plan.lives.iter().filter(|life| matches!(life.end, LifeEnd::Crash { .. }));
        assert!(crashes.next().is_some(), "seed {seed}");
        let mut acts = plan.lives.iter().flat_map(|life| &life.acts);
        assert!(acts.any(|(_, act)| matches!(act, Act::Reload(_))), "seed {seed}");
    }
}

#[test]
fn a_few_seeds_hold() {
    for seed in 100..120 {
        assert_eq!(run(&draw(seed)).violations, [], "seed {seed}");
    }
}

#[test]
fn what_waits_follows_its_key_when_the_number_of_instances_changes() {
    for seed in [17_037, 20_947, 41_445, 43_439] {
        assert_eq!(run(&draw(seed)).violations, [], "seed {seed}");
    }
}
