//! The way of a mesh wire over the bus: what carries it, and the stream and consumer it has there.

use std::sync::Arc;

use flux_bus::{Bus, Consumer, ConsumerConfig, Error, MeshWire, MessageId, Pattern, Retention, StreamConfig};

use crate::limits::{DUPLICATE_WINDOW, FETCH_PACKS_MAX, LEASE, STREAM_BYTES_MAX};

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

/// Has the bus make what a wire needs there, or use what is there: for who makes it for Racks that may not.
///
/// # Errors
/// When it is neither made nor there.
pub async fn furnish(bus: &dyn Bus, wire: &MeshWire) -> Result<(), Error> {
    make_consumer(bus, wire).await.map(drop)
}

/// The id of a pack: the same one is stored once.
pub(crate) fn pack_id(
    wire: &MeshWire,
    epoch: u64,
    first: u64,
    offset: usize,
    round: u64,
) -> Result<MessageId, Error> {
    MessageId::new(format!("{}/{epoch:x}/{first:x}.{offset:x}/{round:x}", wire.wire))
}

/// Uses the stream that is there, or makes it. Returns its epoch.
///
/// Where a Rack may not make it, it is not asked for in vain: a server says nothing to who may not.
pub(crate) async fn make_stream(bus: &dyn Bus, wire: &MeshWire) -> Result<u64, Error> {
    let name = wire.stream()?;
    if let Ok(state) = bus.stream(name.clone()).await {
        return Ok(state.epoch);
    }
    let mut config = StreamConfig::new(name.clone(), vec![Pattern::from(&wire.packs())], Retention::Queue);
    (config.bytes_max, config.duplicate_window) = (STREAM_BYTES_MAX, DUPLICATE_WINDOW);
    let made = bus.make_stream(config).await;
    match bus.stream(name).await {
        Ok(state) => Ok(state.epoch),
        // Why it could not be made says more.
        Err(missing) => Err(made.err().unwrap_or(missing)),
    }
}

/// The consumer, which is there, or which it makes.
pub(crate) async fn make_consumer(bus: &dyn Bus, wire: &MeshWire) -> Result<Arc<dyn Consumer>, Error> {
    let (stream, name) = (wire.stream()?, wire.consumer());
    if let Ok(consumer) = bus.consumer(stream.clone(), name.clone()).await {
        return Ok(consumer);
    }
    make_stream(bus, wire).await?;
    let mut config = ConsumerConfig::new(name.clone(), Pattern::from(&wire.packs()));
    (config.lease, config.unacked_messages_max) = (LEASE, 4 * FETCH_PACKS_MAX as u32);
    let made = bus.make_consumer(stream.clone(), config).await;
    match bus.consumer(stream, name).await {
        Ok(consumer) => Ok(consumer),
        Err(missing) => Err(made.err().unwrap_or(missing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_is_known_by_where_it_begins_and_how_often_it_was_sent_again() {
        let wire = MeshWire::new("north", "south", "bookings").unwrap();
        assert_eq!(pack_id(&wire, 0xAB, 31, 2, 3).unwrap().as_str(), "bookings/ab/1f.2/3");
    }
}
