//! What to do with a delivery that fails: again after a while, then to the dead letters. The same on every bus.
//!
//! The count is the bus's, the policy is here: a delivery beyond the last attempt is not given out any more but goes to the
//! dead letters when it is fetched. It leaves its stream only when it is stored there, so no announcement can be missed, and its
//! id there is its place in its stream, so it is stored once.

use std::sync::Arc;
use std::time::Duration;

use crate::bus::{Bus, Consumer, Delivery};
use crate::error::Error;
use crate::limits::ATTEMPTS_MAX;
use crate::message::Message;
use crate::names::{MessageId, Name};
use crate::subject::Subject;

/// Where a dead letter came from: `stream/consumer`.
pub const HEADER_FROM: &str = "Flux-Dead-From";
/// Where it was in its stream.
pub const HEADER_SEQUENCE: &str = "Flux-Dead-Sequence";
/// What its subject was.
pub const HEADER_SUBJECT: &str = "Flux-Dead-Subject";
/// How often it was tried.
pub const HEADER_ATTEMPTS: &str = "Flux-Dead-Attempts";
/// What was wrong.
pub const HEADER_REASON: &str = "Flux-Dead-Reason";

/// Longest reason that is kept.
const REASON_BYTES_MAX: usize = 200;

/// When a delivery is tried again, and what happens in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redelivery {
    /// How often it is tried.
    pub attempts_max: u32,
    /// How long to wait after the first attempt that failed, after the second, and so on; the last one goes on.
    pub delays: Vec<Duration>,
    /// Where it goes in the end: a subject that a stream takes.
    pub dead_letters: Subject,
}

/// A consumer with a policy.
#[derive(Debug)]
pub struct Intake {
    bus: Arc<dyn Bus>,
    consumer: Arc<dyn Consumer>,
    policy: Redelivery,
    /// `stream/consumer`.
    from: String,
    epoch: u64,
}

/// What became of a delivery that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It comes again, then.
    Again(Duration),
    /// It is with the dead letters.
    Dead,
}

impl Redelivery {
    /// How long to wait after so many attempts.
    pub fn delay(&self, attempt: u32) -> Duration {
        let at = (attempt.max(1) - 1) as usize;
        self.delays.get(at).or(self.delays.last()).copied().unwrap_or_default()
    }
}

impl Intake {
    /// Puts a policy on a consumer.
    pub async fn open(
        bus: Arc<dyn Bus>,
        stream: Name,
        consumer: Name,
        policy: Redelivery,
    ) -> Result<Self, Error> {
        if !(1..=ATTEMPTS_MAX).contains(&policy.attempts_max) {
            return Err(Error::Invalid(format!(
                "{} attempts: from 1 to {ATTEMPTS_MAX}",
                policy.attempts_max
            )));
        }
        let epoch = bus.stream(stream.clone()).await?.epoch;
        let from = format!("{stream}/{consumer}");
        let consumer = bus.consumer(stream, consumer).await?;
        Ok(Self { bus, consumer, policy, from, epoch })
    }

    /// As [`Consumer::fetch`], without those whose attempts have run out: they are with the dead letters when this returns, or
    /// come again when they cannot be stored there.
    pub async fn fetch(&self, messages_max: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        let mut good = Vec::new();
        for delivery in self.consumer.fetch(messages_max, wait).await? {
            match delivery.attempt > self.policy.attempts_max {
                false => good.push(delivery),
                true => {
                    if let Err(error) = self.bury(&delivery, "its lease ended at every attempt").await {
                        tracing::warn!(from = self.from, sequence = delivery.sequence, %error, "a dead letter waits");
                    }
                }
            }
        }
        Ok(good)
    }

    /// It could not be done now. It comes again after a while, or was tried often enough.
    pub async fn retry(&self, delivery: Delivery, reason: &str) -> Result<Fate, Error> {
        if delivery.attempt >= self.policy.attempts_max {
            return self.reject(delivery, reason).await;
        }
        let delay = self.policy.delay(delivery.attempt);
        delivery.lease.nak(delay).await?;
        Ok(Fate::Again(delay))
    }

    /// It can never be done. On an error it comes again.
    pub async fn reject(&self, delivery: Delivery, reason: &str) -> Result<Fate, Error> {
        self.bury(&delivery, reason).await?;
        Ok(Fate::Dead)
    }

    async fn bury(&self, delivery: &Delivery, reason: &str) -> Result<(), Error> {
        let stored = match self.letter(delivery, reason) {
            Ok((id, letter)) => self.bus.store(id, letter).await,
            Err(error) => Err(error),
        };
        match stored {
            Ok(_) => delivery.lease.term().await,
            Err(error) => {
                delivery.lease.nak(self.policy.delay(delivery.attempt)).await?;
                Err(error)
            }
        }
    }

    fn letter(&self, delivery: &Delivery, reason: &str) -> Result<(MessageId, Message), Error> {
        let mut letter = Message { subject: self.policy.dead_letters.clone(), ..delivery.message.clone() };
        let mut reason: String = reason
            .chars()
            .map(|c| if c.is_ascii_graphic() { c } else { ' ' })
            .take(REASON_BYTES_MAX)
            .collect();
        reason.truncate(reason.trim_end().len());
        for (name, value) in [
            (HEADER_FROM, self.from.clone()),
            (HEADER_SEQUENCE, delivery.sequence.to_string()),
            (HEADER_SUBJECT, delivery.message.subject.to_string()),
            (HEADER_ATTEMPTS, delivery.attempt.to_string()),
            (HEADER_REASON, reason.trim_start().to_owned()),
        ] {
            // A letter whose headers leave no room goes without: it must not come round for ever.
            if let Err(error) = letter.headers.set(name, &value) {
                tracing::debug!(from = self.from, %error, "a dead letter does not say all");
            }
        }
        let id = MessageId::new(format!("dead/{}/{:x}/{}", self.from, self.epoch, delivery.sequence))?;
        Ok((id, letter))
    }
}
