//! The simulation a gear runs in: its plan, the oracle's ledger, and the bell that tells the driver.
//!
//! A seed runs on one thread from its first to its last event, and a gear is made by its kind alone. So the house stands
//! in a thread-local, put there for the time of a run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use flux_gear::FluxMsg;
use flux_world::{Clock, Instant};
use tokio::sync::Notify;

use crate::coverage::Coverage;
use crate::expect::End;
use crate::gears;
use crate::ledger::Ledger;
use crate::payload::{Label, Trail};
use crate::plan::{At, Plan, Trouble};
use crate::rules::Rule;
use crate::trace::{Event, Trace};

/// A run while it goes on.
pub(crate) struct House {
    pub(crate) plan: Arc<Plan>,
    pub(crate) ledger: Ledger,
    pub(crate) coverage: Coverage,
    pub(crate) trace: Trace,
    /// Rings from the event on at which the driver is to look.
    pub(crate) bell: Arc<Notify>,
    /// What gears were called for, by gear: attempts, and those that failed.
    pub(crate) calls: Vec<Calls>,
    /// Attempts at messages that are in trouble.
    tries: BTreeMap<(At, Trail), u32>,
    clock: Option<(Clock, Instant)>,
    elapsed_ns: u64,
    is_alive: bool,
    events: u32,
    /// The event of this life at which it stops.
    stops_at: Option<u32>,
    /// The event from which on the bell rings.
    pub(crate) wakes_at: u32,
    began_unix_ns: i64,
    /// Whether the disk said that it had synced and had not, since the power failed last.
    pub(crate) has_lied: bool,
    /// Whether the run ends here, with nothing more to be asked of the rack.
    pub(crate) is_over: bool,
    /// Whether such a lie came to light.
    pub(crate) was_lied_to: bool,
}

/// What a gear was called for in one life.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Calls {
    pub(crate) entered: u64,
    pub(crate) failed: u64,
    pub(crate) dead: u64,
}

thread_local! {
    static HOUSE: RefCell<Option<House>> = const { RefCell::new(None) };
}

/// Looks into the house of the run on this thread.
pub(crate) fn house<T>(look: impl FnOnce(&mut House) -> T) -> T {
    HOUSE.with_borrow_mut(|house| look(house.as_mut().expect("a run goes on on this thread")))
}

/// Puts a house up for the run that begins.
pub(crate) fn move_in(plan: Arc<Plan>, is_read: bool) {
    let house = House {
        ledger: Ledger::new(&plan),
        coverage: Coverage::default(),
        trace: Trace::new(is_read),
        bell: Arc::default(),
        calls: Vec::new(),
        tries: BTreeMap::new(),
        clock: None,
        elapsed_ns: 0,
        is_alive: false,
        events: 0,
        stops_at: None,
        wakes_at: 0,
        began_unix_ns: 0,
        has_lied: false,
        was_lied_to: false,
        is_over: false,
        plan,
    };
    HOUSE.set(Some(house));
}

/// Takes the house down after the run.
pub(crate) fn move_out() -> Option<House> {
    HOUSE.take()
}

impl House {
    /// A life of the rack begins; it stops by itself at that event.
    pub(crate) fn begin_life(&mut self, life: usize, clock: Clock, stops_at: Option<u32>) {
        self.clock = Some((clock, clock.now()));
        self.began_unix_ns = clock.unix_ns();
        self.ledger.begin_life();
        self.calls = vec![Calls::default(); self.plan.gears.len()];
        (self.is_alive, self.events, self.stops_at) = (true, 0, stops_at);
        self.bell = Arc::default();
        self.note(Event::Boots { life });
    }

    /// Events of this life so far.
    pub(crate) fn events(&self) -> u32 {
        self.events
    }

    /// Nothing that happens from now on counts: the machine is down.
    pub(crate) fn end_life(&mut self) {
        self.is_alive = false;
        if let Some((clock, began)) = self.clock.take() {
            self.elapsed_ns += (clock.now() - began).as_nanos() as u64;
        }
    }

    /// Whether the event has come at which this life stops.
    pub(crate) fn is_to_stop(&self) -> bool {
        self.stops_at.is_some_and(|at| self.events >= at)
    }

    pub(crate) fn note(&mut self, event: Event) {
        let here = self.clock.map_or(0, |(clock, began)| (clock.now() - began).as_nanos() as u64);
        self.trace.note(self.elapsed_ns + here, event);
        self.events += 1;
        if self.events >= self.wakes_at {
            self.bell.notify_one();
        }
    }

    pub(crate) fn emits(&mut self, feed: usize, n: u32) {
        if self.is_alive {
            let plan = self.plan.clone();
            self.ledger.emits(&plan, feed, n);
            self.note(Event::Emits { feed, n });
        }
    }

    pub(crate) fn accepted(&mut self, feed: usize, n: u32) {
        if self.is_alive {
            self.ledger.accepted(feed, n);
            self.note(Event::Accepted { feed, n });
        }
    }

    pub(crate) fn settled(&mut self, feed: usize, n: u32) {
        if self.is_alive {
            self.ledger.settled(feed, n);
            self.note(Event::Settled { feed, n });
        }
    }

    pub(crate) fn abandoned(&mut self, feed: usize, n: u32) {
        if self.is_alive {
            self.note(Event::Abandoned { feed, n });
        }
    }

    /// A message enters a gear: the trouble it makes this time, if any.
    pub(crate) fn enters(&mut self, gear: usize, payload: &[u8]) -> Option<Trouble> {
        if !self.is_alive {
            return None;
        }
        let Some(Label { feed, n, trail, .. }) = Label::read(payload) else {
            self.ledger.violate(Rule::Unaltered, format!("what enters g{gear} is no payload of ours"));
            return None;
        };
        self.calls[gear].entered += 1;
        self.note(Event::Enters { gear, feed, n });
        let at = At { gear, feed, n };
        let trouble = *self.plan.troubles.get(&at)?;
        let tries = self.tries.entry((at, trail)).or_default();
        *tries += 1;
        let is_now = match trouble {
            Trouble::Transient(times) => *tries <= times,
            Trouble::FatalOnce | Trouble::PanicOnce => *tries == 1,
            _ => true,
        };
        if !is_now {
            return None;
        }
        self.coverage.trouble(trouble);
        if !matches!(trouble, Trouble::Wait(_)) {
            self.calls[gear].failed += 1;
            self.note(Event::Fails { gear, feed, n });
        }
        Some(trouble)
    }

    /// A message arrived at a gear that keeps it.
    pub(crate) fn arrives(&mut self, gear: usize, failed_at: Option<usize>, payload: &[u8]) {
        if !self.is_alive {
            return;
        }
        let trail = Label::read(payload).map(|label| label.trail).unwrap_or_default();
        let plan = self.plan.clone();
        if let Some(Label { feed, n, .. }) =
            self.ledger.ended(&plan, End::Arrived { gear, failed_at, trail }, payload)
        {
            self.note(Event::Arrives { gear, feed, n });
        }
    }

    /// The operator took a dead letter out, one of this life or an earlier one.
    pub(crate) fn dead(&mut self, gear: usize, reason: &str, msg: &FluxMsg, unix_ns: i64) {
        const REASONS: [&str; 10] = [
            "ordered",
            "transient",
            "fatal",
            "panic",
            "timeout",
            "no_wire",
            "gone",
            "given_up",
            "undecodable",
            "too_long",
        ];
        if reason == "gone" && gear < self.plan.gears.len() && self.plan.is_beside(gear) {
            // A reload took the gear out while the message was on its way there.
            return self.coverage.saw("dead_letter_gone");
        }
        let reason = REASONS.into_iter().find(|known| *known == reason).unwrap_or("another reason");
        let trail = Label::read(&msg.payload).map(|label| label.trail).unwrap_or_default();
        // What it says of its own failure is no way by which it came.
        let failed_at = gears::failed_at(msg).filter(|failed| *failed != gear);
        let plan = self.plan.clone();
        if let Some(Label { feed, n, .. }) =
            self.ledger.ended(&plan, End::Dead { gear, reason, failed_at, trail }, &msg.payload)
        {
            self.calls[gear].dead += u64::from(unix_ns >= self.began_unix_ns);
            self.note(Event::Dead { gear, feed, n });
        }
    }
}

/// Whether a run goes on on this thread.
pub(crate) fn is_lived_in() -> bool {
    HOUSE.try_with(|house| house.try_borrow().map_or(true, |house| house.is_some())).unwrap_or(false)
}
