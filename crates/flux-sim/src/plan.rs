//! What one seed does, as data: the gears and wires, the load, the troubles, and how each life of the rack ends.
//!
//! A plan is complete: running it draws nothing more but what the simulated world draws from `world_seed`. So a plan
//! can be made smaller, part by part, while it still shows the same violation.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Everything that happens in one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Seeds the simulated world: jitter, latencies, what a crash leaves of unsynced writes.
    pub world_seed: u64,
    /// The gears; a gear is named by its place here.
    pub gears: Vec<GearPlan>,
    /// The wires between them, as the first version has them: every wire that is ever durable is so there.
    pub wires: Vec<WirePlan>,
    /// What goes wrong when a gear gets a message.
    pub troubles: BTreeMap<At, Trouble>,
    /// The settings of the rack.
    pub knobs: Knobs,
    /// What the rack can be told to become. The first has every gear and every journal: all that waits comes out there.
    pub versions: Vec<Version>,
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
    /// Brings in what a client sends by TCP, and acknowledges what is safe.
    Server(FeedPlan),
    /// Sends what arrives to a peer by TCP, and has done so when the peer acknowledges it.
    Peer,
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
    /// What it promises, if it goes through a journal.
    pub durable: Option<Promise>,
}

/// What a durable wire promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// Whether a message counts as safe when the operating system has it, before the disk does.
    pub is_os: bool,
    /// Whether what was sent twice is delivered once.
    pub dedupe: bool,
}

/// How a version of the scenario differs from the gears and wires of the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// Whether gears share tasks.
    pub fuse: bool,
    /// Gears that are left out: what led to them leads to where they led.
    pub without: BTreeSet<usize>,
    /// Durable wires that are hot.
    pub hot: BTreeSet<usize>,
    /// Gears with another configuration, which changes nothing but that they are replaced.
    pub revised: BTreeSet<usize>,
    /// Another number of instances for gears that have several.
    pub parallel: Option<u16>,
    /// A gear that makes the version one that cannot run.
    pub broken: Option<Broken>,
}

/// What is wrong with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken {
    /// The gear.
    pub gear: usize,
    /// Whether it refuses to start; otherwise it refuses its configuration.
    pub is_late: bool,
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
    /// Whether dead letters are kept on disk.
    pub has_letters_on_disk: bool,
    /// `store.segment_bytes`, in KiB.
    pub segment_kib: u32,
    /// `store.bytes_max`, in KiB; none: so much that no journal is ever full.
    pub journal_kib: Option<u32>,
    /// `store.window_messages`.
    pub window_messages: u32,
    /// How often the operator looks for dead letters, in milliseconds.
    pub looks_ms: u32,
}

/// One life of the rack, from boot to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Life {
    /// The version it begins with.
    pub version: usize,
    /// What is done to it meanwhile, by the number of events before.
    pub acts: Vec<(u32, Act)>,
    /// How it ends.
    pub end: LifeEnd,
}

/// What is done to a running rack, or to what it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It is to become another version.
    Reload(usize),
    /// The next syncs fail.
    FailSyncs(u32),
    /// Nothing more fits on the disk, for so many milliseconds.
    Fill(u32),
    /// Every call to the disk takes so many milliseconds, for a hundred of them.
    Slow(u32),
    /// The disk says that it synced and did not, until the machine stops.
    Lie,
    /// Something happens to the line to the peer.
    Line(LineFault),
}

/// What happens to the line to a peer; with how many milliseconds it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFault {
    /// Connections are reset.
    Reset,
    /// Connections are half open from now on: what is sent is lost, and nobody is told.
    Unplug,
    /// Nothing comes through, and arrives later.
    Part(u32),
    /// The peer is away: connections are reset, and new ones refused.
    Refuse(u32),
    /// The peer reads nothing.
    Deaf(u32),
    /// What is sent takes so many milliseconds, for twenty times as long.
    Slow(u32),
}

/// How a life of the rack ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifeEnd {
    /// The machine stops, some writes after the so-manieth event of this life.
    Crash {
        /// Events before it.
        events: u32,
        /// Changes of the disk that still happen.
        writes: u32,
    },
    /// The process is killed at the so-manieth event of this life; what the operating system has, it keeps.
    Kill {
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

impl LifeEnd {
    /// The event at which it comes, if it does not wait for all to be done.
    pub fn events(self) -> Option<u32> {
        match self {
            LifeEnd::Crash { events, .. } | LifeEnd::Kill { events } | LifeEnd::Drain { events } => {
                Some(events)
            }
            LifeEnd::Finish => None,
        }
    }

    /// Whether the rack is not asked.
    pub fn is_sudden(self) -> bool {
        matches!(self, LifeEnd::Crash { .. } | LifeEnd::Kill { .. })
    }
}

impl Plan {
    /// The wires that leave a port.
    pub fn wires_from(&self, gear: usize, port: &str) -> impl Iterator<Item = &WirePlan> {
        self.wires.iter().filter(move |wire| wire.from == gear && wire.port == port)
    }

    /// What a gear brings in, if it does.
    pub fn feed(&self, gear: usize) -> Option<&FeedPlan> {
        match &self.gears[gear] {
            GearPlan::Feed(feed) | GearPlan::Caller(feed) | GearPlan::Server(feed) => Some(feed),
            GearPlan::Work { .. } | GearPlan::Fork | GearPlan::Shelf | GearPlan::Peer => None,
        }
    }

    /// Messages that all sources emit together.
    pub fn messages(&self) -> u32 {
        (0..self.gears.len()).filter_map(|gear| self.feed(gear)).map(|feed| feed.messages).sum()
    }

    /// The gear that sends to a peer, if there is one.
    pub fn peer(&self) -> Option<usize> {
        self.gears.iter().position(|gear| *gear == GearPlan::Peer)
    }

    /// The wires of a version.
    pub fn wires_in(&self, version: &Version) -> Vec<WirePlan> {
        let lane = |(at, wire): (usize, &WirePlan)| WirePlan {
            durable: wire.durable.filter(|_| !version.hot.contains(&at)),
            ..wire.clone()
        };
        let mut wires: Vec<WirePlan> = self.wires.iter().enumerate().map(lane).collect();
        for &gone in &version.without {
            let onward = wires.iter().find(|wire| wire.from == gone).map(|wire| wire.to);
            for wire in wires.iter_mut().filter(|wire| wire.to == gone) {
                // It has another name then, and no journal yet.
                (wire.to, wire.durable) = (onward.unwrap_or(gone), None);
            }
            wires.retain(|wire| wire.from != gone && wire.to != gone);
        }
        wires
    }

    /// Whether some version does without a gear.
    pub fn is_optional(&self, gear: usize) -> bool {
        self.versions.iter().any(|version| version.without.contains(&gear))
    }

    /// Whether some version does without the journal of a wire.
    pub fn is_flipping(&self, wire: usize) -> bool {
        let WirePlan { from, to, .. } = self.wires[wire];
        let is_without = |version: &Version| {
            version.hot.contains(&wire) || version.without.contains(&from) || version.without.contains(&to)
        };
        self.wires[wire].durable.is_some() && self.versions.iter().any(is_without)
    }

    /// Whether a gear may get a message that a durable wire keeps, in some version.
    pub fn may_be_patient(&self, gear: usize) -> bool {
        self.is_behind_a_journal(gear, &mut BTreeSet::new())
    }

    fn is_behind_a_journal(&self, gear: usize, seen: &mut BTreeSet<usize>) -> bool {
        let mut to_it = self.wires.iter().filter(|wire| wire.to == gear);
        seen.insert(gear)
            && to_it.any(|wire| wire.durable.is_some() || self.is_behind_a_journal(wire.from, seen))
    }

    /// Whether messages may have to wait for the world where a journal keeps them: the one in trouble, and those behind it.
    pub fn may_wait(&self) -> bool {
        let waits = |(at, trouble): (&At, &Trouble)| {
            matches!(trouble, Trouble::Transient(_)) && self.may_be_patient(at.gear)
        };
        self.troubles.iter().any(waits)
    }

    /// Whether it gets none but those, in every version.
    pub fn is_patient(&self, gear: usize) -> bool {
        let is_sure = |(at, wire): (usize, &WirePlan)| {
            wire.to != gear || (wire.durable.is_some() && !self.is_flipping(at))
        };
        self.wires.iter().enumerate().all(is_sure)
    }

    /// Whether a gear passes messages on as they are and stands alone behind a port: nothing changes without it.
    pub fn is_passing(&self, gear: usize) -> bool {
        let is_plain = matches!(self.gears[gear], GearPlan::Work { marks: false, parallel: 1 });
        let mut to_it = self.wires.iter().filter(|wire| wire.to == gear);
        let (Some(only), None) = (to_it.next(), to_it.next()) else { return false };
        let leaving = self.wires.iter().filter(|wire| wire.from == gear);
        let is_one_way = self.wires_from(gear, "out").count() == 1 && leaving.count() == 1;
        is_plain && is_one_way && self.wires_from(only.from, only.port).count() == 1
    }

    /// Whether a shelf stands beside a way, so that nothing depends on it.
    pub fn is_beside(&self, gear: usize) -> bool {
        let is_others = |wire: &WirePlan| self.wires_from(wire.from, wire.port).any(|other| other.to != gear);
        let mut to_it = self.wires.iter().filter(|wire| wire.to == gear);
        self.gears[gear] == GearPlan::Shelf && to_it.all(is_others)
    }

    /// On how many ways one message may come to a gear, or begin there.
    pub fn ways_to(&self, gear: usize) -> u32 {
        let feeds = (0..self.gears.len()).filter(|&feed| self.feed(feed).is_some());
        feeds.map(|feed| self.ways_between(feed, gear)).max().unwrap_or(0)
    }

    fn ways_between(&self, feed: usize, gear: usize) -> u32 {
        if self.feed(gear).is_some() {
            return u32::from(feed == gear);
        }
        let to_it = self.wires.iter().filter(|wire| wire.to == gear);
        to_it.map(|wire| self.ways_between(feed, wire.from)).sum()
    }

    /// Whether versions leave out nothing that matters, and no wire takes copies of a message for the message sent twice.
    pub fn is_sound(&self) -> bool {
        let has_copies =
            |wire: &WirePlan| wire.durable.is_some_and(|it| it.dedupe) && self.ways_to(wire.from) > 1;
        if self.wires.iter().any(has_copies) {
            return false;
        }
        let mut left_out = self.versions.iter().flat_map(|version| &version.without);
        left_out.all(|&gear| self.is_passing(gear) || self.is_beside(gear))
    }
}

/// What a scenario does not say of it.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for gear in 0..self.gears.len() {
            if let Some(feed) = self.feed(gear) {
                writeln!(f, "g{gear}: {feed:?}")?;
            }
        }
        for (At { gear, feed, n }, trouble) in &self.troubles {
            writeln!(f, "g{feed} #{n} in g{gear}: {trouble:?}")?;
        }
        for (at, version) in self.versions.iter().enumerate() {
            writeln!(f, "version {at}: {version:?}")?;
        }
        writeln!(f, "{:?}", self.knobs)?;
        self.lives.iter().try_for_each(|life| writeln!(f, "{life:?}"))
    }
}
