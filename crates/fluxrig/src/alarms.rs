//! What a human should know that is wrong now: logged when it begins and when it ends, listed in between.

use std::collections::BTreeMap;

use flux_world::{Clock, Instant};
use serde::{Deserialize, Serialize};

/// What can be wrong, in order of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Alarm {
    /// The clock is behind what it showed before: what goes by the time of day, such as a time to live, waits.
    Clock,
    /// The control socket could not be made: the rack runs, and cannot be asked.
    ControlSocket,
    /// Hardly a file or connection more can be opened: new connections wait.
    Descriptors,
    /// The disk of the state directory has no room to speak of.
    DiskFull,
    /// The state directory cannot be written for another reason.
    DiskUnwritable,
    /// A journal cannot be read on: what is behind in it waits.
    Journal,
    /// The scenario that ran last was refused at the start, and the one before it runs; or what runs could not be kept.
    LastGood,
    /// Messages wait in the journal of a durable wire that is not in the scenario.
    LeftOnDisk,
    /// Memory is nearly used up.
    Memory,
    /// An outbox is nearly full, or something has waited in it for long: another rack, or the bus, is away.
    Outbox,
    /// The last version that was to go live was refused: what runs is not what the files say.
    Reload,
    /// A gear waits for a peer, or for something else that is not there, with what a durable wire brought it.
    Waiting,
}

impl Alarm {
    /// The word for it, in logs and answers.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Alarm::Clock => "clock",
            Alarm::ControlSocket => "control_socket",
            Alarm::Descriptors => "descriptors",
            Alarm::DiskFull => "disk_full",
            Alarm::DiskUnwritable => "disk_unwritable",
            Alarm::Journal => "journal",
            Alarm::LastGood => "last_good",
            Alarm::LeftOnDisk => "left_on_disk",
            Alarm::Memory => "memory",
            Alarm::Outbox => "outbox",
            Alarm::Reload => "reload",
            Alarm::Waiting => "waiting",
        }
    }
}

/// What is wrong now.
pub(crate) struct Alarms {
    clock: Clock,
    raised: BTreeMap<Alarm, Raised>,
}

struct Raised {
    why: String,
    since: Instant,
}

/// An alarm as it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AlarmStatus {
    pub(crate) alarm: Alarm,
    pub(crate) why: String,
    pub(crate) for_ms: u64,
}

impl Alarms {
    pub(crate) fn new(clock: Clock) -> Alarms {
        Alarms { clock, raised: BTreeMap::new() }
    }

    /// Raises the alarm where there is a reason for it, and ends it where there is none. The log has a line for each
    /// change, none for a state that lasts.
    pub(crate) fn set(&mut self, alarm: Alarm, why: Option<String>) {
        match why {
            Some(why) => {
                let since = self.clock.now();
                let raised = self.raised.entry(alarm).or_insert_with(|| {
                    tracing::error!(alarm = alarm.word(), why, "alarm");
                    Raised { why: String::new(), since }
                });
                raised.why = why;
            }
            None => {
                if let Some(Raised { since, .. }) = self.raised.remove(&alarm) {
                    let lasted = self.clock.now().saturating_duration_since(since);
                    tracing::info!(alarm = alarm.word(), ?lasted, "alarm is over");
                }
            }
        }
    }

    /// All that is wrong now.
    pub(crate) fn list(&self) -> Vec<AlarmStatus> {
        let now = self.clock.now();
        let told = |(&alarm, raised): (&Alarm, &Raised)| AlarmStatus {
            alarm,
            why: raised.why.clone(),
            for_ms: millis(now.saturating_duration_since(raised.since)),
        };
        self.raised.iter().map(told).collect()
    }
}

/// Whole milliseconds, for JSON.
pub(crate) fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
