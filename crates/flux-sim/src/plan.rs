//! What one seed does, as data: the gears and wires, the load, the troubles, and how each life of the rack ends.
//!
//! A plan is complete: running it draws nothing more but what the simulated world draws from `world_seed`. So a plan
//! can be made smaller, part by part, while it still shows the same violation.

use std::collections::BTreeMap;

/// Everything that happens in one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Seeds the simulated world: jitter, latencies, what a crash leaves of unsynced writes.
    pub world_seed: u64,
    /// The gears; a gear is named by its place here.
    pub gears: Vec<GearPlan>,
    /// The wires between them.
    pub wires: Vec<WirePlan>,
    /// What goes wrong when a gear gets a message.
    pub troubles: BTreeMap<At, Trouble>,
    /// The settings of the rack.
    pub knobs: Knobs,
    /// The lives of the rack, one after the other; the last ends without a crash.
    pub lives: Vec<Life>,
}

/// A gear and what it does.
#[derive(Debug, Clone, PartialEq)]
pub enum GearPlan {
    /// Emits messages of its own.
    Feed(FeedPlan),
    /// Emits requests and takes their replies.
    Caller(FeedPlan),
    /// Passes on: as it is, or with its mark.
    Work {
        /// Whether it puts its mark on what it passes on.
        marks: bool,
        /// Its instances; more than one share the work by key.
        parallel: u16,
    },
    /// Sends odd numbers to one port and even ones to the other, marked.
    Fork,
    /// Keeps what arrives.
    Shelf,
}

/// What a source emits.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedPlan {
    /// Messages in all.
    pub messages: u32,
    /// Messages per emission.
    pub burst: u32,
    /// Wait after each burst.
    pub pause_us: u32,
    /// Longest body.
    pub bytes_max: u16,
    /// Different partition keys.
    pub keys: u8,
    /// Whether a message counts as accepted when its receipt settles; otherwise when it is emitted.
    pub is_tracked: bool,
    /// Whether what was not accepted before a crash is sent again after it.
    pub resends: bool,
}

/// A wire, by the places of its gears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WirePlan {
    /// The sending gear.
    pub from: usize,
    /// Its port.
    pub port: &'static str,
    /// The receiving gear.
    pub to: usize,
    /// Whether it goes through a journal.
    pub is_durable: bool,
}

/// A message at a gear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// The gear, by its place.
    pub gear: usize,
    /// The source of the message, by its place.
    pub feed: usize,
    /// Its number there.
    pub n: u32,
}

/// What goes wrong with one message in one gear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// An invalid fault.
    Invalid,
    /// Transient faults, so many times.
    Transient(u32),
    /// A transient fault each time.
    TransientAlways,
    /// A fatal fault the first time.
    FatalOnce,
    /// A fatal fault each time.
    FatalAlways,
    /// A panic the first time.
    PanicOnce,
    /// A panic each time.
    PanicAlways,
    /// The gear waits for so many milliseconds.
    Wait(u32),
    /// The gear waits longer than it may.
    WaitTooLong,
}

/// The settings of the rack that differ from run to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Knobs {
    /// Whether gears share tasks.
    pub fuse: bool,
    /// `rack.lane_queue_size`.
    pub queue_messages: u32,
    /// `rack.batch_messages_max`.
    pub batch_messages: u32,
    /// `rack.retry.attempts`.
    pub attempts: u32,
    /// `rack.dead_letters_max`.
    pub dead_letters: u32,
    /// `rack.drain_timeout`, in milliseconds.
    pub drain_ms: u32,
    /// How long the disk takes for a sync, in microseconds.
    pub sync_us: u32,
}

/// One life of the rack, from boot to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Life {
    /// How it ends.
    pub end: LifeEnd,
}

/// How a life of the rack ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifeEnd {
    /// The machine stops at the so-manieth event of this life.
    Crash {
        /// Events before it.
        events: u32,
    },
    /// The rack is drained at the so-manieth event of this life, under load.
    Drain {
        /// Events before it.
        events: u32,
    },
    /// The rack is drained once everything has come to its end.
    Finish,
}

impl Plan {
    /// The wires that leave a port.
    pub fn wires_from(&self, gear: usize, port: &str) -> impl Iterator<Item = &WirePlan> {
        self.wires.iter().filter(move |wire| wire.from == gear && wire.port == port)
    }

    /// What a gear emits of its own, if it does.
    pub fn feed(&self, gear: usize) -> Option<&FeedPlan> {
        match &self.gears[gear] {
            GearPlan::Feed(feed) | GearPlan::Caller(feed) => Some(feed),
            GearPlan::Work { .. } | GearPlan::Fork | GearPlan::Shelf => None,
        }
    }

    /// Messages that all sources emit together.
    pub fn messages(&self) -> u32 {
        (0..self.gears.len()).filter_map(|gear| self.feed(gear)).map(|feed| feed.messages).sum()
    }
}
