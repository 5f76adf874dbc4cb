//! The bugs that are planted in the engine, and how soon the oracle sees each.

use std::fmt;

use crate::hunt::{Found, Hunt};

/// Bugs by the names they have in the engine, each with the rule it breaks there.
pub const BUGS: [(&str, &str); 21] = [
    ("sync_left_out", "the journal says that it synced and did not"),
    ("torn_body_taken", "a record counts as whole whatever its check says"),
    ("cursor_forgotten_at_close", "a journal closes without the last positions of its readers"),
    ("trimmed_unread", "a segment goes before all of it is settled"),
    ("cursor_runs_ahead", "settling one record settles all before it"),
    ("told_before_safe", "a sender is told of safety when the journal has taken a message"),
    ("unsafe_not_appended_again", "what was not safe is forgotten when a journal is opened again"),
    ("given_up_counts_as_done", "a durable wire takes a message that was given up for one that is done"),
    ("wire_forgets_what_is_out", "a wire that comes back delivers what its receiver still has"),
    ("dedupe_lets_all_through", "a wire with dedupe delivers what was sent twice"),
    ("keys_scattered", "messages of a key go to several instances"),
    ("letter_settled_before_kept", "a message counts as dealt with before its dead letter is kept"),
    ("full_letters_dropped", "a dead letter that finds no room is dropped"),
    ("reload_wakes_nobody", "a segment is not told what waits in the wires it gets"),
    ("refused_reload_stands_still", "after a refused reload the gears do not go on"),
    ("waiting_left_behind", "what waited for a gear is not left to the one in its place"),
    ("in_hand_left_behind", "what a client has not had acknowledged is not left to the one in its place"),
    ("parted_too_soon", "a client takes the place of another before that has had all acknowledged"),
    ("failed_overtaken", "messages behind one that fails overtake those before it"),
    ("message_blamed_at_once", "a message is at fault at the first failure of its gear"),
    ("drain_without_deadline", "a drain waits a hundred times as long as it may"),
];

/// Seeds within which each has to be found.
pub const SEEDS_MAX: u64 = 1_000;

/// What became of a planted bug.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Hunted {
    /// Its name.
    pub bug: &'static str,
    /// What it does.
    pub breaks: &'static str,
    /// The first seed that shows it, if one does.
    pub found: Option<Found>,
}

/// Plants one bug after the other and looks for each.
pub fn hunt_planted(mut tell: impl FnMut(&Hunted)) -> Vec<Hunted> {
    let hunt = Hunt { first: 0, seeds: SEEDS_MAX, time: None, violations_max: 1 };
    BUGS.into_iter()
        .map(|(bug, breaks)| {
            let sum = hunt.run(|| flux_world::plant(Some(bug)));
            let hunted = Hunted { bug, breaks, found: sum.violations.into_iter().next() };
            tell(&hunted);
            hunted
        })
        .collect()
}

impl fmt::Display for Hunted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Some(Found { seed, violation }) => {
                write!(f, "{:<28} seed {seed:>4}: {}", self.bug, violation.rule)
            }
            None => write!(f, "{:<28} not found: {}", self.bug, self.breaks),
        }
    }
}
