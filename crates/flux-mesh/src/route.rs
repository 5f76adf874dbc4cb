//! Where a mesh wire runs on the bus: its subjects, its stream, its consumer, and how they are made.

use std::sync::Arc;

use flux_bus::subject::{CONTROL, MESSAGE};
use flux_bus::{
    Bus, Consumer, ConsumerConfig, Error, MessageId, Name, Pattern, Retention, StreamConfig, Subject,
};

use crate::limits::{DUPLICATE_WINDOW, FETCH_PACKS_MAX, LEASE, STREAM_BYTES_MAX};

/// A wire between two racks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The rack that sends.
    pub from: Name,
    /// The rack that receives.
    pub to: Name,
    /// The wire.
    pub wire: Name,
}

/// Ways to the bus: what is said about packs is not behind packs.
#[derive(Clone, Debug)]
pub struct Line {
    /// Carries packs.
    pub data: Arc<dyn Bus>,
    /// Carries reports.
    pub control: Arc<dyn Bus>,
}

impl Line {
    /// One way for both.
    pub fn one(bus: Arc<dyn Bus>) -> Self {
        Self { data: bus.clone(), control: bus }
    }
}

impl Route {
    /// A wire between two racks, by names that are tokens of a subject, and short enough to name a stream together.
    pub fn new(from: &str, to: &str, wire: &str) -> Result<Self, Error> {
        let route = Self { from: Name::new(from)?, to: Name::new(to)?, wire: Name::new(wire)? };
        route.stream()?;
        Ok(route)
    }

    /// Where packs are sent: `flux.msg.<to>.<wire>`.
    pub fn packs(&self) -> Subject {
        Subject::of(MESSAGE, &self.to, &self.wire)
    }

    /// Where reports are sent: `flux.ctrl.<from>.mesh.<wire>`.
    pub fn reports(&self) -> Result<Subject, Error> {
        Subject::of(CONTROL, &self.from, &Name::new("mesh")?).join(&self.wire)
    }

    /// The stream of its packs: `<to>_<wire>`.
    pub fn stream(&self) -> Result<Name, Error> {
        Name::new(format!("{}_{}", self.to, self.wire))
    }

    /// The consumer of that stream.
    pub fn consumer(&self) -> Result<Name, Error> {
        Name::new("inbox")
    }

    /// The id of a pack: the same one is stored once.
    pub(crate) fn id(&self, epoch: u64, first: u64, offset: usize, round: u64) -> Result<MessageId, Error> {
        MessageId::new(format!("{}/{epoch:x}/{first:x}.{offset:x}/{round:x}", self.wire))
    }

    /// Makes the stream, or uses what is there. Returns its epoch.
    pub(crate) async fn make_stream(&self, bus: &dyn Bus) -> Result<u64, Error> {
        let name = self.stream()?;
        let mut config =
            StreamConfig::new(name.clone(), vec![Pattern::from(&self.packs())], Retention::Queue);
        (config.bytes_max, config.duplicate_window) = (STREAM_BYTES_MAX, DUPLICATE_WINDOW);
        let made = bus.make_stream(config).await;
        match bus.stream(name).await {
            Ok(state) => Ok(state.epoch),
            // Why it could not be made says more.
            Err(missing) => Err(made.err().unwrap_or(missing)),
        }
    }

    /// The consumer, which it makes, or which is there.
    pub(crate) async fn make_consumer(&self, bus: &dyn Bus) -> Result<Arc<dyn Consumer>, Error> {
        self.make_stream(bus).await?;
        let (stream, name) = (self.stream()?, self.consumer()?);
        let mut config = ConsumerConfig::new(name.clone(), Pattern::from(&self.packs()));
        (config.lease, config.unacked_messages_max) = (LEASE, 4 * FETCH_PACKS_MAX as u32);
        let made = bus.make_consumer(stream.clone(), config).await;
        match bus.consumer(stream, name).await {
            Ok(consumer) => Ok(consumer),
            Err(missing) => Err(made.err().unwrap_or(missing)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let route = Route::new("north", "south", "bookings").unwrap();
        assert!(Route::new("north", "south", &"x".repeat(55)).is_err(), "the stream has no such name");
        assert_eq!(route.packs().as_str(), "flux.msg.south.bookings");
        assert_eq!(route.reports().unwrap().as_str(), "flux.ctrl.north.mesh.bookings");
        assert_eq!(route.stream().unwrap().as_str(), "south_bookings");
        assert_eq!(route.id(0xAB, 31, 2, 3).unwrap().as_str(), "bookings/ab/1f.2/3");
    }
}
