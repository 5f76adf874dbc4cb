//! What must hold, rule by rule, and the report of one that did not.

use std::fmt;

/// A rule of the oracle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// What was accepted comes to each of its ends.
    NothingLost,
    /// A receipt settles only when all that came of the message is at its end or on a durable wire.
    SettledAfterDelivery,
    /// Messages that take the same way arrive in the order they were sent.
    OrderKept,
    /// A message arrives twice only after a crash, or when it was sent twice.
    NoDuplicates,
    /// A message arrives as it was sent.
    Unaltered,
    /// A message comes only to the ends it has: not delivered and dead-lettered, no wrong dead letter.
    RightEnd,
    /// The counters say what happened.
    CountersAgree,
    /// A drain ends by its deadline.
    DrainInTime,
    /// A drain with time enough and nothing dead leaves nothing.
    DrainClean,
    /// A version that can run goes live, one that cannot changes nothing.
    Reloads,
    /// Work goes on until all is done.
    Progress,
    /// The rack boots again after whatever happened.
    Boots,
    /// A panic of a gear stays in the gear, and nothing else panics.
    PanicsContained,
}

/// A rule that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = match self {
            Rule::NothingLost => "what was accepted comes to each of its ends",
            Rule::SettledAfterDelivery => "a receipt settles only after delivery",
            Rule::OrderKept => "messages of one way keep their order",
            Rule::NoDuplicates => "a message arrives twice only after a crash or when sent twice",
            Rule::Unaltered => "a message arrives as it was sent",
            Rule::RightEnd => "a message comes only to the ends it has",
            Rule::CountersAgree => "the counters say what happened",
            Rule::DrainInTime => "a drain ends by its deadline",
            Rule::DrainClean => "a drain with time enough leaves nothing",
            Rule::Reloads => "a version that can run goes live, one that cannot changes nothing",
            Rule::Progress => "work goes on until all is done",
            Rule::Boots => "the rack boots again",
            Rule::PanicsContained => "a panic stays in its gear",
        };
        f.write_str(said)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.detail)
    }
}
