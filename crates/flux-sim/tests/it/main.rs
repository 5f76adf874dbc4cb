//! The simulation itself: a seed repeats, and a handful of them hold.

use flux_sim::{draw, run};

#[test]
fn a_seed_replays_itself() {
    for seed in 0..12 {
        let plan = draw(seed);
        assert_eq!(draw(seed), plan, "seed {seed}");
        assert_eq!(run(&plan), run(&plan), "seed {seed}");
    }
}

#[test]
fn another_seed_is_another_run() {
    assert_ne!(run(&draw(1)).hash, run(&draw(2)).hash);
}

#[test]
fn a_few_seeds_hold() {
    for seed in 100..130 {
        let plan = draw(seed);
        assert!(plan.messages() >= 1_000 && plan.gears.len() >= 3, "seed {seed}");
        assert_eq!(run(&plan).violations, [], "seed {seed}");
    }
}
