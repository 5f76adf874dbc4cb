//! Whole racks in a simulated world, one seed after another, before an oracle.
//!
//! Invariant: a seed is the whole input. It draws a [`Plan`] (topology, load, troubles, crashes); running a plan draws
//! nothing but what the simulated world draws, on one thread with a paused clock. So a violation is two numbers and a rule,
//! and a plan that shows one can be made smaller by running parts of it.
//!
//! ```text
//! seed --draw--> Plan --run--> Outcome (violations, coverage, hash)
//!                  ^             |
//!                  +---shrink----+
//! ```

mod chance;
mod coverage;
mod draw;
mod expect;
mod far_end;
mod gears;
mod house;
mod hunt;
mod judge;
mod ledger;
mod panics;
mod payload;
pub mod plan;
#[cfg(feature = "planted")]
mod planted;
mod rules;
mod run;
mod scenario;
mod shift;
mod shrink;
mod trace;

pub use coverage::Coverage;
pub use draw::draw;
pub use hunt::{Found, Hunt, Sum};
pub use plan::Plan;
#[cfg(feature = "planted")]
pub use planted::{BUGS, Hunted, SEEDS_MAX, hunt_planted};
pub use rules::{Rule, Violation};
pub use run::{Outcome, run, run_traced};
pub use scenario::text;
pub use shrink::shrink;
