//! What streams, consumers and buckets are made from. Each is data: the same twice is no change.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::{STREAM_SUBJECTS_MAX, UNACKED_MESSAGES_MAX};
use crate::names::Name;
use crate::subject::Pattern;

/// How long a stream keeps a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    /// Until its bounds are reached, whoever read it.
    Bounded,
    /// Until its one consumer acknowledged it. That consumer takes every subject of the stream.
    Queue,
}

/// What a stream does at its `bytes_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It takes no more.
    Refuse,
    /// The oldest messages go, read or not.
    DropOldest,
}

/// A stream: what was sent to some subjects, in one order, on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// Its name.
    pub name: Name,
    /// What it takes. No two streams may take the same subject.
    pub subjects: Vec<Pattern>,
    /// How long it keeps a message.
    pub retention: Retention,
    /// All messages together, about.
    pub bytes_max: u64,
    /// What happens then.
    pub when_full: WhenFull,
    /// Older messages go, read or not; none: never.
    pub age_max: Option<Duration>,
    /// For how long a message that is stored again under the same id is known to be the same one.
    pub duplicate_window: Duration,
}

/// Where a new consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Begin {
    /// With the oldest message there is.
    Oldest,
    /// With the next one that is stored.
    Latest,
}

/// A durable consumer: where in a stream somebody is, kept by the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerConfig {
    /// Its name.
    pub name: Name,
    /// What it is given of the stream.
    pub filter: Pattern,
    /// Where it begins.
    pub begin: Begin,
    /// How long a delivery is on loan: neither acknowledged nor given back by then, it comes again.
    pub lease: Duration,
    /// Deliveries that may be out at a time.
    pub unacked_messages_max: u32,
}

/// A bucket, or a store of objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketConfig {
    /// Its name.
    pub name: Name,
    /// All that is in it, about.
    pub bytes_max: u64,
}

impl StreamConfig {
    /// A stream that keeps up to a gigabyte and then refuses, and knows duplicates for two minutes.
    pub fn new(name: Name, subjects: Vec<Pattern>, retention: Retention) -> Self {
        Self {
            name,
            subjects,
            retention,
            bytes_max: 1 << 30,
            when_full: WhenFull::Refuse,
            age_max: None,
            duplicate_window: Duration::from_secs(120),
        }
    }

    /// Refuses what no bus can make.
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |why: &str| Err(Error::Invalid(format!("stream {}: {why}", self.name)));
        if self.subjects.is_empty() || self.subjects.len() > STREAM_SUBJECTS_MAX {
            return invalid("it takes 1 to 64 patterns of subjects");
        }
        if let Some(any) = self.subjects.iter().find(|one| one.as_str().starts_with(['*', '>'])) {
            return invalid(&format!("{any} takes what is not ours: begin with a word"));
        }
        for (at, one) in self.subjects.iter().enumerate() {
            if let Some(two) = self.subjects[at + 1..].iter().find(|two| one.overlaps(two)) {
                return invalid(&format!("{one} and {two} overlap"));
            }
        }
        if self.bytes_max == 0 {
            return invalid("its `bytes_max` is nothing");
        }
        if self.retention == Retention::Queue && self.when_full == WhenFull::DropOldest {
            return invalid("a queue refuses when it is full: it drops nothing that is not acknowledged");
        }
        if self.duplicate_window < Duration::from_millis(100) {
            return invalid("its `duplicate_window` is at least 100 ms");
        }
        if self.age_max.is_some_and(|age_max| age_max < self.duplicate_window) {
            return invalid("its `age_max` is at least its `duplicate_window`");
        }
        Ok(())
    }

    /// Whether it takes some subject that the other takes.
    pub fn overlaps(&self, other: &StreamConfig) -> bool {
        self.subjects.iter().any(|one| other.subjects.iter().any(|two| one.overlaps(two)))
    }

    /// Refuses a consumer the stream cannot have beside the others.
    pub fn check_consumer(&self, consumer: &ConsumerConfig, others: usize) -> Result<(), Error> {
        let name = &consumer.name;
        let invalid = |why: &str| Err(Error::Invalid(format!("consumer {name} of {}: {why}", self.name)));
        if !self.subjects.iter().any(|subjects| subjects.overlaps(&consumer.filter)) {
            return invalid("the stream takes nothing that it asks for");
        }
        if !(1..=UNACKED_MESSAGES_MAX).contains(&consumer.unacked_messages_max) {
            return invalid("its `unacked_messages_max` is from 1 to 8192");
        }
        if consumer.lease < Duration::from_millis(100) {
            return invalid("its `lease` is at least 100 ms");
        }
        if self.retention == Retention::Queue {
            if others > 0 {
                return invalid("a queue has one consumer");
            }
            if !self.subjects.iter().all(|subjects| subjects.is_subset(&consumer.filter)) {
                return invalid("the consumer of a queue takes all of it");
            }
            if consumer.begin == Begin::Latest {
                return invalid("the consumer of a queue begins with the oldest message");
            }
        }
        Ok(())
    }
}

impl ConsumerConfig {
    /// A consumer from the oldest message on, with 30 s for each and up to 1,000 of them out.
    pub fn new(name: Name, filter: Pattern) -> Self {
        Self {
            name,
            filter,
            begin: Begin::Oldest,
            lease: Duration::from_secs(30),
            unacked_messages_max: 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(subjects: &[&str], retention: Retention) -> StreamConfig {
        let subjects = subjects.iter().map(|text| Pattern::new(text).unwrap()).collect();
        StreamConfig::new(Name::new("s").unwrap(), subjects, retention)
    }

    #[test]
    fn a_stream_that_cannot_be_is_refused() {
        let of = |change: fn(&mut StreamConfig)| {
            let mut config = stream(&["a.>"], Retention::Queue);
            change(&mut config);
            config.check().map_err(|error| error.to_string()).err()
        };
        assert_eq!(of(|_| {}), None);
        for change in [
            (|config| config.subjects.clear()) as fn(&mut StreamConfig),
            |config| config.subjects.push(Pattern::new("a.*.b").unwrap()),
            |config| config.subjects.push(Pattern::new("*.b").unwrap()),
            |config| config.bytes_max = 0,
            |config| config.when_full = WhenFull::DropOldest,
            |config| config.duplicate_window = Duration::ZERO,
            |config| config.age_max = Some(Duration::from_secs(1)),
        ] {
            assert!(of(change).is_some());
        }
    }

    #[test]
    fn the_consumer_of_a_queue_takes_all_of_it() {
        let consumer =
            |filter: &str| ConsumerConfig::new(Name::new("c").unwrap(), Pattern::new(filter).unwrap());
        let (queue, kept) = (stream(&["a.>", "b"], Retention::Queue), stream(&["a.>"], Retention::Bounded));
        assert!(queue.check_consumer(&consumer(">"), 0).is_ok());
        assert!(queue.check_consumer(&consumer(">"), 1).is_err());
        assert!(queue.check_consumer(&consumer("a.>"), 0).is_err());
        assert!(kept.check_consumer(&consumer("a.b"), 7).is_ok());
        assert!(kept.check_consumer(&consumer("b"), 0).is_err());
    }
}
