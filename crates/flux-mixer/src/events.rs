//! What happens in a fleet, remembered for a while, so that who listens can go on where it was.
//!
//! There is one ring for all, and no queue for each: a reader takes what is behind where it stands, whenever it can. Who is so
//! slow that the ring has passed it is told so, and reads everything anew.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;

use flux_identity::Scope;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::limits::EVENTS_MAX;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Event {
    /// Its id: where to go on after it.
    pub(crate) id: String,
    /// When, in milliseconds since 1970.
    pub(crate) unix_ms: u64,
    /// What: `rack.active`, `rack.offline`, `scenario.activated`.
    pub(crate) what: String,
    /// To what.
    pub(crate) about: String,
    /// Who may be told of it.
    #[serde(skip)]
    pub(crate) of: Of,
}

/// What an event is of, for whoever may not be told of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Of {
    /// Of the whole fleet, and for whoever sees all of it.
    #[default]
    Fleet,
    /// What everybody may know.
    Everybody,
    /// Of a Rack with these labels.
    Rack(BTreeMap<String, String>),
}

impl Of {
    pub(crate) fn is_in(&self, scope: &Scope) -> bool {
        match self {
            Of::Everybody => true,
            Of::Fleet => scope.is_whole(),
            Of::Rack(labels) => scope.covers(labels),
        }
    }
}

/// The place of an event: which process of the Mixer told it, and the how many-eth it was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventId {
    epoch: u64,
    number: u64,
}

/// A text is no id of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoId;

/// What a reader asks for is not remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behind;

/// All that is remembered.
#[derive(Debug)]
pub(crate) struct Events {
    epoch: u64,
    ring: Mutex<VecDeque<Event>>,
    /// How many there were.
    last: watch::Sender<u64>,
}

impl Events {
    /// None yet. `epoch` tells them from those of another process.
    pub(crate) fn new(epoch: u64) -> Events {
        Events { epoch, ring: Mutex::default(), last: watch::Sender::new(0) }
    }

    /// Tells of one.
    pub(crate) fn tell(&self, unix_ms: u64, what: &str, about: &str, of: Of) {
        let mut ring = self.ring.lock();
        let number = *self.last.borrow() + 1;
        let id = EventId { epoch: self.epoch, number }.to_string();
        ring.push_back(Event { id, unix_ms, what: what.into(), about: about.into(), of });
        if ring.len() > EVENTS_MAX {
            ring.pop_front();
        }
        self.last.send_replace(number);
    }

    /// Where the next one will be told, and how to wait for it.
    pub(crate) fn now(&self) -> (EventId, watch::Receiver<u64>) {
        let next = self.last.subscribe();
        let number = *next.borrow();
        (EventId { epoch: self.epoch, number }, next)
    }

    /// What happened after an event, so much at most.
    pub(crate) fn after(&self, id: EventId, most: usize) -> Result<Vec<Event>, Behind> {
        let ring = self.ring.lock();
        let last = *self.last.borrow();
        let passed = last - ring.len() as u64;
        if id.epoch != self.epoch || id.number < passed || id.number > last {
            return Err(Behind);
        }
        Ok(ring.iter().skip((id.number - passed) as usize).take(most).cloned().collect())
    }
}

impl EventId {
    /// Where no process told anything.
    pub(crate) const NOWHERE: EventId = EventId { epoch: 0, number: 0 };

    /// The place of the event `count` further on.
    pub(crate) fn plus(self, count: usize) -> EventId {
        EventId { number: self.number + count as u64, ..self }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.number)
    }
}

impl FromStr for EventId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<EventId, NoId> {
        let read = || {
            let (epoch, number) = text.split_once('-')?;
            Some(EventId { epoch: u64::from_str_radix(epoch, 16).ok()?, number: number.parse().ok()? })
        };
        read().ok_or(NoId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(told: Result<Vec<Event>, Behind>) -> Vec<String> {
        told.unwrap().into_iter().map(|event| event.about).collect()
    }

    #[test]
    fn who_goes_on_misses_nothing_and_who_is_too_slow_is_told() {
        let events = Events::new(0xabc);
        let (start, mut next) = events.now();
        for at in 0..3 {
            events.tell(at, "rack.active", &at.to_string(), Of::Fleet);
        }
        assert!(next.has_changed().unwrap() && *next.borrow_and_update() == 3);
        assert_eq!(numbers(events.after(start, 2)), ["0", "1"]);
        let id: EventId = events.after(start, 2).unwrap()[1].id.parse().unwrap();
        assert_eq!(id, start.plus(2));
        assert_eq!(numbers(events.after(id, 9)), ["2"]);
        for at in 0..EVENTS_MAX as u64 {
            events.tell(at, "rack.active", "later", Of::Fleet);
        }
        assert_eq!(events.after(id, 9), Err(Behind), "the ring has passed it");
        assert_eq!(events.after(start.plus(3), 9).unwrap().len(), 9);
        assert_eq!(events.after("abd-3".parse().unwrap(), 9), Err(Behind), "another process");
        assert_eq!(events.after(start.plus(EVENTS_MAX + 4), 9), Err(Behind), "from the future");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_an_id_or_refused(text in "[0-9a-f]{0,20}-?[0-9]{0,24}|.{0,9}") {
            if let Ok(id) = text.parse::<EventId>() {
                proptest::prop_assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
            }
        }
    }
}
