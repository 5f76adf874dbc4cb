//! How the lives of a rack go: what is done to it, when, and how each ends.

use crate::chance::Chance;
use crate::plan::{Act, Life, LifeEnd, Plan};

/// One life at least ends in a crash under load, and a reload comes before it.
pub(super) fn draw(chance: &Chance, plan: &Plan) -> Vec<Life> {
    let (load, all) = (plan.messages() * 2, plan.messages() * 6);
    let mut lives = Vec::new();
    for number in 0..chance.pick(&[1, 1, 1, 2, 3]) {
        let events = chance.between(1..=if number == 0 { load } else { all });
        let end = match chance.between(0..=7) {
            // An odd one is between a write and its sync, most of the time.
            _ if number == 0 => LifeEnd::Crash { events, writes: 1 + 2 * chance.skewed(8) },
            0..=2 => LifeEnd::Crash { events, writes: chance.between(0..=20) },
            3 | 4 => LifeEnd::Kill { events },
            _ => LifeEnd::Drain { events },
        };
        lives.push(life(chance, plan, end));
    }
    let events = chance.between(1..=all);
    lives.push(life(
        chance,
        plan,
        if chance.one_in(4) { LifeEnd::Drain { events } } else { LifeEnd::Finish },
    ));
    chance.shuffle_all_but_last(&mut lives);
    lives
}

fn life(chance: &Chance, plan: &Plan, end: LifeEnd) -> Life {
    let last = end.events().unwrap_or(plan.messages() * 6);
    let sound: Vec<usize> =
        (0..plan.versions.len()).filter(|&at| plan.versions[at].broken.is_none()).collect();
    let mut acts = Vec::new();
    let least = u32::from(matches!(end, LifeEnd::Crash { .. }));
    for _ in 0..least + chance.pick(&[0, 0, 1, 2]) {
        let events = match chance.between(0..=5) {
            0 => 0,
            1 => last.saturating_sub(chance.skewed(30)),
            _ => chance.between(0..=last),
        };
        let to = chance.between(0..=plan.versions.len() as u32 - 1) as usize;
        acts.push((events, Act::Reload(to)));
        if chance.one_in(4) {
            acts.push((events + chance.skewed(20), Act::Reload(chance.pick(&sound))));
        }
    }
    for _ in 0..chance.pick(&[0, 0, 1, 2]) {
        acts.push((chance.between(0..=last), mishap(chance, end)));
    }
    acts.sort_by_key(|(events, _)| *events);
    Life { version: chance.pick(&sound), acts, end }
}

fn mishap(chance: &Chance, end: LifeEnd) -> Act {
    match chance.between(0..=6) {
        0 | 1 => Act::FailSyncs(chance.between(1..=3)),
        2 | 3 => Act::Fill(chance.between(1..=2_000)),
        4 | 5 => Act::Slow(chance.between(1..=20)),
        // It matters only to who is not asked before it ends.
        _ if end.is_sudden() => Act::Lie,
        _ => Act::FailSyncs(1),
    }
}
