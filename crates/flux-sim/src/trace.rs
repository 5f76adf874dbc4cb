//! What happened, as a hash always and as lines when somebody reads them.

use std::fmt;

use crate::plan::{Act, LineFault};

/// Lines kept of a run that somebody reads.
const LINES_MAX: usize = 20_000;

/// One thing that happened.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    Boots { life: usize },
    Emits { feed: usize, n: u32 },
    Accepted { feed: usize, n: u32 },
    Settled { feed: usize, n: u32 },
    Abandoned { feed: usize, n: u32 },
    Enters { gear: usize, feed: usize, n: u32 },
    Fails { gear: usize, feed: usize, n: u32 },
    Arrives { gear: usize, feed: usize, n: u32 },
    Dead { gear: usize, feed: usize, n: u32 },
    Crashes,
    Killed,
    Drains,
    Drained { is_clean: bool },
    Reloads { to: usize },
    Reloaded { is_done: bool },
    Mishap { act: Act },
}

#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(is_read: bool) -> Trace {
        Trace { hash: 0, lines: is_read.then(Vec::new) }
    }

    pub(crate) fn note(&mut self, at_ns: u64, event: Event) {
        let words = event.words();
        for word in words.into_iter().chain([at_ns]) {
            self.hash = mix(self.hash ^ word);
        }
        if let Some(lines) = &mut self.lines
            && lines.len() < LINES_MAX
        {
            lines.push(format!("{:>14.6} ms  {event}", at_ns as f64 / 1e6));
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}

impl Event {
    fn words(self) -> [u64; 2] {
        let of = |kind: u64, gear: usize, feed: usize, n: u32| {
            [kind << 32 | (gear as u64) << 16 | feed as u64, n.into()]
        };
        match self {
            Event::Boots { life } => of(1, 0, life, 0),
            Event::Emits { feed, n } => of(2, 0, feed, n),
            Event::Accepted { feed, n } => of(3, 0, feed, n),
            Event::Settled { feed, n } => of(4, 0, feed, n),
            Event::Abandoned { feed, n } => of(5, 0, feed, n),
            Event::Enters { gear, feed, n } => of(6, gear, feed, n),
            Event::Fails { gear, feed, n } => of(7, gear, feed, n),
            Event::Arrives { gear, feed, n } => of(8, gear, feed, n),
            Event::Dead { gear, feed, n } => of(9, gear, feed, n),
            Event::Crashes => of(10, 0, 0, 0),
            Event::Drains => of(11, 0, 0, 0),
            Event::Drained { is_clean } => of(12, 0, is_clean.into(), 0),
            Event::Killed => of(13, 0, 0, 0),
            Event::Reloads { to } => of(14, 0, to, 0),
            Event::Reloaded { is_done } => of(15, 0, is_done.into(), 0),
            Event::Mishap { act } => match act {
                Act::Reload(to) => of(16, 0, to, 0),
                Act::FailSyncs(times) => of(17, 0, 0, times),
                Act::Fill(ms) => of(18, 0, 0, ms),
                Act::Slow(ms) => of(19, 0, 0, ms),
                Act::Lie => of(20, 0, 0, 0),
                Act::Line(LineFault::Reset) => of(21, 0, 0, 0),
                Act::Line(LineFault::Unplug) => of(21, 1, 0, 0),
                Act::Line(LineFault::Part(ms)) => of(21, 2, 0, ms),
                Act::Line(LineFault::Refuse(ms)) => of(21, 3, 0, ms),
                Act::Line(LineFault::Deaf(ms)) => of(21, 4, 0, ms),
                Act::Line(LineFault::Slow(ms)) => of(21, 5, 0, ms),
            },
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Boots { life } => write!(f, "life {life} begins"),
            Event::Emits { feed, n } => write!(f, "g{feed} emits #{n}"),
            Event::Accepted { feed, n } => write!(f, "g{feed} #{n} is accepted"),
            Event::Settled { feed, n } => write!(f, "g{feed} #{n} is settled"),
            Event::Abandoned { feed, n } => write!(f, "g{feed} #{n} is abandoned"),
            Event::Enters { gear, feed, n } => write!(f, "g{feed} #{n} enters g{gear}"),
            Event::Fails { gear, feed, n } => write!(f, "g{feed} #{n} fails in g{gear}"),
            Event::Arrives { gear, feed, n } => write!(f, "g{feed} #{n} arrives at g{gear}"),
            Event::Dead { gear, feed, n } => write!(f, "g{feed} #{n} is a dead letter of g{gear}"),
            Event::Crashes => f.write_str("the machine crashes"),
            Event::Killed => f.write_str("the process is killed"),
            Event::Reloads { to } => write!(f, "version {to} is to go live"),
            Event::Reloaded { is_done: true } => f.write_str("it is live"),
            Event::Reloaded { is_done: false } => f.write_str("it is refused"),
            Event::Mishap { act } => write!(f, "mishap: {act:?}"),
            Event::Drains => f.write_str("the rack is drained"),
            Event::Drained { is_clean: true } => f.write_str("the drain ends, clean"),
            Event::Drained { is_clean: false } => f.write_str("the drain ends, not clean"),
        }
    }
}

fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
