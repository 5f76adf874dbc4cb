//! The sink that forgets: every message that enters has reached its end.

use flux_gear::{Category, Descriptor, Fault, FluxMsg, Gear, GearContext, InPort, Outbox, Step, Terminus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Discards messages on purpose. They count as delivered: their leases settle.
pub struct Null {
    name: String,
    messages: u64,
}

/// There is nothing to configure.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Gear for Null {
    const KIND: &'static str = "null";
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Observability, "discards every message, on purpose")
            .terminus(Terminus::Opaque)
            .input("in", "messages to discard")
            .partitionable()
    }

    fn init(Config {}: Config, ctx: &GearContext) -> Result<Null, Fault> {
        Ok(Null { name: ctx.name().into(), messages: 0 })
    }

    fn process(&mut self, _: InPort, _: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        self.messages += 1;
        Ok(Step::Done)
    }

    async fn stop(self) {
        tracing::info!(gear = self.name, messages = self.messages, "messages discarded");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use flux_gear::{Lease, conformance, mock::Mock};
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_a_gear() {
        conformance::check::<Null>(json!({}), Mock::new);
    }

    #[tokio::test]
    async fn what_is_discarded_has_settled() {
        let mut null = Mock::new().build::<Null>(json!({})).unwrap();
        let (ended, end) = mpsc::channel();
        let mut msg = null.ctx.message("x");
        msg.attach_lease(Lease::new(move |how| ended.send(how).unwrap()));
        assert!(null.process_msg("in", msg).await.unwrap().is_empty());
        assert_eq!(end.try_recv().map(|end| format!("{end:?}")), Ok("Settled".into()));
        assert_eq!(null.gear.messages, 1);
    }
}
