//! A gear whose peer may be away.

use std::{collections::BTreeSet, sync::Mutex};

use flux_gear::{Category, Descriptor, Fault, FluxMsg, Gear, GearContext, InPort, Outbox, Step, Terminus};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ARRIVED, Arrived};

/// The peers that are away, by name.
static AWAY: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Whether the peer of this name is there from now on.
pub(crate) fn set_away(peer: &str, is_away: bool) {
    let mut away = AWAY.lock().unwrap();
    if is_away {
        away.insert(peer.into())
    } else {
        away.remove(peer)
    };
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PeerConfig {
    /// Whom it sends to.
    peer: String,
}

/// Sends to its peer.
pub(crate) struct Peer(PeerConfig, String, Arrived);

impl Gear for Peer {
    const KIND: &'static str = "peer";
    type Config = PeerConfig;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "sends").terminus(Terminus::Io).input("in", "any")
    }

    fn init(config: PeerConfig, ctx: &GearContext) -> Result<Peer, Fault> {
        Ok(Peer(config, ctx.name().into(), ARRIVED.get()))
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        if AWAY.lock().unwrap().contains(&self.0.peer) {
            return Err(Fault::transient("the peer is away").reason("away"));
        }
        let mut msg = msg.clone();
        msg.take_lease();
        self.2.add(&self.1, msg);
        Ok(Step::Done)
    }
}
