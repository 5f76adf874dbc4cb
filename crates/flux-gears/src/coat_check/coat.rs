//! A coat: what of a message stays here, as a message of its own.
//!
//! It is caused by the message, belongs to its trace, and has the parked values where the message had them. So the event
//! that tells of its end is the coat itself, under one id however often it is told.

use flux_gear::{Bytes, Fault, FluxMsg, GearContext, Key};
use flux_signal::{
    Limits,
    cbor::{self, Strictness},
};

use super::config::{Config, Merge};
use crate::{
    expiry::{Judge, Verdict},
    return_address,
};

/// What is parked of each message, and how it is put back.
pub(super) struct Tailor {
    gear: String,
    values: Vec<Key>,
    removes: bool,
    address: bool,
    merge: Merge,
    shows_values: bool,
}

impl Tailor {
    pub(super) fn new(config: &Config, gear: &str) -> Tailor {
        Tailor {
            gear: gear.into(),
            values: config.values.clone(),
            removes: config.remove_values,
            address: config.return_address,
            merge: config.merge,
            shows_values: config.timeout_values,
        }
    }

    /// Whether a message goes on as it came.
    pub(super) fn leaves_as_it_is(&self) -> bool {
        !self.removes || self.values.is_empty()
    }

    /// The coat of a message, and the message without it.
    pub(super) fn park(&self, msg: &FluxMsg, ctx: &GearContext) -> Result<(FluxMsg, FluxMsg), Fault> {
        let mut coat = FluxMsg::new(ctx.next_id(), ctx.world().clock.unix_ns(), "");
        (coat.cause, coat.trace, coat.source) = (Some(msg.id), msg.trace, Some(ctx.id()));
        let mut outbound = msg.clone();
        for key in &self.values {
            let value = if self.removes { key.take(&mut outbound) } else { key.value(&outbound) };
            if let Some(value) = value
                && !key.put(&mut coat, value)
            {
                return Err(Fault::invalid(format!("`{key}` cannot be parked")).reason("not_parkable"));
            }
        }
        if self.address {
            return_address::copy(&msg.metadata, &mut coat.metadata);
        }
        Ok((coat, outbound))
    }

    /// The answer with what was parked. It keeps its identity, is caused by the message whose coat it is, and belongs to
    /// its trace.
    pub(super) fn restore(&self, answer: &FluxMsg, mut coat: FluxMsg) -> FluxMsg {
        let mut answer = answer.clone();
        (answer.cause, answer.trace) = (coat.cause, coat.trace.or(answer.trace));
        if self.address {
            return_address::copy(&coat.metadata, &mut answer.metadata);
        }
        for key in &self.values {
            if self.merge == Merge::Answer && key.value(&answer).is_some() {
                continue;
            }
            if let Some(value) = key.take(&mut coat)
                && !key.put(&mut answer, value)
            {
                tracing::warn!(id = %answer.id, field = %key, "a parked value cannot be put back into the answer");
            }
        }
        answer
    }

    /// The event that tells of a coat whose time is up.
    fn event(&self, mut coat: FluxMsg) -> FluxMsg {
        if !self.shows_values {
            for key in &self.values {
                key.take(&mut coat);
            }
        }
        coat.metadata.set(EVENT_TYPE, TIMEOUT);
        coat.metadata.set(EVENT_GEAR, self.gear.as_str());
        coat
    }
}

impl Judge for Tailor {
    fn judge(&self, _: &[u8], value: &Bytes) -> Verdict {
        match unfold(value) {
            Ok(coat) => Verdict::Tell(self.event(coat)),
            Err(why) => {
                tracing::error!(gear = self.gear, error = %why, "thrown away");
                Verdict::LetGo
            }
        }
    }
}

/// Metadata of the event.
const EVENT_TYPE: &str = "event.type";
const EVENT_GEAR: &str = "event.gear";
const TIMEOUT: &str = "flux.event.timeout";

/// As it is kept.
pub(super) fn fold(coat: &FluxMsg) -> Result<Bytes, Fault> {
    let mut kept = Vec::new();
    match cbor::encode(coat, &mut kept) {
        Ok(()) => Ok(kept.into()),
        Err(why) => Err(Fault::invalid(format!("a value cannot be parked: {why}")).reason("not_parkable")),
    }
}

/// As it was left.
pub(super) fn unfold(kept: &Bytes) -> Result<FluxMsg, Fault> {
    // It was within limits when it came.
    let limits = Limits { hops_max: u16::MAX, message_bytes_max: usize::MAX };
    cbor::decode(kept, Strictness::Canonical, &limits)
        .map_err(|why| Fault::invalid(format!("what was kept is no coat: {why}")).reason("bad_coat"))
}
